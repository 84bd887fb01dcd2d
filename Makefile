# Everything a developer or an operator does with the tree. `make` alone lists it.

HOST ?= 127.0.0.1
PORT ?= 8000
VENV ?= .venv
# Further arguments for pytest: make test ARGS="-k cancel -x"; one test after the other: ARGS="-n 0"
ARGS ?=
# Most of a test is waiting, for a process or a deadline: two at a time take half the time. A file stays in one piece.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
GENERATOR := .cache/generator
STRAY := .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist pygents.egg-info

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test lint format types bench chaos attacks openapi lock audit sbom wheel clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.installed ## install, then serve demo agents on http://127.0.0.1:8000 (HOST=, PORT=)
	@exec $(BIN)/pygents serve --demo --host $(HOST) --port $(PORT)

test: $(VENV)/.installed-dev $(GENERATOR)/.installed ## install, then run the tests (ARGS= for pytest: "-m slow" for what takes long)
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

lint: $(VENV)/.installed-dev ## check style and formatting, and the files for containers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml

format: $(VENV)/.installed-dev ## format, and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.installed-dev .cache/typing/pygents_app ## check types, strictly, tests included
	$(BIN)/mypy

bench: $(VENV)/.installed-dev ## measure (ARGS= for benches; nothing else should be busy on the machine)
	$(BIN)/python -m tests.bench $(ARGS)

# SEED=… makes the choices of an earlier session again, MINUTES=… ends it early, ARGS="--only kills:17" plays a chapter.
chaos: $(VENV)/.installed-dev ## kill, restart and cut the power a thousand times, and judge what is left (SEED=, MINUTES=)
	$(BIN)/python -m tests.faults.chaos $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES)) $(ARGS)

attacks: $(VENV)/.installed-dev ## attack a service for five minutes in all known ways (SEED=, MINUTES=)
	$(BIN)/python -m tests.attacks $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES))

openapi: $(VENV)/.installed ## write openapi/openapi.json and the examples anew
	@mkdir -p .cache openapi
	$(BIN)/pygents openapi > .cache/openapi.json
	mv .cache/openapi.json openapi/openapi.json
	@$(BIN)/python -m tests.conformance.examples openapi/openapi.json openapi/examples

lock: $(VENV)/bin/python ## resolve the dependencies anew into the lock files (UPGRADE=1: to their newest versions)
	@test -x .cache/uv/bin/uv || { $(BIN)/python -m venv .cache/uv && .cache/uv/bin/python -m pip --quiet install uv; }
	@# No header and no annotations: the files name neither this machine nor a registry.
	.cache/uv/bin/uv pip compile pyproject.toml --universal --generate-hashes --no-header --no-annotate --quiet \
		$(if $(UPGRADE),--upgrade) --group build -o requirements.lock
	.cache/uv/bin/uv pip compile pyproject.toml --universal --generate-hashes --no-header --no-annotate --quiet \
		$(if $(UPGRADE),--upgrade) --group build --group dev --extra otel --extra jwt -c requirements.lock -o tests/requirements.lock
	.cache/uv/bin/uv pip compile pyproject.toml --universal --generate-hashes --no-header --no-annotate --quiet \
		$(if $(UPGRADE),--upgrade) --group build --extra otel --extra jwt -c tests/requirements.lock -o extras.lock
	.cache/uv/bin/uv pip compile --universal --generate-hashes --no-header --no-annotate --quiet \
		$(if $(UPGRADE),--upgrade) --group pyproject.toml:generator -o tests/conformance/generator.lock
	.cache/uv/bin/uv pip compile --universal --generate-hashes --no-header --no-annotate --quiet \
		$(if $(UPGRADE),--upgrade) --group pyproject.toml:plots -o tests/bench/plots.lock

audit: $(VENV)/.installed-dev .cache/audit/.installed ## ask whether what is locked has known vulnerabilities (needs a database of them)
	@$(BIN)/python -m tests.supply.audit extras.lock

sbom: $(VENV)/.installed-dev ## write dist/pygents.cdx.json, the bill of materials of what is locked (CycloneDX)
	@mkdir -p dist
	@$(BIN)/python -m tests.supply.sbom > dist/pygents.cdx.json
	@echo dist/pygents.cdx.json

wheel: $(VENV)/.installed-dev ## build dist/*.whl, by way of the source distribution
	$(BIN)/python -m build --no-isolation --outdir dist .

clean: ## remove caches and build results
	rm -rf $(STRAY)
	find app pygents_core tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove the virtual environment, too
	rm -rf $(VENV)

# The first candidate that runs, is new enough and can make environments. It is tried, not looked up: a pyenv shim
# exists for versions that are not selected, and Debian's python3 comes without ensurepip.
$(VENV)/bin/python:
	@for candidate in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
		if "$$candidate" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "Making $(VENV) with $$("$$candidate" --version)"; \
			"$$candidate" -m venv --clear $(VENV) && exit 0; \
			rm -rf $(VENV); exit 1; \
		fi; \
	done; \
	echo "No Python 3.11 or newer with venv was found (tried: $(strip $(PYTHON) python3 python3.13 python3.12 python3.11))." >&2; \
	echo "Install one (on Debian: apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python3.12" >&2; \
	exit 1

# Stamps: installing happens again only when a lock file or pyproject.toml has changed.
$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing pygents into $(VENV)"
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: tests/requirements.lock $(VENV)/.installed
	@echo "Installing what the tests need into $(VENV)"
	@$(PIP) install --require-hashes -r tests/requirements.lock
	@touch $@

$(GENERATOR)/.installed: tests/conformance/generator.lock | $(VENV)/bin/python
	@echo "Installing the generator of clients into $(GENERATOR)"
	@$(BIN)/python -m venv --clear $(GENERATOR)
	@$(GENERATOR)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r $<
	@touch $@

.cache/audit/.installed: | $(VENV)/bin/python
	@echo "Installing pip-audit into .cache/audit"
	@$(BIN)/python -m venv --clear .cache/audit
	@.cache/audit/bin/python -m pip --disable-pip-version-check --quiet install pip-audit
	@touch $@

.cache/typing/pygents_app:
	@mkdir -p $(@D)
	@ln -sfn ../../app $@
