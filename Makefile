# Every way to build, try and test Mangrove. `make demo` and `make test` do their own set-up.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

DEBUG := .build/debug/mangrove
RELEASE := .build/release/mangrove
VENV := .venv
# Tests of time-outs on real sockets, which a crowd of other tests beside them would starve.
UNHURRIED := DNSServerTests.ServingTests
ROOT := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)

.PHONY: help setup build release demo test test-unit test-clients fuzz bench bench-catalogue format clean

help: ## List the targets.
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install what building and testing need (system packages, Python clients), saying what.
	@scripts/setup

build: ## Build for development.
	swift build --product mangrove

release: setup ## Build for use; takes minutes the first time.
	swift build -c release --product mangrove

demo: release ## Run the hybrid shop and roll it under load; KEEP=1 leaves it running.
	$(ROOT) examples/shop/demo --mangrove $(RELEASE) --python $(VENV)/bin/python $(if $(KEEP),--keep)

test: setup test-unit test-clients ## Everything CI runs.

test-unit: ## The machines and rooms, in process.
	swift build --build-tests
	swift test --skip-build --skip $(UNHURRIED)
	swift test --skip-build --filter $(UNHURRIED)
	@if $(ROOT) unshare --net true 2> /dev/null; then \
		$(ROOT) unshare --net env "PATH=$$PATH" swift test --skip-build --filter LiveNetworkTests; \
	else echo "LiveNetworkTests are skipped: this user may not make network namespaces here"; fi

# Real programs on a machine that others load too: what fails gets one more go by itself. Both results are printed, and a
# test that needed the second is a bug to be found (see CONTRIBUTING.md).
test-clients: ## The real clients against the real binary.
	swift build --product mangrove
	@clients() { $(ROOT) env MANGROVE=$(abspath $(DEBUG)) $(VENV)/bin/python -m pytest -q Tests/Clients "$$@"; }; \
	clients || { [ $$? = 1 ] && echo "Some failed; they run once more by themselves." \
		&& clients --last-failed --last-failed-no-failures none; }

fuzz: ## Mutate what every network decoder reads; ROUNDS=100000 SEED=1 by default. A failure names its seed.
	swift build --build-tests
	MANGROVE_FUZZ_ROUNDS=$(or $(ROUNDS),100000) MANGROVE_FUZZ_SEED=$(or $(SEED),1) \
		swift test --skip-build --filter FuzzTests

bench: release ## Print a table of measurements, with peers in the same run.
	$(ROOT) $(VENV)/bin/python Benchmarks/bench.py --mangrove $(RELEASE)
	$(ROOT) $(VENV)/bin/python Benchmarks/registries.py --mangrove $(RELEASE)
	$(ROOT) $(VENV)/bin/python Benchmarks/dns.py --mangrove $(RELEASE)
	$(ROOT) $(VENV)/bin/python Benchmarks/zookeeper.py --mangrove $(RELEASE)

bench-catalogue: ## Measure the catalogue in process, without interfaces.
	swift build -c release --product catalogue-bench
	.build/release/catalogue-bench

format: ## Lay out the Swift sources by .swift-format.
	swift format --in-place --recursive --parallel Sources Tests Benchmarks

clean: ## Remove build products.
	rm -rf .build $(VENV)
