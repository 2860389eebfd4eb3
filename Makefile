# make reproduce: the study at laptop scale. make test: linters and tests. Both set up .venv first.

PYTHON ?= python3
# Extra arguments for pip, for example where to find a CPU build of torch.
PIP_ARGS ?=

BIN := .venv/bin
READY := .venv/ready
SNAKEMAKE := $(BIN)/snakemake --cores all

# Snakemake keeps caches in a home and asks for a user's name: not everybody has them (docs/clusters.md).
ifneq ($(shell test -d "$$HOME" && test -w "$$HOME" && echo yes),yes)
export HOME := $(CURDIR)/.snakemake/home
endif
export LOGNAME ?= nobody

.PHONY: setup reproduce smoke test test-slurm test-kubernetes lint benchmark format lock clean

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m autoloss.ops.kernels
	touch $(READY)

reproduce: setup
	$(SNAKEMAKE)
	$(BIN)/autoloss summary

smoke: setup
	$(SNAKEMAKE) --configfile configs/scale/smoke.yaml
	$(BIN)/autoloss summary --config configs/scale/smoke.yaml

test: lint
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

# The workflow on a Slurm that the test starts: as root, apt-get install slurm-wlm munge. Minutes.
# All else that the plugin needs is in the lock.
SLURM_PLUGIN := snakemake-executor-plugin-slurm==2.8.0 snakemake-executor-plugin-slurm-jobstep==0.6.1
test-slurm: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) --no-deps $(SLURM_PLUGIN)
	$(BIN)/python -m pytest -m slurm tests/slurm

# The Kubernetes profile on a stand-in for the cluster, its jobs checked against the API's schema.
KUBERNETES_PLUGIN := snakemake-executor-plugin-cluster-generic==1.0.9

test-kubernetes: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) --no-deps $(KUBERNETES_PLUGIN)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c requirements.lock kubernetes-validate==1.37.0
	$(BIN)/python -m pytest -m kubernetes tests/kubernetes

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile autoloss/workflow
	$(BIN)/snakemake --lint
	$(BIN)/mypy

# Training speed against peers, in docs/performance.md: a quarter of an hour, nothing else running.
PEERS := $(basename $(notdir $(wildcard benchmarks/systems/*.txt)))

benchmark: setup $(PEERS:%=benchmarks/.venvs/%/ready)
	$(BIN)/python benchmarks/peers.py > docs/performance.new
	mv docs/performance.new docs/performance.md

benchmarks/.venvs/%/ready: benchmarks/systems/%.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -r $<
	touch $@

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile autoloss/workflow

# Resolve pyproject.toml anew, in a fresh environment, and pin what came: for pip and for conda.
lock:
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet $(PIP_ARGS) '.[dev]'
	.venv-lock/bin/python -m pip freeze --all --exclude pip --exclude autoloss | sed 's/+cpu$$//' > requirements.lock
	rm -rf .venv-lock
	$(MAKE) environment.yml

environment.yml: requirements.lock
	{ sed '/^  - pip:/q' environment.yml; sed 's/^/    - /' requirements.lock; } > environment.new
	mv environment.new environment.yml

# Everything that was computed, but not the data; the environment stays.
clean:
	find results figures -mindepth 1 -maxdepth 1 -type d ! -name reference -exec rm -rf {} +
	rm -rf logs .snakemake
