# Every target sets up what it needs. The first setup downloads the pinned packages; after it, all works with the network off.
.PHONY: help setup up test test-kernels check check-format check-lint check-types check-imports check-own check-kernels golden fmt demo bench bench-peers clean
.DEFAULT_GOAL := help
SHELL := /bin/bash

BIN := .venv/bin
WORKERS ?= 2
SEEDS ?= 200
PYTHON_FILES := src tests tools
HAS_TOOL = cargo $(1) --version >/dev/null 2>&1 || { echo "check: cargo $(1) is not installed, the kernels' $(2) is passed over"; exit 0; };

DEMO := examples/crash_hour --report out/demo --seed 7 --fault crash:validator=3,from=08:20,to=08:40

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install the pinned packages and build the kernels into .venv
	@tools/setup

up: setup ## start the exchange: validators, market, API on port 8080 (more with UP="--port 9000")
	@$(BIN)/holdfast up $(UP)

demo: setup ## replay an hour's crash with a fault, to a verdict and a picture in out/demo
	@$(BIN)/holdfast replay $(DEMO)

bench: setup ## measure the stages of a block, as ratios
	@$(BIN)/holdfast bench

bench-peers: setup ## install what `holdfast bench risk` measures against into .venv
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --require-hashes -r benches/peers.txt

test: test-kernels ## simulate 200 seeds, then run all tests
	@$(BIN)/holdfast lab simulate --seeds $(SEEDS) --jobs $(WORKERS)
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal

test-kernels: setup ## hold the pricing kernel against fixed point in integers
	@cargo test --quiet --release --lib --tests --package holdfast-margin --package holdfast-pricing --manifest-path kernels/Cargo.toml

check: check-format check-lint check-types check-imports check-own check-kernels ## format, lint, types, import contracts, own lints

check-format: setup
	@$(BIN)/ruff format --check $(PYTHON_FILES)

check-lint: setup
	@$(BIN)/ruff check $(PYTHON_FILES)

check-types: setup
	@$(BIN)/mypy

check-imports: setup
	@$(BIN)/lint-imports --no-logo

check-own: setup
	@$(BIN)/python -m tools.lint

check-kernels: setup
	@$(call HAS_TOOL,fmt,format) cargo fmt --all --manifest-path kernels/Cargo.toml --check
	@$(call HAS_TOOL,clippy,lint) cargo clippy --quiet --release --workspace --all-targets --manifest-path kernels/Cargo.toml -- -D warnings

golden: ## compare the kernels' hashes on this machine and on emulated aarch64 and riscv64
	@tools/golden

fmt: setup ## format everything
	@$(BIN)/ruff format $(PYTHON_FILES)
	@$(BIN)/ruff check --fix --exit-zero --quiet $(PYTHON_FILES)
	@cargo fmt --all --manifest-path kernels/Cargo.toml

clean: ## remove what was made here, except .venv (removing that needs the network afterwards)
	@rm -rf out kernels/target .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
