# Everything sets itself up: Python >= 3.11, make and git are all a machine needs.
# `make` alone lists the targets; PYTHON=python3.13 chooses the Python of a new .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
AWS_CLI := awscli==1.46.3
SEEDS ?= 2000
SHARED_SEEDS ?= 40
SCHEDULES ?= 10000

# Bytecode goes beside the packages, not into src: `make run` uploads src and compares.
export PYTHONPYCACHEPREFIX := $(CURDIR)/$(VENV)/pycache
# Containers like to set it, and then each command that a test starts compiles all of src.
unexport PYTHONDONTWRITEBYTECODE
# uv then trusts what the system trusts: a company's proxy, for one.
export UV_SYSTEM_CERTS ?= true

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: $(VENV)/for-run ## Upload src three times to an embedded store in .s3, and print the table
	@find src -name __pycache__ -type d -prune -exec rm -rf {} +
	@rm -rf .s3/test-bucket/lala
	$(BIN)/s3-upload perf-data -n 3 ./src test-bucket lala --embedded .s3

# Tests of the simulator take seconds each and stand together: who is done steals some of them (worksteal).
.PHONY: test
test: $(VENV)/for-test ## Run all tests (ARGS="-k name" goes to pytest)
	@$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

# Apart from `test`, which it slows down. ARGS="tests/unit --cov-fail-under=0" measures a part.
.PHONY: coverage
coverage: $(VENV)/for-coverage ## Run all tests, and say which branches of src none of them takes; less than 94 % fails
	@$(BIN)/python -m pytest -n auto --dist worksteal --cov --cov-report=term $(ARGS)

# In a place of its own, beside the newest versions. Only uv can choose the lowest.
.PHONY: test-lowest
test-lowest: $(VENV)/for-test ## Run all tests with the lowest versions that pyproject.toml allows (Python 3.11)
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV)/lowest
	@$(BIN)/uv pip install --quiet --python $(VENV)/lowest/bin/python --resolution lowest-direct \
		-e '.[embedded,adapters,crt,socks]' --group test
	@$(VENV)/lowest/bin/python -m tests.lowest
	@$(VENV)/lowest/bin/python -m pytest -n auto --dist worksteal $(ARGS)

.PHONY: screens
screens: $(VENV)/for-test ## Show what a terminal shows of made-up runs (ARGS=--write keeps it)
	@$(BIN)/python -m tests.screens $(ARGS)

# The first run builds MinIO and VersityGW with Go, which takes minutes; without Go they are left out.
.PHONY: test-stores
test-stores: $(VENV)/for-stores ## Upload to MinIO (through proxies, too), VersityGW, rclone and moto (ARGS=--write)
	@$(BIN)/python -m tests.stores $(ARGS)
	@$(BIN)/python -m tests.stores.proxied

.PHONY: test-settings
test-settings: $(VENV)/for-test $(VENV)/awscli/bin/aws ## Read each setting with the AWS CLI and with ours (ARGS=--write)
	@$(BIN)/python -m tests.settings $(ARGS)

# Beside MinIO, which is built as for test-stores, the AWS CLI, s5cmd and rclone. Not part of .ci/run.
.PHONY: test-sync
test-sync: $(VENV)/for-stores $(VENV)/for-peers $(VENV)/awscli/bin/aws ## What a sync costs where all is there; others' uploads are known; who sends what
	@$(BIN)/python -m tests.sync $(ARGS)

# The first run installs a headless Chromium where it may (root on Debian or Ubuntu), and says so where not.
.PHONY: test-page
test-page: $(VENV)/for-page ## Look at the page about a run in Chromium: phone, desktop, dark, hover, zoom
	@$(BIN)/python -m tests.page $(ARGS)

.PHONY: screenshots
screenshots: $(VENV)/for-page ## The same, and new pictures of the page in docs/images
	@$(BIN)/python -m tests.page --write

.PHONY: test-crash
test-crash: $(VENV)/for-stores ## Kill uploads to MinIO at 100 random moments, and have each go on (ARGS="--help")
	@$(BIN)/python -m tests.stores.crash $(ARGS)

# Not part of .ci/run.
.PHONY: test-cluster
test-cluster: $(VENV)/for-test ## Upload to MinIO by a Dask cluster of three workers, of which one is killed (ARGS="--help")
	@$(BIN)/python -m tests.stores.cluster $(ARGS)

# Not part of .ci/run: it needs 60 GB of disk, and minutes.
.PHONY: test-big
test-big: $(VENV)/for-stores ## 5 GiB, 1000 files and stdin through MinIO; needs disk (ARGS="--help" tells more)
	@$(BIN)/python -m tests.stores.big $(ARGS)

.PHONY: sim
sim: $(VENV)/for-test ## Run the simulator: 2000 made-up worlds, 10000 losses beside the watchdog, 40 shared links
	@$(BIN)/python -m tests.sim --seeds $(SEEDS) --jobs 2 $(ARGS)
	@$(BIN)/python -m tests.sim.watchdog --schedules $(SCHEDULES)
	@$(BIN)/python -m tests.sim.shared --seeds $(SHARED_SEEDS)

.PHONY: sim-fleet
sim-fleet: $(VENV)/for-test ## Simulate 1 to 256 workers on one job, at a store that limits each prefix (docs/scale.md)
	@$(BIN)/python -m tests.sim.fleet_table $(ARGS)

.PHONY: check
check: $(VENV)/for-check ## Lint, formatting, types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	@echo "$(BIN)/mypy beside $(BIN)/basedpyright"
	@$(BIN)/basedpyright >$(VENV)/basedpyright.txt 2>&1 & beside=$$!; \
	$(BIN)/mypy; mypy=$$?; \
	wait $$beside; basedpyright=$$?; \
	cat $(VENV)/basedpyright.txt; \
	exit $$((mypy | basedpyright))

.PHONY: bench
bench: $(VENV)/for-test $(VENV)/for-peers ## Measure beside six other uploaders, an hour; needs Go and a RAM disk (ARGS="--help")
	@$(BIN)/python -m bench $(ARGS)

.PHONY: bench-quick
bench-quick: $(VENV)/for-test $(VENV)/for-peers ## The same in three minutes: fewer rows and files, beside s5cmd and obstore
	@$(BIN)/python -m bench --quick $(ARGS)

# Those that need Go build a store and more with it into .venv; without Go they say so.
.PHONY: bench-throttled
bench-throttled: $(VENV)/for-test $(VENV)/for-peers ## Measure at a store that refuses above a rate; needs Go (ARGS="--quick")
	@$(BIN)/python -m bench.throttled $(ARGS)

.PHONY: bench-outage
bench-outage: $(VENV)/for-test ## Cut the link to the store in mid-run; needs Go (ARGS="--quick")
	@$(BIN)/python -m bench.outage $(ARGS)

.PHONY: bench-latency
bench-latency: $(VENV)/for-test $(VENV)/for-peers ## Measure at a store that takes 100 ms for every answer; needs Go
	@$(BIN)/python -m bench.latency $(ARGS)

.PHONY: bench-processes
bench-processes: $(VENV)/for-test ## The command with one process, two, and as many as it takes itself; needs Go and a RAM disk
	@$(BIN)/python -m bench.processes $(ARGS)

.PHONY: bench-leases
bench-leases: $(VENV)/for-test ## What four processes take of one bandwidth, also where one is killed; needs Go, Linux and a RAM disk
	@$(BIN)/python -m bench.leases $(ARGS)

.PHONY: bench-million
bench-million: $(VENV)/for-test ## Time and memory of 10,000 to 1,000,000 files; needs Go, Linux, 6 GB of RAM disk, half an hour
	@$(BIN)/python -m bench.million $(ARGS)

.PHONY: bench-screen
bench-screen: $(VENV)/for-test ## What the screen says against the truth, and what it costs; needs Go and a RAM disk
	@$(BIN)/python -m bench.screen $(ARGS)

.PHONY: bench-descriptors
bench-descriptors: $(VENV)/for-test ## Count the sockets open where 5 % of requests fail; needs Go and Linux
	@$(BIN)/python -m bench.descriptors $(ARGS)

.PHONY: bench-bottleneck
bench-bottleneck: $(VENV)/for-test ## Make one thing scarce, and see whether a run names it; needs Go and Linux
	@$(BIN)/python -m bench.bottleneck $(ARGS)

# Not part of .ci/run: they need root and Linux, and say so where they have neither. `lab` takes hours.
.PHONY: lab
lab: $(VENV)/for-lab $(VENV)/for-peers $(VENV)/awscli/bin/aws ## Uploads beside other traffic on an emulated link; writes docs/shared-network.md
	@$(BIN)/python -m lab $(ARGS)

.PHONY: lab-quick
lab-quick: $(VENV)/for-lab $(VENV)/for-peers ## A two-minute subset of the lab, printed
	@$(BIN)/python -m lab --quick $(ARGS)

.PHONY: clean
clean: ## Remove all that the other targets made
	rm -rf $(VENV) .s3 dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the environment ------------------------------------------------------------------------------

# What each target needs, installed once and again when pyproject.toml changes.
$(VENV)/for-run: NEEDS := -e '.[embedded]'
$(VENV)/for-test: NEEDS := -e '.[embedded,adapters]' --group test
$(VENV)/for-coverage: NEEDS := -e '.[embedded,adapters]' --group test --group coverage
$(VENV)/for-check: NEEDS := -e '.[embedded,adapters]' --group test --group check
$(VENV)/for-stores: NEEDS := -e '.[embedded]' --group test --group stores
$(VENV)/for-page: NEEDS := -e '.[embedded,adapters]' --group test --group page
$(VENV)/for-lab: NEEDS := -e '.[embedded]' --group lab

# uv resolves in seconds what can take pip minutes; where it cannot be had or fails, pip does it.
$(VENV)/for-%: pyproject.toml | $(BIN)/python
	@echo "setting up $(VENV) for make $*" >&2
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv || true
	@$(BIN)/uv pip install --quiet --python $(BIN)/python $(NEEDS) || { \
		echo "uv could not do it: trying pip, which may take minutes" >&2; \
		$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1' && \
		$(BIN)/python -m pip install --quiet $(NEEDS); }
	@touch $@

# The uploaders to compare with, in a place of their own: they shall not change what we run with.
$(VENV)/for-peers: pyproject.toml | $(BIN)/python
	@echo "setting up $(VENV)/peers" >&2
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv || true
	@$(PYTHON) -m venv --clear $(VENV)/peers
	@$(BIN)/uv pip install --quiet --python $(VENV)/peers/bin/python --group peers || { \
		echo "uv could not do it: trying pip, which may take minutes" >&2; \
		$(VENV)/peers/bin/python -m pip install --quiet --upgrade 'pip>=25.1' && \
		$(VENV)/peers/bin/python -m pip install --quiet --group peers; }
	@touch $@

# In a place of its own: it insists on another botocore than ours. Of the version that docs/settings.md is about.
$(VENV)/awscli/bin/aws: | $(BIN)/python
	@$(PYTHON) -m venv $(VENV)/awscli
	@$(BIN)/uv pip install --quiet --python $(VENV)/awscli/bin/python $(AWS_CLI) || \
		$(VENV)/awscli/bin/python -m pip install --quiet $(AWS_CLI)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo \
		"$(PYTHON) is missing or older than 3.11; name a newer one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
