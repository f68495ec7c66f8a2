# Every target bootstraps itself: Python 3.11, pip and make are enough. The environment is .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test coverage lint format lock bench clean test-unit test-kubernetes

demo: $(STAMP)
	$(BIN)/poolwright demo

# Two processes, each with servers of its own; a file's tests stay together.
PYTEST := $(BIN)/pytest -q -n 2 --dist loadfile

test: $(STAMP)
	$(PYTEST)

test-unit: $(STAMP)
	$(PYTEST) tests/unit tests/property tests/golden tests/contract

# Builds a real control plane, once a machine: Go and minutes. From then on `make test` uses it, too.
test-kubernetes: $(STAMP)
	$(BIN)/python -m testenv.kubernetes
	$(BIN)/pytest -q tests/contract -k "kubernetes or kuberay"

# The pure packages have no branch that tests/unit and tests/property leave out.
PURE := */model/*,*/signals/*,*/forecasting/*,*/capacity/*,*/triggers/*,*/decision/*,*/simulation/*

coverage: $(STAMP)
	$(PYTEST) tests/unit tests/property --cov --cov-branch --cov-report=
	$(BIN)/coverage report --show-missing --skip-covered --fail-under=100 --include='$(PURE)'

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: $(STAMP)
	for b in benchmarks/*.py; do echo "== $$b"; PYTHONPATH=. $(BIN)/python $$b || exit 1; done

lock: $(STAMP)
	$(BIN)/python -m pip install -q uv
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-header --all-extras --group dev pyproject.toml -o requirements-dev.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-header --all-extras pyproject.toml -o requirements.lock

$(STAMP): requirements-dev.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(STAMP)

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis var
