# `make demo` installs modelhub and runs the main job; `make test` installs and runs every check.
# Both need Python 3.11 or later, make and git, and nothing else.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

# Of all that is installed a tenth is ever imported: that is compiled when it first is, and kept.
INSTALL := $(PIP) install --no-compile --constraint constraints.txt
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test lint types layers tests docs reference benchmarks clean

help:
	@echo 'make demo        install, then pull, verify, convert and render models from a demo hub'
	@echo 'make test        install, then ruff, mypy, import-linter, the docs and the tests'
	@echo 'make docs        the user guide as a web site in site/'
	@echo 'make reference   write docs/reference.md anew from --help'
	@echo 'make benchmarks  every benchmark, each against its peer'
	@echo 'make clean       remove what the other targets made'

$(VENV)/installed-demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable '.[demo,render]'
	@touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable '.[dev]'
	@touch $@

demo: $(VENV)/installed-demo
	@$(BIN)/modelhub demo

test: lint types layers docs tests

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-dev
	MYPY_NUM_WORKERS=2 $(BIN)/mypy

layers: $(VENV)/installed-dev
	$(BIN)/lint-imports

# Nearly half of their time the tests wait, for servers, disks and processes: two for each core keep
# it busy. Of processes that are killed, terminals and full disks one in eight thousand may come too
# late there. It is run again, and told of (-r R); what fails three times has failed.
TESTERS ?= $(shell $(PYTHON) -c 'import os; print(2 * (os.cpu_count() or 1))')
tests: $(VENV)/installed-dev
	$(BIN)/python -m pytest --numprocesses $(TESTERS) --dist worksteal --reruns 2 -r R

docs: $(VENV)/installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

reference: $(VENV)/installed-dev
	$(BIN)/python -m modelhub.cli.reference > docs/reference.md

benchmarks: $(VENV)/installed-dev
	@for script in benchmarks/[a-z]*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) site build dist .mypy_cache .ruff_cache .hypothesis .import_linter_cache
