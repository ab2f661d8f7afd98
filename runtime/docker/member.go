package docker

// Member is a container of a compose project that is up.
type Member struct {
	Service, Name string // of the project, and of the container
	ID            string
	Image         string
	Env           []string
	Ports         []int  // TCP, as its image or the project exposes them
	State         string // "running", "exited", "paused" …
}
