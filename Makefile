# Every target that carries a `##` comment shows up in `make help`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
PYTHON := $(VENV)/bin/python
PYTEST := $(PYTHON) -m pytest
REPORTS := build/reports

ARGS ?=

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

##@ Use

.PHONY: setup
setup: ## Install what the agent needs, build it (idempotent; the first part of run and test)
	@tools/setup.sh

.PHONY: run
run: setup ## Watch every service on this host; ARGS="--config FILE" and OTEL_* are passed on
	@exec $(VENV)/bin/otel-ebpf run $(ARGS)

.PHONY: demo
demo: setup ## Start sample services under light load for a minute, and watch them
	@exec $(PYTHON) tools/demo.py $(ARGS)

##@ Check

.PHONY: setup-test
setup-test: setup ## Install what the test suites need (servers, runtimes, guest kernels)
	@tools/setup-test.sh

.PHONY: test
test: setup-test ## Run everything: lint, unit, kernel, integration, guests, image (about an hour)
	@tools/lint.sh
	@mkdir -p $(REPORTS)
	@$(PYTEST) tests integration --junit-xml=$(REPORTS)/test.xml $(ARGS)

.PHONY: test-fast
test-fast: setup-test ## Run lint, unit, kernel and the integration tests marked `fast` (under 5 minutes)
	@tools/lint.sh
	@mkdir -p $(REPORTS)
	@$(PYTEST) tests --junit-xml=$(REPORTS)/test-fast-unit.xml $(ARGS)
	@$(PYTEST) integration -m fast --junit-xml=$(REPORTS)/test-fast-integration.xml $(ARGS)

.PHONY: test-kernels
test-kernels: setup-test ## Run the guest tests on every kernel that is known (5.10, 6.1, 6.12)
	@mkdir -p $(REPORTS)
	@OTEL_EBPF_GUESTS=all $(PYTEST) integration/test_guest_kernels.py \
		--junit-xml=$(REPORTS)/test-kernels.xml $(ARGS)

.PHONY: test-outage
test-outage: setup-test ## Have a Collector away for five minutes, by gRPC and by HTTP; results go to benchmarks/
	@$(PYTHON) -m benchmarks.outage $(ARGS)
	@$(PYTHON) tools/generate_performance_docs.py

.PHONY: lint
lint: setup-dev ## Run every static check
	@tools/lint.sh

.PHONY: format
format: setup-dev ## Rewrite Python and C in the project's format
	@$(VENV)/bin/ruff check --fix-only --quiet .
	@$(VENV)/bin/ruff format .
	@tools/clang-format.sh -i

.PHONY: bench
bench: setup-test ## Measure overhead and throughput; results go to benchmarks/
	@$(PYTHON) -m benchmarks $(ARGS)
	@$(PYTHON) tools/generate_performance_docs.py

.PHONY: soak
soak: setup-test ## Load the agent for ten minutes and watch its memory
	@$(PYTHON) -m benchmarks.soak $(ARGS)
	@$(PYTHON) tools/generate_performance_docs.py

##@ Ship

.PHONY: wheel
wheel: setup-dev ## Build dist/*.tar.gz, and from it dist/*.whl with the BPF objects of every architecture
	@rm -rf dist
	@$(PYTHON) -m build --outdir dist . >/dev/null
	@ls dist

.PHONY: deb
deb: wheel ## Build dist/*.deb of the wheel, for this release of the distribution and this architecture
	@tools/build-deb.sh dist/*.whl dist
	@ls dist/*.deb

.PHONY: image
image: ## Build the container image; IMAGE=name:tag, ARGS="--platform linux/amd64,linux/arm64 --push"
	@DOCKER_BUILDKIT=1 docker build $(ARGS) --tag $(or $(IMAGE),otel-ebpf:latest) .

.PHONY: docs
docs: setup-dev ## Build the documentation into build/site; a link that leads nowhere fails
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build

.PHONY: clean
clean: ## Remove what was built (not .venv)
	@rm -rf build dist bpf/build otel_ebpf/kernel/objects
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

# The developer's tools alone: what lint, format and wheel need.
.PHONY: setup-dev
setup-dev:
	@tools/setup.sh dev
