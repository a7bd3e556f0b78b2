# Everything stays inside this clone: the environment in .venv, data and Dagster's history in var.
# Works from any folder with `make -C <clone> <target>`.

SHELL := /bin/sh
PYTHON ?= python3
PORT ?= 3000
BIN := .venv/bin
# Who only runs it waits for fewer packages.
STAMP := .venv/.runs
TOOLS := .venv/.installed
# uv where it is there, which takes a tenth of the time; UV= for pip. Wheels only: nothing is compiled here.
UV ?= $(shell command -v uv 2>/dev/null)
ADD = $(if $(UV),VIRTUAL_ENV=.venv $(UV) pip install,$(BIN)/pip install --disable-pip-version-check) \
	--quiet --only-binary :all: -c constraints.txt

# Which sessions `dev` and `run` show: those of your settings, else those of last time, else the
# examples, moved to the last two weeks. It is written down, so that .venv/bin/session-pipeline
# finds the same.
EXAMPLES := SESSION_DATA_DIR=var/examples/sessions
PLACES = SESSION_DATA_DIR DATA_DIR SESSION_LAYOUT SESSION_USER SESSION_PIPELINE_DATABASE SESSION_PIPELINE_LAKE_DATA
SHOW = mkdir -p var; given=$$(for name in $(PLACES); do \
	eval "value=\$$$$name"; [ -z "$$value" ] || printf '%s=%s\n' "$$name" "$$value"; done); \
	if [ -n "$$given" ]; then printf '%s\n' "$$given" > var/make.env; \
	elif [ ! -s var/make.env ] || grep -qx SESSION_DATA_DIR=examples/sessions var/make.env; then \
	echo $(EXAMPLES) > var/make.env; \
	elif ! grep -qx $(EXAMPLES) var/make.env; then \
	echo "Going on with what was shown last (var/make.env): $$(tr '\n' ' ' < var/make.env)"; fi; \
	if grep -qx $(EXAMPLES) var/make.env; then $(BIN)/python examples/dated.py var/examples || exit 1; \
	echo 'Showing made-up sessions of the last two weeks (examples/). For your own: SESSION_LAYOUT=projects SESSION_DATA_DIR=~/.claude/projects make $@'; fi

# Else Dagster's daemon would go on without its web server, beside the one that has the port.
FREE = import socket, sys; s = socket.socket(); \
	s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", int(sys.argv[1])))

# More than cores: half of the tests' time is waiting. Long files begin first (tests/conftest.py).
# Compiled code is kept, for hundreds of interpreters are started.
WORKERS ?= 6
PYTEST = unset PYTHONDONTWRITEBYTECODE; $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help install dev run check test soak lint format bench measure train clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-10s%s\n", $$1, $$2 }' Makefile

install: $(TOOLS) ## set up .venv, with what tests and lint need

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ". Say which with make PYTHON=python3.12 ...")'
	@echo 'Setting up .venv (once, 160 MB to fetch) ...'
	@$(if $(UV),$(UV) venv --quiet --seed --allow-existing --python $(PYTHON),$(PYTHON) -m venv) .venv
	@$(ADD) -e .
	@touch $(STAMP)

$(TOOLS): $(STAMP)
	@echo 'Adding what tests and lint need (once) ...'
	@$(ADD) -e '.[dev]'
	@touch $(TOOLS)

dev: $(STAMP) ## Dagster on http://127.0.0.1:3000 (PORT=...), sensors on
	@$(BIN)/python -c '$(FREE)' $(PORT) 2>/dev/null || { \
	echo 'Port $(PORT) is taken, perhaps by another make dev, or is none. Choose one: PORT=3001 make dev' >&2; exit 1; }
	@$(SHOW); \
	unset DAGSTER_HOME; \
	echo 'Starting Dagster (about 20 s) ...'; \
	exec $(BIN)/python -m session_pipeline_dagster.orchestration.dev $(PORT)

run: $(STAMP) ## process once, here, and print what was found
	@$(SHOW); \
	exec $(BIN)/session-pipeline run

check: lint ## lint and the fast tests, in about six minutes
	@unset PYTHONDONTWRITEBYTECODE; $(BIN)/python -m pytest -q -n 2 --dist loadfile -m 'not slow'

test: $(TOOLS) ## all tests
	@$(PYTEST)

soak: $(TOOLS) ## 20,000 histories, every state a kill can leave, 100 random kills, a lake's line cut everywhere (hours)
	@HISTORIES=20000 SEEING=640 STEPS=200 STATES=10000 KILLS=100 LAKE_KILLS=30 PLACES=all RUN_WORKERS=5 ORDERS=10 CUTS=10 BLOCKS=100 NETWORKS=all $(BIN)/python -m pytest -o timeout=0 tests/store/lake/test_lost_answers.py tests/store/lake/test_networks.py tests/passes/test_histories.py tests/passes/test_seeing.py tests/passes/test_kill_sweep.py tests/health/test_health.py tests/health/test_quality.py tests/testing/test_testing.py tests/processors/usage/money/test_money_golden.py tests/end_to_end/test_end_to_end_doors.py -s

lint: $(TOOLS) ## ruff and ty, without findings
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/ty check --python .venv --error-on-warning

format: $(TOOLS) ## let ruff mend what it can
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

train: $(TOOLS) ## weights of the rules anew from labelled turns (LABELS=FILE: yours too)
	@$(BIN)/python -m training $(LABELS)

bench: $(TOOLS) ## measure (benchmarks/README.md)
	@$(BIN)/python -m benchmarks

measure: $(TOOLS) ## ask the model of your settings about labelled turns (LABELS=file.jsonl TURNS=300)
	@$(BIN)/python -m benchmarks.model $(if $(LABELS),--labels '$(LABELS)') $(if $(TURNS),--turns '$(TURNS)')

clean: ## remove .venv, var and caches
	@rm -rf .venv var build dist .pytest_cache .ruff_cache .tmp_dagster_home_* *.egg-info && find . -name __pycache__ -type d -prune -exec rm -rf {} +
