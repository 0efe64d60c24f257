# Everything here needs one thing on PATH: Python 3.11 or newer. `make` alone lists the targets.
#
#   VENV=path      the virtual environment to make or use             (default .venv)
#   PYTHON=path    the interpreter the environment is made with       (default: the first that is new enough)
#   WORKERS=n      processes that pytest uses                         (default auto: one per core, at most 4)
#   ARGS="..."     passed on to pytest, the demo or the benchmark

VENV ?= .venv
WORKERS ?= auto
ARGS ?=

# A candidate is run, not only looked up: a launcher of a version manager may stand on PATH with nothing behind it.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.14 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)

VENV_PYTHON := $(VENV)/bin/python
SETUP = $(PYTHON) tools/environment.py --venv "$(VENV)"

# pytest-xdist keeps the cores busy with processes; more threads inside each would only fight over them.
PYTEST = OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 \
	"$(VENV_PYTHON)" -m pytest -n $(WORKERS) --maxprocesses=4 --dist=worksteal

# What `make check` runs: the rules of the code base and the layers that everything else stands on.
FAST_TESTS = $(wildcard tests/test_layers.py tests/test_import_budget.py tests/base tests/core)

.DEFAULT_GOAL := help
.PHONY: help demo test check build bench venv python clean distclean

help: ## list the targets
	@echo "rushlight: a miniature torch. Targets:"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'

demo: python ## train a first network on handwritten digits (installs rushlight[vision,viz] in .venv)
	@$(SETUP) --extras vision,viz
	@"$(VENV_PYTHON)" examples/gentle_introduction.py $(ARGS)

test: python ## run the whole test suite (parity tests run only where torch is installed)
	@$(SETUP) --extras dev
	$(PYTEST) $(ARGS)

check: python ## ruff, mypy, the layer test and the fast tests: under a minute
	@$(SETUP) --extras dev
	"$(VENV_PYTHON)" -m ruff check .
	"$(VENV_PYTHON)" -m mypy
	$(PYTEST) -q -m "not slow" $(FAST_TESTS) $(ARGS)

build: python ## compile kernels and engine into src/ (needs a C++ compiler; only what changed is compiled again)
	@$(SETUP) --extras dev
	"$(VENV_PYTHON)" tools/build.py

bench: build ## measure rushlight, compiled (and torch, where it is installed)
	@"$(VENV_PYTHON)" -m benchmarks $(ARGS)

venv: python ## make the environment with everything the tests need
	@$(SETUP) --extras dev

python:
	@test -n "$(PYTHON)" || { \
		echo "rushlight needs Python 3.11 or newer, and none was found on PATH."; \
		echo "Install one (https://www.python.org/downloads/), or name yours: make PYTHON=/path/to/python3.12 ..."; \
		exit 1; } >&2

clean: ## remove caches, build products and compiled modules
	-$(PYTHON) tools/build.py --clean
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info
	find src tests tools examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

distclean: clean ## the same, and the environment .venv
	rm -rf .venv
