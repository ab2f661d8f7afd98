// Package docker runs services in containers of a Docker engine: image=,
// build= and container=.
//
// # Nothing changes for the container
//
// It is created from its image with what the spec says and nothing else, on a
// network of its world's own. The one thing added is a gate: this very program,
// bind-mounted read-only and put in front of the image's own entrypoint. It
// reports to the driver over a unix socket, waits until the traffic of its
// network namespace is intercepted, and becomes the entrypoint (execve), so
// that nothing of it is left in the container but the mount: process 1, its
// arguments, environment, descriptors, limits, capabilities and signals are the
// image's. If nobody answers it in time it opens by itself. A container with an
// init of the engine's (docker run --init) shows the gate in the arguments of
// that init, which is process 1 there.
//
// # Worlds
//
// A world with containers is a bridge network of the engine around a world of
// package world. Every container has an address of our choice, so that it is
// known before the start, and its service's name as alias. The world's own
// network namespace is a further host of that network: there live the local
// services, which containers reach by name (an entry in their hosts file), and
// from there the test's steps are taken. Local services find the containers in
// a hosts file of theirs, see Hosts.
//
//	NAME                             what
//	faultbox-<run>-<world>           the network
//	faultbox-<run>-<world>-<service> a container
//
// Both carry labels with the run's id. Sweep removes those of runs that are no
// more.
//
// # Needs
//
// An engine on this machine whose containers are seen from here: Docker 20.10
// or newer, or Podman 4.3 or newer with netavark and aardvark-dns, by the service
// that speaks Docker's API (`podman system service`). It is found as the docker
// command finds it: DOCKER_HOST, else the current context, else
// /var/run/docker.sock, else Podman's socket. Who makes the cgroups, the engine
// or systemd, and of which version, does not matter: a container's is read where
// its first process is.
//
// Images are built by the engine's classic builder, which knows nothing of what
// is BuildKit's (RUN --mount, COPY --link, here-documents). Under Podman a
// container that runs already and is beside others (container= next to image= or
// a program) has a second default route while a test is on.
package docker
