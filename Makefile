# Every target sets up what it needs; the machine has to have Python >= 3.11, make and a package index.
.DEFAULT_GOAL := help
.PHONY: help demo test check lint types protos-lint protos-fresh wheel-test api protos serve bench bench-live clean

PYTHON ?= python3
PIP_OPTIONS := -qq --disable-pip-version-check --no-input
BIN := .venv/bin
PROTOS_BIN := $(CURDIR)/.venv-protos/bin
PYTEST_OPTIONS ?= -n auto -q

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | while IFS='|' read -r name what; do printf '  make %-13s %s\n' "$$name" "$$what"; done

demo: .venv/.run ## Start a server, run the remote tutorial against it, draw a raster; DATA=FOLDER serves your own
	@$(BIN)/python examples/demo.py $(DATA)

test: .venv/.dev ## Run the tests
	@$(BIN)/pytest $(PYTEST_OPTIONS)

check: lint types protos-lint protos-fresh test wheel-test ## Do all that CI does: lint, types, protos, tests, wheel

lint: .venv/.dev ## Check style and formatting
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: .venv/.dev ## Check types
	@$(BIN)/mypy

protos-lint: .venv/.dev ## Lint the protos and compare them with the latest release
	@$(BIN)/buf lint protos
	@tag=$$(git describe --tags --abbrev=0 2>/dev/null || true); \
	if [ -z "$$tag" ]; then echo "protos: no release yet to compare with"; \
	elif $(BIN)/buf breaking protos --against ".git#tag=$$tag,subdir=protos"; then echo "protos: compatible with $$tag"; \
	else echo "protos: the above breaks $$tag (reported only, until 0.1.0)"; fi

protos-fresh: .venv-protos/.stamp ## Fail if the committed stubs are not those of the protos
	@set -e; fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	$(call generate,$$fresh); \
	diff -r --exclude=__pycache__ client/spikewire/v1 "$$fresh/spikewire/v1" || { echo "stubs differ from protos/: run make protos"; exit 1; }

wheel-test: .venv/.dev ## Build the wheel and run the tests against it in a clean environment outside the tree
	@set -e; away=$$(mktemp -d); trap 'rm -rf "$$away"' EXIT; \
	$(BIN)/python -m build --wheel --outdir "$$away" >/dev/null; \
	$(BIN)/python -m venv "$$away/venv"; \
	"$$away/venv/bin/python" -m pip install $(PIP_OPTIONS) --upgrade 'pip>=25.1'; \
	"$$away/venv/bin/python" -m pip install $(PIP_OPTIONS) --group test "$$(echo "$$away"/*.whl)[all]"; \
	SPIKEWIRE_TEST_WHEEL=1 "$$away/venv/bin/pytest" $(PYTEST_OPTIONS) -p no:cacheprovider

api: .venv/.run ## Write docs/api.md from the code
	@$(BIN)/python docs/make_api.py

protos: .venv-protos/.stamp ## Generate the stubs from protos/
	@$(call generate,client)

serve: .venv/.run ## Start a server; ARGS="lab=FOLDER --port 7745" are its arguments
	@$(BIN)/spikewire-server $(ARGS)

bench: .venv-bench/.stamp ## Run the benchmarks beside their peers; ARGS="--only bulk" are their arguments
	@.venv-bench/bin/python -m benchmarks $(ARGS)

bench-live: .venv-bench/.stamp ## Run rigs and followers beside their peers; ARGS="--quick" for a first look
	@.venv-bench/bin/python -m benchmarks.live $(ARGS)

clean: ## Remove the environments and everything that was built
	rm -rf .venv .venv-bench .venv-protos dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Two stamps, because a demo needs no linters: .run has the package with its extras, .dev also the tools.
.venv/.run: pyproject.toml | .venv/bin/python
	@echo "installing spikewire into .venv"
	@$(BIN)/python -m pip install $(PIP_OPTIONS) --editable '.[all]'
	@touch $@

.venv/.dev: .venv/.run
	@echo "installing the development tools into .venv"
	@$(BIN)/python -m pip install $(PIP_OPTIONS) --group dev
	@touch $@

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "spikewire needs Python 3.11 or later: make PYTHON=python3.11 ...")'
	@$(PYTHON) -m venv .venv
	@$@ -m pip install $(PIP_OPTIONS) --upgrade 'pip>=25.1'

# The peers of the benchmarks bring much along, and older versions of some of it.
.venv-bench/.stamp: pyproject.toml
	@echo "installing spikewire and its benchmarks' peers into .venv-bench"
	@test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install $(PIP_OPTIONS) --upgrade 'pip>=25.1'
	@.venv-bench/bin/python -m pip install $(PIP_OPTIONS) --editable '.[all]' --group bench
	@touch $@

# The stubs' toolchain is older than the one that runs: stubs refuse to be imported by anything older than their maker.
.venv-protos/.stamp: Makefile
	@echo "installing the stub compiler into .venv-protos"
	@test -x $(PROTOS_BIN)/python || $(PYTHON) -m venv .venv-protos
	@$(PROTOS_BIN)/python -m pip install $(PIP_OPTIONS) grpcio-tools==1.78.0 mypy-protobuf==4.0.0
	@touch $@

protoc = PATH="$(PROTOS_BIN):$$PATH" $(PROTOS_BIN)/python -m grpc_tools.protoc -I protos
generate = rm -rf "$(1)/spikewire/v1" && mkdir -p "$(1)/spikewire/v1" \
	&& $(protoc) --python_out="$(1)" --mypy_out="quiet:$(1)" protos/spikewire/v1/*.proto \
	&& $(protoc) --grpc_python_out="$(1)" --mypy_grpc_out="quiet:$(1)" protos/spikewire/v1/*_service.proto \
	&& printf '"""Generated from protos/spikewire/v1 by make protos; do not edit."""\n' > "$(1)/spikewire/v1/__init__.py"
