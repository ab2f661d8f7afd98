# make help lists what there is to do. Programs that a target needs and this
# machine lacks are installed by .ci/deps (Debian, Ubuntu), or named.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
SUDO    := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)
export PATH := $(PATH):/usr/local/go/bin

.DEFAULT_GOAL := help
.PHONY: help build demo test check generate bench drivers chapter kernels

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

build: ## Build ./faultbox, one static binary
	@.ci/deps go
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o faultbox ./cmd/faultbox

demo: build ## Build, then break an orders API in eight ways (needs root)
	@.ci/deps demo || echo 'make: the demo runs with what is there' >&2
	$(SUDO) ./faultbox demo
	@echo 'Now with a bug that it finds: $(strip $(notdir $(SUDO)) ./faultbox demo --buggy)'

test: ## Run all tests; as root none is skipped for lack of it (ARGS=… for go test)
	@.ci/deps go test drivers chapter
	go run .ci/test.go $(if $(STRICT),-strict) $(or $(ARGS),./...)

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

bench: ## Measure: direct, un-named edge, armed edge, a plain proxy
	@.ci/deps go test
	GOBIN=$(CURDIR)/.build go install github.com/Shopify/toxiproxy/v2/cmd/server@v2.5.0
	go build -o .build/bench ./cmd/bench
	$(SUDO) .build/bench -toxiproxy $(CURDIR)/.build/server $(ARGS)

drivers: ## Compare what real clients see, directly and through an armed edge
	@.ci/deps go test drivers
	go test -count=1 -v ./intercept/drivers

chapter: ## Run the chapter's specs, word for word, against containers (needs root)
	@.ci/deps go chapter
	$(SUDO) env PATH="$$PATH" go test -count=1 -timeout=20m -v ./cmd/chapter

kernels: ## Run the kernel tests in guests with other kernels
	@echo 'make kernels comes with the issue "Compose projects, running systems, Macs, other kernels"; there is nothing to run yet' >&2; exit 1
