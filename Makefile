# make setup   .venv with the locked requirements and the product's two commands
# make demo    a whole company on this machine: directory, web, sync (PORT=8000)
# make test    everything: system packages, lint, types, import contracts, every test
# make test-fresh  the same in a minimal Debian made for it (RELEASE=trixie or bookworm; root)
# make test-faults  every fault of directory, database, processes, clocks, with its figures (15 min)
# make check   the fast part: lint, types, import contracts, unit tests; no servers
# make fuzz    search for what breaks a property: at random, on all cores (MINUTES=10)
# make chaos   every act and every fault in random order: AD must stay followed (MINUTES=10, SEED=)
# make soak    everyday use for long: memory, descriptors, threads, rows must stay flat (MINUTES=10)
# make texts   write anew the catalogue of every message, for translators
# make bench   the benchmarks (several minutes); bench-signin, bench-sync, bench-sso alone
# make clean   back to a fresh checkout

SHELL := /bin/sh
PORT ?= 8000
MINUTES ?= 10
RELEASE ?= trixie
# The first of these that is Python 3.11 or later.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PIP := .venv/bin/python -m pip --disable-pip-version-check --no-input --quiet
BASE := .venv/.stamp-base
DEV := .venv/.stamp-dev
KERBEROS := .venv/.stamp-kerberos
CODE := authsvc syncsvc provisioning kerauno dirclient demo tests benchmarks config $(wildcard wsgi.py)

.NOTPARALLEL:
.PHONY: setup demo test ready test-faults test-fresh check fuzz chaos soak texts bench clean lint packages

setup: $(BASE)

demo: $(BASE)
	@exec .venv/bin/python -m demo.run --port $(PORT)

# Each file to one worker, so that what its tests share starts once. pytest-xdist 3.8 does not
# heed its own group marks under pytest 9.2.
test: ready
	@$(MAKE) --no-print-directory lint
	.venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -q --durations=25

# All that the tests need, and all that is fetched from package mirrors before them.
ready: packages
	@$(MAKE) --no-print-directory $(DEV) $(KERBEROS)

test-fresh:
	@sh tests/fresh.sh $(RELEASE) make test

# What takes long is marked so, and left out unless it is named, see `addopts` in pyproject.toml.
test-faults: ready
	.venv/bin/python -m pytest -q -m "long or not long" tests/faults \
		tests/integration/faults/test_directory.py

check: $(DEV) lint
	.venv/bin/python -m pytest -q tests/unit

lint: $(DEV)
	.venv/bin/ruff check $(CODE)
	.venv/bin/ruff format --check $(CODE)
	.venv/bin/mypy
	.venv/bin/lint-imports

fuzz: packages
	@$(MAKE) --no-print-directory $(DEV)
	.venv/bin/python -m tests.search --minutes $(MINUTES)

chaos: packages
	@$(MAKE) --no-print-directory $(DEV)
	.venv/bin/python -m tests.chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

soak: packages
	@$(MAKE) --no-print-directory $(DEV)
	.venv/bin/python -m tests.soak --minutes $(MINUTES)

texts: $(DEV)
	.venv/bin/python -m tests.texts.catalogue

bench: bench-signin bench-sync bench-sso

bench-%: packages
	@$(MAKE) --no-print-directory $(DEV)
	.venv/bin/python -m benchmarks.$*

packages:
	@PYTHON=$(PYTHON) sh tests/packages.sh

clean:
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
		build dist *.egg-info var/demo

# Made anew when the interpreter it was made with has gone.
.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Kerauno needs Python 3.11 or later, and none was found:" \
		"install one, or name it with 'make PYTHON=/path/to/python3'." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || sh tests/packages.sh venv $(PYTHON)
	@echo "Making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear .venv

$(BASE): requirements/base.txt requirements/build.txt pyproject.toml | .venv/bin/python
	@echo "Installing the locked requirements"
	@$(PIP) install --require-hashes --only-binary :all: -r requirements/base.txt
	@$(PIP) install --require-hashes --only-binary :all: -r requirements/build.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# Most modules of these are never imported; those that are compile themselves then.
$(DEV): requirements/dev.txt $(BASE)
	@echo "Installing the locked requirements of the tests"
	@$(PIP) install --require-hashes --no-compile --only-binary :all: -r requirements/dev.txt
	@touch $@

# Silent sign-in compiles against the Kerberos headers, which `packages` has installed.
$(KERBEROS): requirements/kerberos.txt $(BASE)
	@$(PIP) install --require-hashes -r requirements/kerberos.txt
	@touch $@
