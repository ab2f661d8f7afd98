# The service of the tests.
CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$root/probe" faultbox/runtime/docker/dockertest/probe
