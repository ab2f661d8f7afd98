// Package spec turns a specification, one Starlark file with what it loads,
// into a checked runtime.Spec.
//
// Loading happens in three steps. Source is read and parsed, and the arguments
// of each call are put into the order that Starlark wants (dialect.go). It is
// executed; the builtins (builtins.go lists them) check their arguments and
// note down services and tests. Then come the checks that need the whole:
// names of services, cycles of dependencies (check.go).
//
// Faults are values that know where they were written and what they were given
// (fault.go); they become intercept.Rules when they meet their target
// (bind.go, syscallfault.go).
//
// The bodies of tests run later, each on Starlark threads of its own that
// carry the runtime.T (body.go). One thread of a test runs at a time; a
// builtin that waits lets the others go on.
//
// reference.md is the user's documentation of the language.
package spec
