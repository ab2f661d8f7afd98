//go:build !linux

package main

// helper does the work of a helper, if this process was started as one.
func helper() {}

// look finds nothing to choose between: services need Linux.
func look(bool) means { return means{root: true} }

func enterNamespace() error { return nil }

func settleIn() error { return nil }
