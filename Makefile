# The commands of the README. Only a Python is needed: `make train PYTHON=python3.12` selects another one.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
PACKAGING := setup.cfg setup.py pyproject.toml constraints.txt
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: setup train test test-slow test-warp test-slurm lint docs fuzz bench wheel clean help

help:
	@echo "make train [ARGS=\"motion=run\"]   train, then write a checkpoint, curves and a video"
	@echo "make test  [ARGS=\"-k motion\"]    run the tests"
	@echo "make test-slow                     run the slow tests: killed trainings, a wandb that never answers"
	@echo "make test-slurm                    run the batch scripts on a local SLURM"
	@echo "make docs                          build the documentation into build/site"
	@echo "make setup | lint | fuzz | bench | wheel | clean"

setup: $(VENV)/.installed

$(VENV)/.installed: $(PACKAGING)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing amp_train into $(VENV) (about two minutes the first time) ..."
	@$(INSTALL) -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@$(INSTALL) -e ".[test,lint,slurm,docs]" build
	@touch $@

train: $(VENV)/.installed
	$(BIN)/amp-train task=HumanoidAMP $(ARGS)

test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

test-slow: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow -n auto --dist load $(ARGS)

# MuJoCo Warp on the CPU; its kernels are compiled into WARP_CACHE_PATH, once.
test-warp: $(VENV)/.installed-dev
	@$(INSTALL) -e ".[gpu]"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m warp $(ARGS)

# A SLURM with three nodes on this machine, from Debian's packages, for the batch scripts and the sweep launcher.
test-slurm: $(VENV)/.installed-dev
	@dir=$$(mktemp -d) && trap "scripts/slurm/local_cluster.sh stop $$dir; rm -rf $$dir" EXIT && trap "exit 1" INT TERM && \
	scripts/slurm/local_cluster.sh start $$dir && \
	SLURM_CONF=$$dir/slurm.conf $(BIN)/python -m pytest -m slurm -n 6 --dist loadfile tests/slurm $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python scripts/check_isaacgym_types.py
	$(BIN)/vermin --quiet --no-tips --eval-annotations --target=3.8- --violations amp_train scripts setup.py
	$(BIN)/python -m pytest tests/test_architecture.py tests/docs
	$(MKDOCS)

# The site; a dead link is an error. scripts/generate_docs.py writes the tables of keys and results.
docs: $(VENV)/.installed-dev
	$(BIN)/python scripts/generate_docs.py
	$(MKDOCS)

# Ten minutes of property tests, then coverage-guided fuzzing of each loader; ARGS: seconds for each.
fuzz: $(VENV)/.installed-dev
	@$(INSTALL) -e ".[fuzz]"
	FUZZ_FACTOR=50 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/fuzz
	OMP_NUM_THREADS=1 $(BIN)/python scripts/fuzz.py $(or $(ARGS),120)

bench: $(VENV)/.installed
	$(BIN)/python scripts/bench.py $(if $(task),task=$(task)) $(ARGS)

wheel: $(VENV)/.installed-dev
	$(BIN)/python -m build --outdir dist .

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
