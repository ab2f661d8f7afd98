// Package lima holds the virtual machine that faultbox runs in on a Mac: a
// template for Lima (lima-vm.io), with the script that sets the machine up.
//
// The home folder is mounted in the machine under its own name, so paths mean
// the same on both sides. `faultbox vm create` makes the machine of it; it can
// also be used by hand: limactl create --name=faultbox lima/faultbox.yaml.
package lima
