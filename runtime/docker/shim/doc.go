// Package shim is the part of faultbox that runs inside containers, for a
// moment: see package docker. A program that imports it and is started as Path
// reports to the driver, waits for its word and becomes the program named in its
// arguments.
//
// It does so while the program's packages are being initialised. Go initialises
// them in the order of their import paths, as soon as what they import is done,
// so this one imports nothing but the standard library, and those after it are
// never reached: 3 ms instead of 11.
//
// It is safe on SIGTERM and SIGINT, exits 126 and 127 as a shell would, and goes
// on by itself when there is no driver, or none that answers within OpenAfter.
package shim
