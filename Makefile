PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
CODE := harness plugins tasks judges reports

.PHONY: setup demo test check bench docs mini clean

$(VENV)/.ready: pyproject.toml
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet torch torchvision
	$(BIN)/pip install --quiet -e '.[dev]'
	touch $@

setup: $(VENV)/.ready

demo: setup
	$(BIN)/harness run --model mini/base --tasks mis:mini,mis:mini-benign,mssbench:mini --output runs/demo --fresh
	$(BIN)/harness report runs/demo --format markdown --output runs/demo/leaderboard.md
	@cat runs/demo/leaderboard.md

test: setup
	$(PY) -m pytest -q -n auto --dist loadscope

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(CODE)
	$(BIN)/pyright
	$(BIN)/lint-imports

bench: setup
	$(PY) -m benchmarks

mini: setup
	$(PY) -m harness_mini.make_base
	$(PY) -m harness_mini.draw_world mis tasks/harness_mis/mini
	$(PY) -m harness_mini.draw_world mssbench tasks/harness_mssbench/mini

docs: setup
	$(PY) docs/generate.py

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache runs
