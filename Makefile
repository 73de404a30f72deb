# The first of these that runs, is new enough and can make an environment.
PYTHON ?= $(shell for python in python3.11 python3.12 python3; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& echo $$python && break; done)
BIN := .venv/bin
STAMP := .venv/.installed
# What counts the branches of the parser. The fuzz test would take four times as long, and adds none.
WIRE := $(filter-out %_fuzz.py,$(wildcard tests/unit/test_wire_*.py))

.DEFAULT_GOAL := help
.PHONY: help setup run test test-full check bench dashboards lock compose-test

help: ## What can be made here
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## Make .venv and install everything into it

$(STAMP): pyproject.toml requirements-dev.lock
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 with venv is needed (Debian: apt install python3-venv libpython3-dev), or make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		--config-settings editable_mode=compat -e .  # a plain path: sees packages made later
	@$(BIN)/python -c 'from triton_users.server.installed import available; print(available() or "", end="")'
	@touch $@

run: $(STAMP) ## The main job: start a real Triton, measure the super-resolution model, print the table
	$(BIN)/locust -f locustfiles/sr.py --headless

test: $(STAMP) ## The tests (a quarter of an hour), the parser's with their coverage of it
	$(BIN)/python -m pytest -m "not slow" $(WIRE) --cov=triton_users.wire --cov-fail-under=95
	$(BIN)/python -m pytest -m "not slow" $(WIRE:%=--ignore=%) --durations=15

test-full: $(STAMP) ## All tests, the slow suites and the other Pythons too
	$(BIN)/python -m pytest -o faulthandler_timeout=1800

check: $(STAMP) ## Format, lint, strict types, architecture, tests: what CI runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(MAKE) --no-print-directory test

bench: $(STAMP) ## Compare with Perf Analyzer, h2load and tritonclient in one run (three quarters of an hour); then what workers, agent and feed cost
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.beside

dashboards: $(STAMP) ## Write grafana/dashboards/ anew from grafana/source/
	$(BIN)/python -m grafana.source

compose-test: $(STAMP) ## Bring infra/compose.yaml up for real, with stand-ins for images (root, Debian's Docker)
	$(BIN)/python -m infra.compose_test

lock: ## Resolve requirements-dev.lock anew (needs uv)
	uv pip compile --quiet --universal --no-header --no-annotate --python-version 3.11 --extra dev --extra embedded --extra agent -o requirements-dev.lock pyproject.toml
