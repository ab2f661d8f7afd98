package runtime

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
)

// Project is a system that a compose file declares, or one that is up.
type Project struct {
	Services []*Service // without interfaces
	// Guesses are the interfaces that services probably have, by service.
	Guesses  map[string][]Guess
	Warnings []string
}

// Guess is an interface that a service probably has.
type Guess struct {
	Name, Protocol string
	Port           int
	Why            string // what speaks for it
	Path           string // HTTP: one at which its health check asks; "": none is known
}

// ProjectQuery says which project, and what to take of it.
type ProjectQuery struct {
	// Exactly one of these is set.
	Files []string // absolute, later ones override
	Up    string   // the name of a project that is up

	Dir      string            // of the spec; messages name files as seen from it
	Profiles []string          // to activate
	Only     []string          // services, with what they depend on; none: all
	Env      map[string]string // variables of the file, before .env and the environment
	Ignore   []string          // attributes to go on without, such as "services.web.gpus"
	Publish  bool              // ports are published on the host
}

// Condition says what a dependency must have come to.
type Condition int

const (
	Ready   Condition = iota // its health check holds
	Started                  // it runs
	Done                     // it has ended with exit code 0
)

// Settings is what a container gets beyond what a spec can say of it by itself.
type Settings struct {
	// Config and HostConfig are of the form that the Docker Engine's API has for
	// them. What the driver decides by itself comes on top.
	Config, HostConfig json.RawMessage

	Entrypoint []string // nil: the image's; empty: none
	Command    []string // nil: the image's, unless Entrypoint is set; empty: none

	Networks []Attachment // none: the world's
	Mounts   []Mount
	Build    *Build // how the service's image is built; nil: with nothing but its folder

	Alone bool // two of it cannot be up at once: worlds with it come one after the other
	Tty   bool // its output is that of a terminal
}

// Net is a network of a project; every world has its own.
type Net struct {
	Name, Pos string
	Internal  bool
	Options   map[string]string
	Subnet    string            // "": any
	Gateway   string            // "": any
	Range     string            // the part of the subnet that containers get addresses of; "": all of it
	Reserved  map[string]string // addresses of the subnet that are not given out, by what has them
}

// Attachment is a container's place on a network.
type Attachment struct {
	Network *Net
	Aliases []string
	Address string // "": any
	MAC     string // "": any
}

// Mount is something that a container sees in its file system.
type Mount struct {
	Target   string
	ReadOnly bool

	// One of these is set, or none for a volume without a name.
	Host   string  // a file or folder of the host
	Volume *Volume // every world has its own
	Text   *string // a file of that content
	Tmpfs  *Tmpfs

	Make        bool   // a folder of the host is made if it is not there
	Propagation string // of a folder of the host; "": none
	SELinux     string // how a folder of the host is labelled: "z" for many containers, "Z" for one; "": not
	Subpath     string // of a volume
	NoCopy      bool   // a volume does not begin with what the image has there
	UID, GID    int    // of a text
	Mode        uint32 // of a text or a tmpfs
}

// Tmpfs is a file system in memory.
type Tmpfs struct{ Size int64 } // 0: no limit

// Volume is a named volume.
type Volume struct {
	Name, Driver string
	Options      map[string]string
}

// Build says how to build an image of a folder.
type Build struct {
	Dockerfile string             // below the folder, or absolute; "": Dockerfile
	Inline     string             // its content instead; "": none
	Args       map[string]*string // nil: the engine's own value
	Target     string
	Labels     map[string]string
	ExtraHosts []string
	Network    string
	ShmSize    int64
}

// secret returns what a file of a service's settings holds, without the end of
// its line; "" if it has no such file.
func (s *Service) secret(target string) string {
	if s.Settings == nil || target == "" {
		return ""
	}
	for _, m := range s.Settings.Mounts {
		text := ""
		switch {
		case m.Target != target:
			continue
		case m.Text != nil:
			text = *m.Text
		case m.Host != "":
			b, _ := os.ReadFile(m.Host)
			text = string(b)
		}
		return strings.TrimRight(text, "\r\n")
	}
	return ""
}

// Shareable reports whether two of the service can be up at once: there is one
// of a container that runs already, and of each port of the host.
func (s *Service) Shareable() bool {
	return s.Container == "" && len(s.Ports) == 0 && (s.Settings == nil || !s.Settings.Alone)
}

// Networks returns the networks of a project's services, each once.
func Networks(services []*Service) (all []*Net) {
	for _, s := range services {
		if s.Settings == nil {
			continue
		}
		for _, a := range s.Settings.Networks {
			if !slices.Contains(all, a.Network) {
				all = append(all, a.Network)
			}
		}
	}
	return all
}
