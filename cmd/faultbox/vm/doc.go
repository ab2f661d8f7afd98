// Package vm runs faultbox inside a virtual machine made by Lima, on systems
// that are not Linux: the same command, with the same arguments, in the same
// folder, its output and exit code passed on, its signals too.
//
// Nothing here depends on the system it is built for; FAULTBOX_VM=always makes
// a Linux do the same, FAULTBOX_VM=never keeps a Mac from it.
package vm
