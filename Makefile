# Candlekeep: every target sets up what it needs by itself.
#   make run         start everything on simulated prices (Ctrl-C stops it, the data stays)
#   make live        the same on real prices of Coinbase, Binance and Kraken, which need no key
#   make test        all tests but the minutes-long ones    make chaos    those
#   make test-quick  the tests that need no process but a database, with fewer examples
#   make coverage    all tests, and what none reaches       make check    style, types, imports, wording
#   make fuzz        what the API's document allows and forbids, asked at random for minutes
#   make bench       figures of this machine                make measure  how the code reads
#   make screenshots pictures of every page, light and dark, desk and phone (into screenshots/)
#   make clean       remove .venv and caches, never the data folder

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
CANDLEKEEP_HOME ?= $(CURDIR)/.candlekeep
FITS := import sys; sys.exit(not sys.version_info >= (3, 11))
TAKES := import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)
# The first of these that runs and is new enough; PYTHON=… chooses another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	if $$python -c '$(FITS)' >/dev/null 2>&1; then echo $$python; exit; fi; done; echo python3)
# Files of tests that run at once, each on servers of its own: half of them begin with whole platforms, which mostly wait.
JOBS ?= 4
# Minutes on a slow machine: a line for each library, and bars on a terminal.
INSTALL := $(BIN)/python -m pip --disable-pip-version-check --no-input install \
	--progress-bar $$([ -t 1 ] && echo on || echo off)

# A Python that went away (an upgrade, a moved folder) takes its virtual environment along: make a new one.
$(shell [ -e $(BIN)/python ] || rm -f $(VENV)/.usable $(VENV)/.installed $(VENV)/.installed-dev)

PYTEST := $(BIN)/python -m pytest --numprocesses $(JOBS) --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help run live test test-quick coverage check chaos fuzz bench measure screenshots clean

help:
	@sed -n '2,10s/^# *//p' Makefile

run: $(VENV)/.installed
	@$(BIN)/python manage.py up

live: $(VENV)/.installed
	@LIVE=1 CANDLEKEEP_HOME="$${CANDLEKEEP_HOME:-$(CURDIR)/.candlekeep-live}" $(BIN)/python manage.py up

test: $(VENV)/.installed-dev
	@$(PYTEST) -m "not chaos" --durations=30 $(ARGS)

test-quick: $(VENV)/.installed-dev
	@QUICK_EXAMPLES=1 $(PYTEST) -m "not chaos and not slow" --durations=10 $(ARGS)

# Fails below fail_under of pyproject.toml. One process, watched from its beginning: pytest-cov would begin too late, since
# the plugin that starts the servers is loaded first.
coverage: $(VENV)/.installed-dev
	@$(BIN)/coverage run -m pytest -m "not chaos" $(ARGS)
	@$(BIN)/coverage html --quiet
	@$(BIN)/coverage report

chaos: $(VENV)/.installed-dev
	@$(BIN)/python -m pytest -m chaos $(ARGS)

# `make test` asks the same edges of all schemas, and always the same few examples beside them.
fuzz: $(VENV)/.installed-dev
	@FUZZ_EXAMPLES=$(or $(EXAMPLES),100) $(PYTEST) tests/api/test_fuzz.py --timeout 900 --show-capture=no $(ARGS)

bench: $(VENV)/.installed-dev
	@$(BIN)/python -m benchmarks $(ARGS)

measure: $(VENV)/.installed-dev
	@$(BIN)/python -m benchmarks.measure $(ARGS)

screenshots: $(VENV)/.installed-dev
	@$(BIN)/python -m tools.screenshots $(or $(ARGS),screenshots)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python -m tools.prose
	$(BIN)/python -m tools.picture --check
	$(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check

clean:
	@if [ -e "$(CANDLEKEEP_HOME)/run/lock" ] && ! $(PYTHON) -c '$(TAKES)' "$(CANDLEKEEP_HOME)/run/lock" 2>/dev/null; then \
		echo "Candlekeep is running: stop it first (Ctrl-C in its terminal)."; exit 1; fi
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage .coverage.* htmlcov
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "Removed .venv and the caches. The data stays in $(CANDLEKEEP_HOME); delete that folder to start afresh."

$(VENV)/.usable:
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
		echo "There is no $(PYTHON). Install Python 3.11 or newer, or say which: make PYTHON=/path/to/python3"; exit 1; }
	@"$(PYTHON)" -c '$(FITS)' || { \
		echo "$$("$(PYTHON)" --version 2>&1) is too old: Candlekeep needs Python 3.11 or newer."; \
		echo "Install one (Debian, Ubuntu: apt install python3.11), or say where it is: make PYTHON=/path/to/python3"; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "This Python has no venv module. Install it (Debian, Ubuntu: apt install python3-venv) and try again."; exit 1; }
	@"$(PYTHON)" -m venv $(VENV)
	@touch $@

$(VENV)/.installed: requirements.txt $(VENV)/.usable
	@echo "Installing Candlekeep's libraries into $(VENV) (only when requirements.txt changed) …"
	@$(INSTALL) -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@echo "Installing the tools for tests and checks into $(VENV) (only when requirements-dev.txt changed) …"
	@$(INSTALL) -r requirements-dev.txt
	@touch $@
