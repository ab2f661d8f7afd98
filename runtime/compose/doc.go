// Package compose reads compose files: the services, networks and volumes that
// a project declares, as services that the Docker driver can run.
//
// The files are read by compose-go, which the docker command uses as well, with
// the same .env, profiles, overrides, extends and includes. What is read falls
// into three classes, see attributes.go: most attributes are honoured; some
// make no difference to a test and are left out with a warning; all others are
// errors that name their place, unless the spec says to ignore them. An attribute
// that this package has never heard of is of the last class.
//
// Each world gets networks and volumes of its own, so that several tests can run
// at once next to the project itself.
package compose
