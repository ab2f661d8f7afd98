// Package host holds what drivers and worlds do to cgroups and network
// namespaces of this machine alike.
package host
