# Every target makes the virtual environment by itself when it is missing or out of date.
#   make bench                    the benchmark on the embedded models: tables, figures, a page with videos
#   make bench ARGS="frames=[16]"  any override of the verb behind a target
#   make PYTHON=python3.12 test   another interpreter (3.11 or newer)

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
# Two workers: more only compete for the same cores when each test already computes. Each begins with one half of the
# files in their order, so that what a file shares is made once.
PYTEST_ARGS ?= -n 2 --dist worksteal

PY    := $(VENV)/bin/python
PIP   := $(PY) -m pip --quiet --disable-pip-version-check
STAMP := $(VENV)/.toraeval-ready

.DEFAULT_GOAL := help
.PHONY: help setup bench smoke test numeric lint format figures train docs dist clean distclean

help:  ## Show the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | \
		awk -F'\t' '{ printf "  make %-10s %s\n", $$1, $$2 }'
	@echo '  Options: ARGS="frames=[16]" PYTHON=python3.12 VENV=.venv PYTEST_ARGS="-n 2"'

setup: $(STAMP)  ## Make .venv and install toraeval with its development tools

bench: $(STAMP)  ## All models of the preset at 16, 64 and 128 frames: results/table1.*, figures
	$(PY) -m toraeval bench $(ARGS)

smoke: $(STAMP)  ## The whole path in seconds
	$(PY) -m toraeval run preset=smoke $(ARGS)

figures: $(STAMP)  ## Tables and figures of the paper from stored CSV files: results/paper/; computes nothing
	$(PY) -m toraeval figures $(ARGS)

train: $(STAMP)  ## Train Tora nano, or resume where training stopped
	$(PY) -m toraeval train model=tora size=nano $(ARGS)

# Compiled files are kept, also where the environment says otherwise: without them every worker compiles all tests anew.
test: $(STAMP)  ## Run the tests (no network, no downloads, no GPU)
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(PY) -m pytest $(PYTEST_ARGS) $(ARGS)

# What is compared with numbers recorded elsewhere: run it under another maths path, e.g.
# MKL_CBWR=COMPATIBLE ATEN_CPU_CAPABILITY=default make numeric
NUMERIC := tests/benchmarks/test_parity.py tests/models tests/metrics tests/trackers tests/trajectories tests/baselines \
	tests/stats tests/geometry tests/faults/test_statistics.py

numeric: $(STAMP)  ## The tests of numbers alone, for another maths library or processor
	$(PY) -m pytest $(PYTEST_ARGS) $(NUMERIC) $(ARGS)

lint: $(STAMP)  ## ruff, mypy, the import contracts, dead code, import circles
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports
	$(PY) .ci/dead_code.py
	$(PY) .ci/import_circles.py

format: $(STAMP)  ## Let ruff sort imports and lay out the code
	$(PY) -m ruff check --fix-only .
	$(PY) -m ruff format .

docs: $(STAMP)  ## The documentation as a site: site/index.html; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict $(ARGS)

dist: $(STAMP)  ## Wheel and source archive in dist/, tried in an empty directory
	rm -rf dist build
	$(PY) -m build --outdir dist .
	bash .ci/try_wheel $(PY) dist

clean:  ## Remove caches and build leftovers; keeps .venv and results
	rm -rf build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean  ## clean, and remove the virtual environment too
	rm -rf $(VENV)

# torch goes in alone and pinned, so that no other requirement decides which build of it is installed.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "toraeval needs Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) --version 2>&1);" \
			"name another one: make PYTHON=python3.12" >&2; exit 2; }
	@$(PY) -m pip --version >/dev/null 2>&1 || { echo "Making $(VENV)" >&2; $(PYTHON) -m venv $(VENV); }
	@echo "Installing torch, then the rest (a few minutes, once)" >&2
	@$(PIP) install -c constraints.txt torch
	@$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@
