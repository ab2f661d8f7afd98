package spec

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"

	"go.starlark.net/starlark"

	"faultbox/protocols"
	"faultbox/runtime"
)

// interfaceDecl is what interface(…) returns. It belongs to no service yet.
type interfaceDecl struct {
	opaque
	itf runtime.Interface
}

func (d *interfaceDecl) String() string {
	return fmt.Sprintf("interface(%q, %q, %d)", d.itf.Name, d.itf.Protocol.Name, d.itf.Port)
}
func (d *interfaceDecl) Type() string { return "interface" }

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// addressAttrs are the attributes of an interface besides its steps.
var addressAttrs = []string{"addr", "host", "internal_addr", "name", "port", "protocol", "proxy_addr", "service"}

func (l *loader) iface(c *call) (starlark.Value, error) {
	d := &interfaceDecl{itf: runtime.Interface{Pos: c.site.String()}}
	err := c.unpack([]param{
		required("name", func(v starlark.Value) error {
			if err := toWord(&d.itf.Name)(v); err != nil {
				return err
			}
			if !identifier.MatchString(d.itf.Name) || slices.Contains(addressAttrs, d.itf.Name) {
				return fmt.Errorf("%q cannot be written as service.%s; take another name", d.itf.Name, d.itf.Name)
			}
			return nil
		}),
		required("protocol", l.toProtocol(&d.itf.Protocol)),
		required("port", toInt(&d.itf.Port, 1, math.MaxUint16)),
		keyword("tls", toBool(&d.itf.TLS)),
		keyword("descriptors", toList(func(v starlark.Value) error {
			var file string
			if err := toWord(&file)(v); err != nil {
				return err
			}
			d.itf.Descriptors = append(d.itf.Descriptors, l.path(file))
			return nil
		})),
	}, nil, nil)
	if err != nil {
		return nil, err
	}
	if p := d.itf.Protocol; d.itf.Descriptors != nil && p.Name != "grpc" {
		return nil, c.site.problem(c.site.keyword("descriptors"), "%s: `descriptors` is for grpc, not for %s", c.name, p.Name)
	}
	return d, nil
}

func (l *loader) toProtocol(dst **protocols.Protocol) func(starlark.Value) error {
	return func(v starlark.Value) error {
		var name string
		if err := toWord(&name)(v); err != nil {
			return err
		}
		var names []string
		for _, p := range l.Protocols {
			if p.Name == name {
				*dst = p
				return nil
			}
			names = append(names, p.Name)
		}
		return fmt.Errorf("there is no protocol %q%s (there are %s)", name, suggest(name, names), enumerate(names, "and"))
	}
}

// interfaceRef is an interface of a service: service.name.
type interfaceRef struct {
	opaque
	svc *serviceValue
	itf *runtime.Interface
}

func (r *interfaceRef) String() string { return r.svc.svc.Name + "." + r.itf.Name }
func (r *interfaceRef) Type() string   { return "interface_ref" }

// Attr returns an address or a step. Nothing here is ever an address of the
// proxy's: interception happens below the addresses.
func (r *interfaceRef) Attr(name string) (starlark.Value, error) {
	switch name {
	case "name":
		return starlark.String(r.itf.Name), nil
	case "service":
		return starlark.String(r.svc.svc.Name), nil
	case "protocol":
		return starlark.String(r.itf.Protocol.Name), nil
	case "port":
		return starlark.MakeInt(r.itf.Port), nil
	case "host":
		return starlark.String(r.host()), nil
	case "addr", "internal_addr", "proxy_addr":
		return starlark.String(r.host() + ":" + strconv.Itoa(r.itf.Port)), nil
	}
	for _, m := range r.svc.l.Steps[r.itf.Protocol.Name] {
		if m.Name == name {
			return r.step(m), nil
		}
	}
	return nil, noAttr(r, name)
}

func (r *interfaceRef) AttrNames() []string {
	names := slices.Clone(addressAttrs)
	for _, m := range r.svc.l.Steps[r.itf.Protocol.Name] {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	return names
}

// host is the name under which other services reach the interface. Local
// services share one network; as soon as there is a container, all are
// reached by name.
func (r *interfaceRef) host() string {
	l := r.svc.l
	if r.svc.svc.Local() && !l.byName && !(l.loaded && l.hasContainers()) {
		l.localhost = l.localhost || !l.loaded
		return "localhost"
	}
	return r.svc.svc.Name
}
