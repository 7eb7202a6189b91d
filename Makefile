# Anneal: what a developer or an operator types. `make` alone says what there is.
SHELL := /bin/bash
SEEDS ?= 1000
FIRST ?= 0

.PHONY: help build release demo test lint sim bench setup testbed-down ci

help:
	@echo 'make demo            from nothing: two hosts, a registry installed, killed, rebooted, resumed (root, Debian)'
	@echo 'make test            all set-up and all tests (root, Debian)'
	@echo 'make sim SEEDS=1000  the simulation of the core: a crash at every write; FIRST=n begins at seed n'
	@echo 'make bench           the benchmarks, with peers in the same run'
	@echo 'make build           target/debug/anneal        make release   target/release/anneal'
	@echo 'make lint            rustfmt and clippy         make testbed-down   takes the test hosts away'

build:
	cargo build -p anneal

release:
	cargo build --release -p anneal

demo:
	tests/demo.sh

setup:
	tests/setup.sh

# The whole workspace, as nextest builds it: else crates that several need are built twice.
test: setup
	cargo build --workspace
	cargo nextest run --workspace
	cargo test --doc --workspace --quiet

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

sim:
	cargo run --quiet -p anneal-tests --bin sim -- $(SEEDS) $(FIRST)

bench: setup release
	benches/run.sh

testbed-down:
	tests/testbed/testbed teardown

ci: lint test
