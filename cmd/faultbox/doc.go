// Faultbox answers "what does my system do when its database, cache or broker
// misbehaves?". This package wires the lists together: protocols, drivers,
// steps, reports; everything else lives in the trees below.
package main
