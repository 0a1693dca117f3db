# Two commands are all that a fresh machine needs: make demo, make test.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed

.PHONY: demo test gates docs bench clean

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[parquet,xlsx,postgres]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev
	touch $(STAMP)

## Measure the built-in models on the starter set; ends with the path of a report.
demo: $(STAMP)
	$(BIN)/cvalues demo

## Run every test; what needs chromium or PostgreSQL skips with its reason where they are absent.
test: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist loadgroup

## Style, types, layers, lengths.
gates: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

## Compare with bare aiohttp and with other frameworks; minutes.
bench: $(STAMP)
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis demo report
