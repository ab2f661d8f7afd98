// Package starter writes first specs: what `faultbox init` puts into a file for
// people to go on from.
package starter
