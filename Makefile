# `make` prints the targets.
# With another Python: `make test PYTHON3=python3.13 VENV=.venv-3.13`; without CUDA, which is most of what is downloaded: `make setup CPU=1`
VENV    := .venv
PYTHON3 := python3
PYTHON  := $(VENV)/bin/python
WITHOUT_CUDA := https://download.pytorch.org/whl/cpu
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
BROWSERS := chromium chromium-browser chromium-headless-shell
.PHONY: help setup browser demo site test test-slow lint format docs benchmarks clean

help: ## print this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

setup: $(VENV)/.installed ## make .venv with the tested versions

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON3) -m venv $(VENV)
	$(if $(CPU),$(PYTHON) -m pip install --quiet -c constraints.txt torch torchvision --index-url $(WITHOUT_CUDA))
	$(PYTHON) -m pip install --quiet -c constraints.txt -e '.[test]'
	touch $@

browser: ## a browser of Debian's for the tests of pages, where it is missing and root asks; without one they skip
	@for one in $(BROWSERS); do if command -v $$one > /dev/null; then exit 0; fi; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
		apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium-headless-shell > /dev/null; \
	fi || echo "no browser could be installed: the tests of pages skip"

demo: setup ## 4 blocks x 3 positions x 3 seeds on digits, at equal multiply-adds: table, pictures and verdicts in minutes
	$(PYTHON) -m blockzoo.sweep --blocks ResNetBasicBlock InvertedResidual GhostBottleneck RepVGGBlock \
		--positions all --seeds 3 --track iso-macs --filler identity --dataset digits --epochs 5 --batch-size 32 \
		--lr 0.2 --num-blocks 1 --base-channels 8 --output results/demo
	$(PYTHON) -m blockzoo results results/demo --verdicts

site: setup ## the published tables as a site, in build/leaderboard: leaderboard, a page for each block, comparisons
	$(PYTHON) -m blockzoo report docs/results/cifar10.csv --output build/leaderboard

test: setup browser ## lint, types and the quick tests (2 processes)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy --num-workers 2
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n 2 --dist worksteal  # threads of two processes would wait for each other, busily

test-slow: setup browser ## the tests that take minutes
	$(PYTHON) -m pytest -m slow

lint: setup ## lint and types alone
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy --num-workers 2

format: setup ## put the code into its format
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

docs: setup ## the documentation as a site, in build/site
	$(PYTHON) -m zensical build --clean --strict

benchmarks: setup ## the side-by-side timings behind the figures in docs/isolate.md
	$(PYTHON) benchmarks/profile.py
	$(PYTHON) benchmarks/train_throughput.py

clean: ## remove what the other targets made
	rm -rf $(VENV) results build *.egg-info .pytest_cache .mypy_cache .ruff_cache .cache
