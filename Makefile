# make help lists what there is to do. Programs that a target needs and this
# machine lacks are installed by .ci/deps (Debian, Ubuntu), or named.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
SUDO    := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)
export PATH := $(PATH):/usr/local/go/bin

.DEFAULT_GOAL := help
.PHONY: help build demo test check generate bench drivers chapter kernels mac

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

build: ## Build ./faultbox, one static binary
	@.ci/deps go
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o faultbox ./cmd/faultbox

demo: build ## Build, then break an orders API in eight ways
	@.ci/deps demo || echo 'make: the demo runs with what is there' >&2
	$(SUDO) ./faultbox demo
	@echo 'Now with a bug that it finds: $(strip $(notdir $(SUDO)) ./faultbox demo --buggy)'

# One package at a time: many start servers and worlds, and each faultbox that
# starts ends what a killed one left, which tests look at first.
test: ## Run all tests; as root none is skipped for lack of it (ARGS=… for go test)
	@.ci/deps go test drivers chapter
	go run .ci/test.go $(if $(STRICT),-strict) $(or $(ARGS),-p=1 ./...)

check: ## Formatting, vet, staticcheck, and the rules of the house (imports, lengths)
	@.ci/deps go
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "run gofmt -w on:" $$unformatted >&2; exit 1; }
	go vet ./...
	go vet .ci/test.go
	go tool staticcheck ./...
	go test -run '^TestStructure' ./cmd/faultbox

generate: ## Build the BPF objects again, after a change under bpf/
	@.ci/deps go generate
	go generate ./bpf

# What measures containers is a benchmark of package docker.
CONTAINERS = $(SUDO) env PATH="$$PATH" FAULTBOX_TOXIPROXY=$(CURDIR)/.build/server go test -run '^$$' -timeout=60m ./runtime/docker

bench: ## Measure what an edge costs; ARGS=-protocols: each protocol, next to other proxies; ARGS=-containers
	@.ci/deps go test $(if $(findstring -protocols,$(ARGS)),bench) $(if $(findstring -containers,$(ARGS)),chapter)
	GOBIN=$(CURDIR)/.build go install github.com/Shopify/toxiproxy/v2/cmd/server@v2.5.0
	$(if $(findstring -protocols,$(ARGS)),GOBIN=$(CURDIR)/.build go install github.com/nats-io/natscli/nats@v0.5.1)
	$(if $(findstring -protocols,$(ARGS)),GOBIN=$(CURDIR)/.build go install github.com/bojand/ghz/cmd/ghz@v0.120.0)
ifneq (,$(findstring -containers,$(ARGS)))
	$(CONTAINERS) -bench Start -benchtime 20x
	$(CONTAINERS) -bench 'Suite|Edge' -benchtime 3x
else
	go build -o .build/bench ./cmd/bench
	$(SUDO) env PATH="$(CURDIR)/.build:$$PATH:/usr/sbin:/sbin" .build/bench -toxiproxy $(CURDIR)/.build/server $(ARGS)
endif

drivers: ## Compare what real clients see, directly and through an armed edge
	@.ci/deps go test drivers
	@mkdir -p .build && rm -f .build/drivers.md
	go run .ci/test.go -count=1 -timeout=40m ./intercept/drivers -args -matrix=$(CURDIR)/.build/drivers.md; \
		code=$$?; cat .build/drivers.md; exit $$code

chapter: ## Run the chapter's specs, word for word, against containers (needs root)
	@.ci/deps go chapter
	$(SUDO) env PATH="$$PATH" go test -count=1 -timeout=20m -v ./cmd/chapter

kernels: ## Run the kernel tests in guests with other kernels (ARGS='-guest 6.1 -feature redirect')
	@.ci/deps go kernels
	go build -o .build/kernels-command ./cmd/kernels
	$(SUDO) env PATH="$$PATH" .build/kernels-command $(ARGS)

mac: ## Build faultbox for Macs into .build/mac/ARCH, with its twin for the VM
	@.ci/deps go
	for arch in arm64 amd64; do \
		for system in darwin linux; do \
			name=faultbox; [ $$system = darwin ] || name=faultbox-linux-$$arch; \
			CGO_ENABLED=0 GOOS=$$system GOARCH=$$arch go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o .build/mac/$$arch/$$name ./cmd/faultbox || exit 1; \
		done; \
	done
