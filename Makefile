# The four commands are demo, test, test-slow and check; `make help` says what each does.
# Everything is installed into .venv in this folder and nowhere else.

PYTHON ?= python3
# The native engine, compiled once for this machine's processor; the wheel then stays in pip's cache.
LLAMA ?= llama-cpp-python==0.3.36
# Tests run on the CPU. Where pip offers a CPU build of this version it takes that one; elsewhere a smaller
# download can be asked for: make test TORCH='--index-url <a CPU index> torch==2.13.0'
TORCH ?= torch==2.13.0

DEMO_IMAGE ?= models/magicvl-nano/demo.png
DEMO_QUESTION ?= Where is everything?

VENV := .venv
# Twice quiet: errors only, or pip warns about every package index that lacks a package.
INSTALL := $(VENV)/bin/python -m pip --disable-pip-version-check install --quiet --quiet
# Each stamp marks one finished step, so that a second run goes straight to its command.
STAMPS := $(VENV)/stamps
NATIVE := edge/native/build_llama.py edge/native/trim.cmake
say = @echo "magicvl: $(1)" >&2

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-slow check format clean

help: ## say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: $(STAMPS)/core ## install the core and ask the embedded model about a picture
	@$(VENV)/bin/magicvl ask $(DEMO_IMAGE) -p "$(DEMO_QUESTION)"

test: $(STAMPS)/dev ## install what the tests need and run the fast ones
	$(VENV)/bin/pytest -n 2

test-slow: $(STAMPS)/dev ## run the slow tests
	$(VENV)/bin/pytest -m slow

check: $(STAMPS)/dev ## lint, formatting and types
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/mypy edge/native/build_llama.py

format: $(STAMPS)/dev ## format the code and sort its imports
	$(VENV)/bin/ruff check --select I --fix
	$(VENV)/bin/ruff format

clean: ## remove .venv and everything that was built or cached
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMPS)/venv:
	@command -v $(PYTHON) >/dev/null || { \
		echo "magicvl needs Python 3.11 or later: no $(PYTHON) found (on Debian, apt-get install python3 python3-venv)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "magicvl needs Python 3.11 or later; $(PYTHON) is older: make PYTHON=python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) lacks the venv module: on Debian and Ubuntu, apt-get install python3-venv" >&2; exit 1; }
	$(call say,making $(VENV))
	@$(PYTHON) -m venv $(VENV)
	@mkdir -p $(@D) && touch $@

$(STAMPS)/native: $(STAMPS)/venv $(NATIVE)
	@$(VENV)/bin/python edge/native/build_llama.py "$(LLAMA)"
	@touch $@

$(STAMPS)/core: $(STAMPS)/native pyproject.toml
	$(call say,installing the core)
	@$(INSTALL) --editable .
	@touch $@

# torch comes first and alone, so that the version and build chosen above is the one that stays.
$(STAMPS)/dev: $(STAMPS)/core
	$(call say,installing torch)
	@$(INSTALL) $(TORCH)
	$(call say,installing the tools and what the tests need)
	@$(INSTALL) --editable '.[dev]'
	@touch $@
