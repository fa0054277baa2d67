# make demo    the whole loop on drawn scenes, in the plain package
# make test    the tests
# make test-numeric  those whose numbers hang on the processor's instructions, with the plainest ones
# make check   what CI runs: format, lint, types, tests
# make format  put the code in the shape `make check` asks for
# make clients the environments of the clients that the server is tested with
# make test-clients  the tests with those clients, which `make test` leaves out
# make fuzz    a million changed files, of which only results and swath's own errors may come
# make gpu     what a graphics card of 80 GB or more does with the systems' recipes, to gpu.json
# make weights three small published models for `swath tune smol`, outside the repository
# make bench   the measurements behind the numbers in the docs
#
# On a machine without a GPU, spare yourself the CUDA build of torch:
#   PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make demo

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-numeric check format fuzz bench gpu clients test-clients weights check-format check-lint check-types
.DELETE_ON_ERROR:

demo: .venv/.installed
	$(BIN)/swath quickstart

# A file's tests stay together, for what they share is made once a file; conftest.py orders them.
test: .venv/.installed-dev
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-numeric: .venv/.installed-dev
	ATEN_CPU_CAPABILITY=default $(BIN)/python -m pytest -m numeric \
		$$(grep -rlE 'mark\.numeric' tests --include='test_*.py')

check: check-format check-lint check-types test

check-format: .venv/.installed-dev
	$(BIN)/ruff format --check .

check-lint: .venv/.installed-dev
	$(BIN)/ruff check .

check-types: .venv/.installed-dev
	$(BIN)/mypy

format: .venv/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

CASES ?= 1000000

fuzz: .venv/.installed-dev
	$(BIN)/python -m tests.fuzz --cases $(CASES) --keep .fuzz

# The clients that the server is tested with, each in an environment of its own.
CLIENTS = openai-1.109==1.109.1 openai-3.57==3.57.0 mistralai-1.9==1.9.3 mistralai-2.4==2.4.13 \
	mistralai-3.7==3.7.0

clients: $(foreach client,$(CLIENTS),.clients/$(firstword $(subst ==, ,$(client)))/.installed)

# CI has some of them within `make check`.
test-clients: clients .venv/.installed-dev
	SWATH_CLIENTS=$(CURDIR)/.clients $(BIN)/python -m pytest tests/serving/test_clients.py

.clients/%/.installed:
	$(PYTHON) -m venv .clients/$*
	.clients/$*/bin/python -m pip install -qq --disable-pip-version-check \
		$(firstword $(subst -, ,$*))==$(lastword $(subst ==, ,$(filter $*==%,$(CLIENTS))))
	@touch $@

# RUN is an evaluated run's folder, as in: make bench RUN=runs/captions
bench: .venv/.installed-dev
	@test -n "$(RUN)" || { echo "name an evaluated run: make bench RUN=runs/captions" >&2; exit 2; }
	$(BIN)/python benchmarks/scenes.py $(RUN)
	$(BIN)/python benchmarks/caption_baselines.py $(RUN)

# Into the folder that SWATH_WEIGHTS names, or ~/.cache/swath/weights.
weights: .venv/.installed-dev
	$(BIN)/python benchmarks/weights.py

gpu: .venv/.installed-dev
	$(BIN)/python benchmarks/gpu.py --out gpu.json

# Stamps: what is installed is installed again only when these files change.
.venv/.installed: pyproject.toml constraints.txt | .venv/.made
	@echo "Installing swath into .venv; the first time this takes a few minutes."
	$(INSTALL) -e .
	@touch $@

.venv/.installed-dev: pyproject.toml constraints.txt | .venv/.made
	@echo "Installing swath and its development tools into .venv; the first time this takes a few minutes."
	$(INSTALL) -e '.[dev]'
	@touch .venv/.installed $@

.venv/.made:
	@test -n "$(PYTHON)" || { echo "swath needs Python 3.11 or newer; none found on PATH." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "swath needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@
