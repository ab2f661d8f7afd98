// Package dockertest gives tests a Docker engine of their own, and images.
//
// A test binary whose TestMain calls Main runs in network, mount and PID
// namespaces of its own, where the engine is started by the first test that
// asks for it. Whatever becomes of the tests, nothing is left: no process, no
// bridge, no firewall rule. What the engine stores is kept in the tests' cache
// folder, so that images are made once.
package dockertest
