# Two commands are all that a fresh machine needs: make demo, make test.
PYTHON ?= python3
VENV ?= .venv
# FROM=wheel builds and installs the wheel instead of linking the source folder; CI tests that.
FROM ?= source
PYTEST_OPTIONS ?=
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed-$(FROM)
EXTRAS = parquet,xlsx,postgres

.PHONY: demo test gates bench serve-check clean

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev
ifeq ($(FROM),wheel)
	$(BIN)/python -m build --wheel --outdir dist . >/dev/null
	$(BIN)/python -m pip install --quiet --constraint constraints.txt "$$(ls dist/*.whl)[$(EXTRAS)]"
else
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
endif
	touch $(STAMP)

## Measure the built-in models on the starter set; ends with the path of a report.
demo: $(STAMP)
	$(BIN)/cvalues demo

## Run every test; what needs chromium or PostgreSQL skips with its reason where they are absent.
test: $(STAMP)
	$(BIN)/python -m pytest -n auto $(PYTEST_OPTIONS)

## Style, types, layers.
gates: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

## Compare with a bare aiohttp loop and with other frameworks; several minutes.
bench: $(STAMP)
	$(BIN)/python benchmarks/run.py

## Measure a tiny random model behind `transformers serve`, a real OpenAI-compatible server in an environment of its own.
serve-check: $(STAMP)
	$(BIN)/python tools/serve_check.py --venv $(VENV)-serve

clean:
	rm -rf $(VENV) $(VENV)-serve build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis demo report
