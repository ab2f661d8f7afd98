// Command kernels runs tests of this project inside guests with other kernels,
// and prints what works where:
//
//	go run ./cmd/kernels [-guest NAME,…] [-feature NAME,…]
//
// A guest is a QEMU machine without hardware acceleration, so it runs where a
// CI job runs. Its kernel is one that Debian packages, its root a Debian made
// by debootstrap (or nothing but busybox), and the tests are the test programs
// of the packages, built once for all guests and as static as faultbox itself.
//
//	guests      what machines there are, and what each has to show
//	features    what is tried in them, and with which test program
//	debian      gets kernels and makes the root, into the cache folder of the tests
//	images      disks and initramfs
//	boot        starts a guest and follows what it reports
//	inside      the part of this program that runs in the guest
//	results     reads the tests' output; table prints what came out
//
// A guest reports on its second serial port, a JSON object a line. It has no
// network but its loopback.
package main
