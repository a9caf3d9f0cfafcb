# `make demo` and `make test` are all the set-up there is: each makes what it needs in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
SOURCES := pyproject.toml Makefile
RABBITMQ := $(wildcard tests/conformance/test_rabbitmq*.py tests/integration/test_rabbitmq*.py)
SQS := $(wildcard tests/conformance/test_sqs*.py tests/integration/test_sqs*.py)

ifeq ($(CI),true)
export LINKBUS_REQUIRE_BROKERS := 1
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-rabbitmq test-sqs test-rest bench check clean

help:  ## Say what can be made.
	@sed -n 's/^\([a-z]*\):.*  ## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(VENV)/demo.stamp  ## Run the demonstration: an order, its bill and a report, linked.
	@$(BIN)/linkbus demo

test: check  ## Check, then run the whole suite, on real brokers that it starts itself.
	@echo "three parts of the suite run side by side, and print when they end (ten minutes)"
	@$(MAKE) --no-print-directory --output-sync --jobs 3 test-rest test-rabbitmq test-sqs

test-rabbitmq: $(VENV)/dev.stamp
	$(BIN)/python -m pytest $(RABBITMQ)

test-sqs: $(VENV)/dev.stamp
	$(BIN)/python -m pytest $(SQS)

test-rest: $(VENV)/dev.stamp
	$(BIN)/python -m pytest $(addprefix --ignore=,$(RABBITMQ) $(SQS))

bench: $(VENV)/dev.stamp  ## Measure what it costs beside others, and draw it in build/bench (15 minutes).
	@mkdir -p build/bench
	$(BIN)/python -m benchmarks all --json build/bench/results.json --plot build/bench

check: $(VENV)/dev.stamp  ## Lint, formatting and types only.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

clean:  ## Delete the environment, the brokers' files and everything else that was made.
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .coverage build dist
	find linkbus tests examples benchmarks -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/demo.stamp: $(SOURCES) | $(BIN)/python
	@echo "installing linkbus in $(VENV)"
	@$(PIP) install --editable '.[cli]'
	@touch $@

$(VENV)/dev.stamp: $(SOURCES) | $(BIN)/python
	@echo "installing linkbus and what its tests need in $(VENV)"
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install --group dev --editable '.[bench]'
	@touch $@ $(VENV)/demo.stamp

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "linkbus needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; \
	then echo "installing python3-venv" && apt-get update -qq && \
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv </dev/null >/dev/null; \
	else echo "Python's venv is missing; on Debian: apt-get install python3-venv"; exit 1; fi
	@$(PYTHON) -m venv $(VENV)
