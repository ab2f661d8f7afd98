//go:build !unix

package proxy

func (l *lane) tryRead(uintptr) bool { panic("unreachable: no direct reads here") }

func (in *inbox) tryRead(uintptr) bool { panic("unreachable: no direct reads here") }
