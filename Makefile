# Two commands matter: `make demo` shows what segsearch does, `make test` checks all of it.
# Both set themselves up: Python 3.11 and make are enough.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PINNED := $(VENV)/.pinned
INSTALLED := $(VENV)/.installed
DEMO := runs/quickstart
# One test a core, each on one thread: two that spin for the same cores take four times as long.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

export PYTHONUTF8 := 1

.DELETE_ON_ERROR:
.PHONY: demo test sweep check lint format lock clean help

help:            ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## ?/make \1\t/' | expand -t 14

demo: $(INSTALLED)  ## install, search on the embedded scenes, print the front
	$(BIN)/segsearch run studies/quickstart.toml --out $(DEMO)
	@echo "First    . $(BIN)/activate"

test: $(INSTALLED)  ## every check: lint, format, types, tests, the slow ones too
	$(MAKE) --no-print-directory lint
	$(PYTEST)

sweep: $(INSTALLED)  ## the tests of which `test` takes samples, whole: every draw, every pair, a kill at every commit
	SEGSEARCH_TEST_EACH=1 $(PYTEST) tests/space tests/compression tests/search

check: $(INSTALLED)  ## lint and the quick tests
	$(MAKE) --no-print-directory lint
	$(PYTEST) -m "not slow"

lint: $(INSTALLED)  ## ruff and mypy alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy segsearch spaces
	MYPYPATH=benchmarks $(BIN)/mypy benchmarks

format: $(INSTALLED)  ## let ruff write the format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(INSTALLED)  ## print every benchmark's ratios
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

lock: $(INSTALLED)  ## write requirements.lock from what is installed (after raising a version by hand)
	$(BIN)/python -m pip freeze --exclude-editable | sed -E 's/^(torch==[^+]*)\+.*/\1/' > requirements.lock

clean:           ## remove what was built; runs/ stays
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

# torch goes first, alone and pinned: an open range resolves to a build with gigabytes of CUDA.
$(PINNED): requirements.lock
	$(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned packages into $(VENV) (once; two to three minutes) ..."
	$(PIP) install "$$(grep '^torch==' requirements.lock)"
	$(PIP) install -r requirements.lock
	@touch $@

$(INSTALLED): $(PINNED) pyproject.toml
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@
