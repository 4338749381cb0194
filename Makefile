# Every command prints what it does; `make help` lists them. `make check` is exactly what CI runs before the tests.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
PYTEST := $(BIN)/pytest
REAL := tests --ignore tests/unit --ignore tests/properties
FIRST := tests/crash tests/data tests/integration/release
PASSED := $(CURDIR)/.pytest_cache/passed

.PHONY: help install setup demo demo-stop test test-unit test-integration test-first-part test-second-part check format rows lab-up lab-down coverage bench clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/.installed ## put the `havre` command into .venv, with what it needs to run

setup: .venv/.ready ## prepare .venv for development: `havre`, and the tools that check and test it

.venv/.installed: pyproject.toml uv.lock .ci/setup
	@bash .ci/setup run
	@touch $@

.venv/.ready: pyproject.toml uv.lock .ci/setup
	@bash .ci/setup develop
	@touch $@ .venv/.installed

demo: install ## deploy the example on the embedded engine, show a release, a refusal and a rollback
	@$(BIN)/havre demo

demo-stop: install ## remove what `make demo` left running
	@$(BIN)/havre demo --stop

test: setup lab-up ## run all tests (unit, properties, real servers), then hold the row book against them
	@mkdir -p $(dir $(PASSED)) && rm -f $(PASSED)
	@HAVRE_TESTS_PASSED=$(PASSED) $(MAKE) --no-print-directory coverage
	@HAVRE_TESTS_PASSED=$(PASSED) $(MAKE) --no-print-directory test-integration
	@$(BIN)/python tests/acceptance/rows.py --passed $(PASSED)

test-unit: setup ## run the tests that need no server
	$(PYTEST) -n 2 -q tests/unit tests/properties

test-integration: setup lab-up ## run the tests against real servers, in two parts at once
	@$(MAKE) --no-print-directory -j2 -Oline test-first-part test-second-part

test-first-part:
	$(call real,first,$(FIRST))

test-second-part:
	$(call real,second,$(REAL) $(addprefix --ignore ,$(FIRST)))

# A directory of temporary files for each part: two of pytest's own would clear each other's old ones.
define real
@files=$$(mktemp -d /tmp/havre-test-XXXXXX); trap 'rm -rf "$$files"' EXIT; \
$(PYTEST) -q --durations=12 -o cache_dir=.pytest_cache/$(1) --basetemp="$$files/1" $(2) \
|| { echo "== once more, only what failed: a busy machine is not a defect, failing twice is"; \
$(PYTEST) -q -o cache_dir=.pytest_cache/$(1) --basetemp="$$files/2" --last-failed --last-failed-no-failures none $(2); }
endef

check: setup ## lint, types, layering, row book
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/acceptance/rows.py --check

format: setup ## rewrite the source in the house format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

rows: setup ## count the guides' rows that are proven
	@$(BIN)/python tests/acceptance/rows.py

lab-up: setup ## start a Docker Engine with stand-in images, when none answers
	@$(BIN)/python lab/up.py

lab-down: setup ## stop the Docker Engine that lab-up started
	@$(BIN)/python lab/down.py

coverage: setup ## run the tests that need no server, and hold compose/ and model/ to full branch coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 2 -q tests/unit tests/properties
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --fail-under=100

bench: setup lab-up ## run every benchmark
	@status=0; for file in benchmarks/*.py; do grep -q '^if __name__' $$file || continue; echo "== $$file"; $(BIN)/python $$file || status=1; done; exit $$status

clean: ## remove the virtual environment and caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
