# What people type. Everything runs in .venv, which is made when a target first needs it.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo why test check slurm bench precision losses clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

install: $(INSTALLED) ## make .venv with all packages, and nothing else

demo: $(INSTALLED) ## run the whole workflow on generated clips, on a CPU, and show the recall table
	@$(BIN)/python -m gram.demo

why: $(INSTALLED) ## say what a start would run and why; WITH="--profile slurm" and the like go to Snakemake
	@$(BIN)/python -m gram.why $(WITH)

test: check ## run every check and test, the demo and a private Slurm included (minutes)
	$(BIN)/pytest -m demo
	$(BIN)/pytest -m slurm

check: $(INSTALLED) ## check format, types, layers and rules, and run all tests but the demo's and Slurm's
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/mypy gram workflow/scripts
	$(BIN)/lint-imports
	$(BIN)/snakemake --lint
	$(BIN)/pytest -m "not gpu and not demo and not slurm" -n auto --maxprocesses 4 \
		--dist loadfile --no-loadscope-reorder

slurm: $(INSTALLED) ## test `snakemake --profile slurm` on a private Slurm of this machine (minutes)
	$(BIN)/pytest -m slurm -rs

# Passive: a thread that waits gives its core away, so that other work on the machine costs its share
# alone; threads that spin made many short steps ten times slower there.
bench: $(INSTALLED) ## measure volume, extraction, shards, loader and training, into docs/benchmarks.md
	@OMP_WAIT_POLICY=passive $(BIN)/python -m bench.bench

precision: $(INSTALLED) ## train the demo in float32 and bfloat16, three seeds each, and compare (half an hour)
	$(BIN)/pytest -m slow tests/demo/test_precisions.py -s

losses: $(INSTALLED) ## train five losses on the demo's clips, three seeds each, and show their table (10 minutes)
	@$(BIN)/python -m gram.demo losses

clean: ## remove results, logs and benchmarks; data and .venv stay
	rm -rf results logs benchmarks .snakemake

# A .venv whose python or pip does not run (moved, half made) is made anew.
$(INSTALLED): pyproject.toml constraints.txt
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
		$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
			echo "Python 3.11 or later is needed; $(PYTHON) is" \
				"$$($(PYTHON) --version 2>&1 || true)." \
				"Name another one: make demo PYTHON=python3.12" >&2; \
			exit 1; \
		}; \
		$(PYTHON) -m venv --clear .venv || { \
			echo "$(PYTHON) cannot make .venv. On Debian and Ubuntu: apt install python3-venv" >&2; \
			exit 1; \
		}; \
	}
	@echo "Installing the packages of constraints.txt into .venv (once; minutes, 6 GB)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-c constraints.txt -e '.[workflow,tracking,dev]'
	@touch $@
