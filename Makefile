# fedsync. `make` prints this help; CONTRIBUTING.md has the recipes.

SHELL      := bash
GO         ?= go
TOOL       := $(GO) tool -modfile=go.tool.mod
VERSION    ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS    := -s -w -X main.version=$(VERSION)
MODULES    := . sandbox
FUZZTIME   ?= 30s

# What starts a sandbox takes the program that `make sandbox` has built.
export FEDSYNC_TEST_SANDBOX_PROGRAM := $(CURDIR)/bin/sandbox

.DEFAULT_GOAL := help

.PHONY: help
help: ## print this help
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/fedsync
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/fedsync ./cmd/fedsync

.PHONY: sandbox
sandbox: clusters ## build the sandbox's programs into the user's cache (about 25 minutes, once)
	bin/sandbox build --forge

# The demo needs no forge, which is a third of the building.
.PHONY: clusters
clusters:
	$(GO) build -C sandbox -o ../bin/sandbox ./cmd/sandbox
	bin/sandbox build

.PHONY: demo
demo: build clusters ## three real clusters, a repository, the daemon; ONCE=1 does the tour by itself, GCP=0 without a load balancer
	$(GO) run ./internal/demo $(if $(ONCE),--once) $(if $(GCP),--gcp=$(GCP))

.PHONY: test
test: sandbox ## all tests, on real clusters and a real Gitea, with the race detector
	$(GO) run ./internal/testrun $(if $(RUN),-run '$(RUN)') $(or $(PKG),./...)

.PHONY: unit
unit: ## all tests that need no cluster and no forge
	$(GO) test -short ./...

.PHONY: golden
golden: ## rewrite the golden files, then show what changed
	$(GO) test ./pkg/render ./pkg/web ./pkg/federation/fedfile -update
	git diff --stat

.PHONY: vet
vet:
	@for m in $(MODULES); do echo "vet $$m"; (cd $$m && $(GO) vet ./...) || exit 1; done

.PHONY: format
format: ## format the code
	$(TOOL) golangci-lint fmt ./...
	cd sandbox && $(GO) tool -modfile=../go.tool.mod golangci-lint fmt --config ../.golangci.yml ./...

.PHONY: lint
lint: ## formatting, linters, and code that only tests use
	$(TOOL) golangci-lint fmt --diff ./...
	$(TOOL) golangci-lint run ./...
	cd sandbox && $(GO) tool -modfile=../go.tool.mod golangci-lint run --config ../.golangci.yml ./...
	@! $(TOOL) deadcode -filter 'fedsync/(pkg|cmd)/' ./... | grep -v 'test/' || { echo "only tests use these: delete them"; exit 1; }

.PHONY: tidy
tidy: ## the modules' files are as `go mod tidy` leaves them
	@for m in $(MODULES) sandbox/programs/*/; do echo "tidy $$m"; (cd $$m && $(GO) mod tidy -diff) || exit 1; done

.PHONY: vuln
vuln: ## known vulnerabilities; needs the database on the network
	@$(TOOL) govulncheck ./... || { s=$$?; [ $$s -eq 3 ] && exit 3; echo "SKIPPED: the vulnerability database cannot be reached"; }

.PHONY: fuzz
fuzz: ## every fuzz target, FUZZTIME each (30s)
	@grep -rl --include='*_test.go' '^func Fuzz' pkg cmd internal | while read -r file; do \
	  for target in $$(grep -oE '^func Fuzz[A-Za-z0-9]+' $$file | awk '{ print $$2 }'); do \
	    $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) ./$$(dirname $$file) || exit 1; \
	  done; done

# It needs nothing but Go, and some minutes; with REAL=1 besides it, real clusters.
.PHONY: hostile
hostile: $(if $(REAL),sandbox) ## every hostile repository there is (RUN), with time and memory; BESIDE=1 what it costs others, REAL=1
ifdef BESIDE
	set -o pipefail; FEDSYNC_TEST_LONG=1 FEDSYNC_TEST_BESIDE='$(RUN)' $(GO) test -v -timeout=4h \
	  -run '^TestAHostilePushLeavesTheOthersAlone$$' ./pkg/daemon $(if $(REAL),-beside.real) | grep -E 'beside_test|^ *--- |^(ok|FAIL)'
else
	set -o pipefail; $(GO) test ./internal/hostile -run 'TestNoRepositoryDoesHarm$(if $(RUN),/$(RUN))' -whole -v -timeout=2h | grep -v '^=== '
endif

# It needs nothing but Go; with REAL=1 it plays COUNT histories (30) on real clusters.
.PHONY: campaign
campaign: $(if $(REAL),sandbox) ## restarts after COUNT random histories (500) from SEED (1) change nothing; REAL=1
ifdef REAL
	FEDSYNC_TEST_LONG=1 $(GO) run ./internal/testrun -timeout 3h -run '^TestARestartChangesNothingOnRealClusters$$' ./pkg/daemon \
	  -args -seed=$(or $(SEED),1) -real=$(or $(COUNT),30)
else
	$(GO) test ./pkg/daemon -run '^TestARestartChangesNothing$$' -seed=$(or $(SEED),1) -histories=$(or $(COUNT),500) -shrink -timeout=3h
endif

# It needs nothing but Go, and about half an hour.
.PHONY: gcp-campaign
gcp-campaign: ## Google Cloud: every call fails once in every way, COUNT random histories (1000) from SEED (1)
	set -o pipefail; export FEDSYNC_TEST_LONG=1; { \
	  $(GO) test ./pkg/gcp/gce -timeout=1h -v -run 'MayFailOnce' && \
	  $(GO) test ./pkg/gcp/planner -timeout=3h -v -run 'NeverBreak|NeverStops' -planseed=$(or $(SEED),1) && \
	  $(GO) test ./pkg/gcp/keeper -timeout=3h -v -run 'MayFailOnce|HistoriesOfKeepers|Idle|FromNothingToHealthy|TwoWriters' \
	    -keeperseed=$(or $(SEED),1) -keepers=$(or $(COUNT),1000); } | grep -v '^ *\(=== \|--- PASS\)'

.PHONY: long
long: sandbox ## the long forms of the tests of refusals, of double starts, of load balancers, of crowds, of rest, of many pull requests and of what forges are told
	FEDSYNC_TEST_LONG=1 $(GO) run ./internal/testrun -timeout 1h -run 'Together|LeftInPeace|CalledForbidding|OneAddress|LifeOfALoadBalancer|ReplicasMoveWhen|ManyPullRequests|KilledWhileItPlans' ./pkg/daemon
	FEDSYNC_TEST_LONG=1 $(GO) test -v -run 'CrowdOfAllKinds' ./pkg/web
	FEDSYNC_TEST_LONG=1 $(GO) test -v -run 'AfterAnyHistory' ./pkg/status -timeout=3h
	$(GO) test ./pkg/claim -run TestTwoStarts -large -timeout=1h
	FEDSYNC_TEST_LONG=1 $(GO) test ./pkg/render/kustomize -run TestRandomOverlaysEqualKustomize -timeout=2h
	FEDSYNC_TEST_LONG=1 $(GO) test ./cmd/fedsync -run TestNoSecretComesOut -timeout=2h

.PHONY: bench
bench: sandbox ## the figures in bench/, on 13 real clusters
	$(GO) run ./internal/bench

.PHONY: generate
generate: ## the reference in docs/ from the code
	$(GO) generate ./...

.PHONY: check
check: test vet lint tidy ## everything that CI runs
