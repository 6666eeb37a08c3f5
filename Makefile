# Needs git, make and Python 3.11 or newer; everything else goes into .venv.
#   make demo    a fresh repository with real runs in it
#   make test    the tests          make slow    the long proofs
#   make check   style, types, layers, docs
#   make bench   speed and memory, as ratios to limits measured in the same run

PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Eight workers at most: beyond that the disk is what the tests wait for.
PYTEST := $(BIN)/python -m pytest -n logical --maxprocesses 8

.PHONY: demo test slow check bench clean
.DEFAULT_GOAL := test

demo: $(STAMP)
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash examples/digits/demo.sh

test: $(STAMP)
	$(PYTEST)

slow: $(STAMP)
	$(PYTEST) -m slow

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict gittrack
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -n 0 tests/test_docs.py

# Without bytecode every import would be a compilation, and that is what would be measured.
bench: $(STAMP)
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m benchmarks

clean:
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

# A half-made environment would look finished to the next call, so it is removed.
$(BIN)/python:
	@rm -rf $(VENV)
ifdef UV
	$(UV) venv --quiet --python "$(PYTHON)" $(VENV)
else
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "gittrack needs Python 3.11 or newer: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
endif

$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing gittrack and its tools into $(VENV); the first time takes a minute or two."
ifdef UV
	$(UV) pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
else
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --editable '.[dev]'
endif
	@touch $@
