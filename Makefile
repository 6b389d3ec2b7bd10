# Every target works from a bare checkout. `make help` lists them.
SHELL := /bin/sh
.DEFAULT_GOAL := help

BIN := .venv/bin
READY := .venv/.ready
# Branch coverage in percent below which `make test` fails.
COVERAGE ?= 90
# Test processes side by side; they share one RabbitMQ and one PostgreSQL.
WORKERS ?= 4
# The crash matrix: pairs of points (a number or `all`), rounds (later ones take later hits), the seed that draws them.
CHAOS_PAIRS ?= 200
CHAOS_ROUNDS ?= 1
CHAOS_SEED ?=
# Minutes after which the matrix begins no more runs (empty: none).
CHAOS_MINUTES ?=
CHAOS_STORMS ?= 200
# What is measured, and how: see `python -m ops.bench --help` (empty: everything, thoroughly).
BENCH ?=

.PHONY: help setup demo test check bench chaos diagram format lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv/ with all dependencies and .venv/bin/mt5-worker
	@:

$(READY): pyproject.toml requirements.lock ops/setup.sh
	@ops/setup.sh

demo: setup ## Trade on the simulated terminal over a real RabbitMQ and PostgreSQL, and show the confirmations
	@$(BIN)/mt5-worker demo

# What Python compiles is kept, whatever the caller prefers: four processes read all tests, and hundreds are started.
test: export PYTHONDONTWRITEBYTECODE =
test: setup ## Run the whole test suite (without the long fault runs) on a real RabbitMQ and PostgreSQL
	@$(BIN)/python -m ops.services
	@$(BIN)/python -m pytest -m "not chaos" -n $(WORKERS) --dist loadfile --no-loadscope-reorder \
		--cov --cov-report=term --cov-fail-under=$(COVERAGE)

check: setup ## Check format, lint, types and import rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: setup ## Measure the worker, about an hour (BENCH="throughput latency --quick" measures less); tables, and a page in .bench/
	@$(BIN)/python -m tests.bench.session
	@$(BIN)/python -m ops.bench $(BENCH)

chaos: setup ## Run the long tests: those marked chaos; crash points, CHAOS_PAIRS of them, CHAOS_ROUNDS, CHAOS_SEED; CHAOS_STORMS storms
	@$(BIN)/python -m pytest -m chaos -n 2 --dist loadfile --timeout 600
	@$(BIN)/python -m pytest -m hypothesis -n 2 --dist loadfile --timeout 600 --hypothesis-profile thorough
	@$(BIN)/python -m tests.faults.matrix --pairs $(CHAOS_PAIRS) --rounds $(CHAOS_ROUNDS) $(CHAOS_SEED:%=--seed %) $(CHAOS_MINUTES:%=--minutes %)
	@$(BIN)/python -m tests.faults.storms --seeds $(CHAOS_STORMS)

diagram: setup ## Draw the states in ops/decisions/states.md from the table of transitions
	@$(BIN)/python -m worker.cli.diagram

format: setup ## Format the code and apply the safe fixes of the linter
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock'

lock: ## Write requirements.lock and ops/runtime.lock anew from pyproject.toml (needs uv)
	@command -v uv >/dev/null || { echo "'make lock' needs uv: pip install uv" >&2; exit 1; }
	@$(LOCK) --extra dev pyproject.toml -o requirements.lock
	@$(LOCK) --constraint requirements.lock pyproject.toml -o ops/runtime.lock

clean: ## Remove everything the other targets made
	@if [ -e .services/state.json ]; then $(BIN)/mt5-worker services down; fi
	@rm -rf .venv .services .coverage* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .bench \
		build dist ./*.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
