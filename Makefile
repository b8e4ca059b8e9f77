# One command a verb; `make help` lists them. Needs Python >= 3.10 with venv, and make.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
LAB_STAMP := .venv-lab/.installed

export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help venv demo test unit e2e browser lint site format bench simulate faults lab docs clean

help: ## this list
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

# uv inside the venv; pinned versions; bytecode compiled once, because imports are three times as fast with it.
$(STAMP): pyproject.toml constraints.txt requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python >= 3.10 is needed, this is " + sys.version) if sys.version_info < (3, 10) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode -r requirements.txt --group dev -c constraints.txt
	@touch $@

venv: $(STAMP) ## .venv with everything pinned in constraints.txt

demo: venv ## real Airflow, real faults: watch them be understood, repaired or asked about (KEEP=1 leaves Airflow up)
	@$(BIN)/python -m demo $(if $(KEEP),--keep)

test: lint unit e2e browser ## everything CI runs

unit: venv ## all tests but those that start Airflow components or a browser
	$(BIN)/python -m pytest -q -m "not e2e and not browser and not faults" -n 2 --dist worksteal

e2e: venv ## tests on real Airflow components
	$(BIN)/python -m pytest -q -m e2e tests/e2e

browser: venv ## tests of the pages in Debian's chromium (skipped where there is none); pictures in .screenshots/
	$(BIN)/python -m pytest -q -m browser tests/ui

lint: venv ## ruff and mypy --strict, on code and tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

site: venv ## the documentation as a web site in site/; a link that leads nowhere fails it. Nothing is fetched
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: venv ## let ruff format the code
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

bench: venv ## benchmarks against a peer in the same run: bench-report.json
	@$(BIN)/python -m benchmarks

simulate: venv ## a simulated month, a storm, and triage killed 1,000 times, against their bars: simulation-report.json
	@$(BIN)/python -m simulator

faults: venv ## 77 faults in a real Airflow: how right automatic repairs are, against a bar
	$(BIN)/python -m pytest -q -s -m faults tests/e2e/test_precision.py

$(LAB_STAMP): lab/requirements.txt lab/constraints.txt $(STAMP)
	@test -x .venv-lab/bin/python || $(PYTHON) -m venv .venv-lab
	@$(BIN)/uv pip install --quiet --python .venv-lab/bin/python -r lab/requirements.txt -c lab/constraints.txt
	@touch $@

lab: $(LAB_STAMP) ## provoke real faults on real engines and write the corpus anew (ENGINE=postgres: only that one)
	@PYTHONPATH=plugins $(BIN)/python -m lab $(ENGINE)

docs: venv ## write what is generated of the documents: settings, commands, policy, API, what pages share with the README
	@$(BIN)/python -m docs.generate

clean: ## remove what the commands above made
	rm -rf .venv .venv-lab .demo demo-report.json bench-report.json simulation-report.json dist site .screenshots .cache/ui
