# Every target sets up what it needs. Python ≥ 3.11 and a network that reaches PyPI are all it takes.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
export HF_HUB_OFFLINE := 1
export TOKENIZERS_PARALLELISM := false
export OMP_NUM_THREADS ?= 2

.PHONY: help demo test lint bench docs models format clean

help: ## Show this list.
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable . --group dev
	@touch $@

models: $(VENV)/.installed ## Fetch the built-in models (about 190 MB, once).
	@$(BIN)/frag models pull

demo: models ## Three clinics answer three questions. KEEP=1 leaves them running.
	@$(BIN)/frag demo $(if $(KEEP),--keep)

test: models ## Run the test suite.
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.installed ## Check format, lint, types and import contracts.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed ## Format the code.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: models ## Measure fan-out and inference; results go to results/.
	$(BIN)/python benchmarks/fanout.py
	$(BIN)/frag bench inference

docs: $(VENV)/.installed ## Build the documentation, offline, into site/.
	$(BIN)/python -m server.references docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean: ## Remove the environment and everything that was built.
	rm -rf $(VENV) dist build site results .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
