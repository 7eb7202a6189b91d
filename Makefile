# Anneal: what a developer or an operator types. `make` alone says what there is.
SHELL := /bin/bash
SEEDS ?= 1000
FIRST ?= 0
CUTS ?= 1200
SEED ?=
FUZZ ?= 600

.PHONY: help build release demo test test-full lint sim fuzz crash faults faults-hosts powercut bench setup testbed-down

help:
	@echo 'make demo            from nothing: two hosts, a registry installed, killed, rebooted, resumed (root, Debian)'
	@echo 'make test            all set-up and all tests (root, Debian)'
	@echo 'make test-full       the same and what takes longer: scripts, testbed, many seeds, benchmarks'
	@echo 'make sim SEEDS=1000  the simulation of the core: a crash at every write; FIRST=n begins at seed n'
	@echo 'make fuzz FUZZ=600    changed workflows, expressions and values for so many seconds; SEED=n begins there'
	@echo 'make powercut CUTS=1200  the power cut under the store, writes lost, torn and reordered; SEED=n repeats (root)'
	@echo 'make crash ROUNDS=100 the real binary killed while it works on real hosts; SEED=n repeats'
	@echo 'make faults ROUNDS=20 its data folder damaged in every way, full disks, races; SEED=n repeats'
	@echo 'make faults-hosts PART=breaking  what can be wrong with a host or the way to it; without PART all of it (root)'
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

# All seeds and rounds, the scripts of the bundled workflows on hosts of their own, the testbed itself, the benchmarks.
test-full: lint test
	$(MAKE) sim SEEDS=10000
	$(MAKE) fuzz
	$(MAKE) powercut
	$(MAKE) crash ROUNDS=100
	$(MAKE) faults
	$(MAKE) faults-hosts
	workflows/test-scripts
	tests/testbed/selftest
	$(MAKE) bench

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

sim:
	cargo run --quiet -p anneal-tests --bin sim -- $(SEEDS) $(FIRST)

# Each time from other seeds; what fails says which.
fuzz:
	FUZZ_SECONDS=$(FUZZ) FUZZ_FIRST=$(or $(SEED),$(shell date +%s)000000) cargo test -p dsl --test fuzz

powercut:
	cargo build --quiet -p anneal-tests --bin powercut
	$${CARGO_TARGET_DIR:-target}/debug/powercut --cuts $(CUTS) $(if $(SEED),--seed $(SEED))

crash: ROUNDS ?= 100
crash: setup build
	cargo run --quiet -p anneal-tests --bin crash -- $(ROUNDS) $(SEED)

faults: ROUNDS ?= 20
faults: build
	cargo run --quiet -p anneal-tests --bin faults -- $(ROUNDS) $(SEED)

# PART: reaching breaking sessions programs output machine lines.
faults-hosts: build
	cargo run --quiet -p anneal-tests --bin hostfaults -- $(PART)

bench: setup release
	benches/run.sh

testbed-down:
	tests/testbed/testbed teardown
