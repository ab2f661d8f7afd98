//go:build linux

package redirect

import "github.com/cilium/ebpf"

// Sockets returns the map of redirected sockets: its values begin with the
// destination that a socket meant (struct endpoint of bpf/redirect.c). It
// belongs to the Interceptor.
func (i *Interceptor) Sockets() (*ebpf.Map, error) {
	k, err := i.load()
	if err != nil {
		return nil, explain(err)
	}
	return k.objs.Sockets, nil
}
