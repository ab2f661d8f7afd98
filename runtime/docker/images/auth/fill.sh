# The chapter's own gRPC service.
mkdir -p "$root"
CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$root/auth" faultbox/cmd/chapter/auth
