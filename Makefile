# The commands of a working day. Each works as the first one on a fresh clone.

PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin
READY := $(VENV)/.ready

# Where the compiled protocol is tried out: beside the sources, never among them.
COMPILED := build/compiled

.PHONY: help demo test test-compiled compiled lint format bench wheel clean tools

help:
	@echo "make demo    the first minute: a download that outlives its uplink, in namespaces (root)"
	@echo "make test    lint and all tests; the ones on the real kernel need root"
	@echo "make test-compiled  the protocol's tests once more, with the protocol compiled"
	@echo "make wheel   a wheel for this machine's Python, its protocol compiled, in dist/"
	@echo "make lint    ruff, mypy --strict, import arrows"
	@echo "make bench   speed beside the kernel's TCP and other stacks (root; several minutes)"
	@echo "make format  let ruff format the sources"
	@echo "make clean   remove the virtual environment and caches"

demo: $(READY) tools
	$(RUN)/omtcp lab demo

# Tests in real time mostly wait: those that do so longest run beside all others, in namespaces of
# their own.
WAITING := $(foreach name,bench flood lab paths serve_lifecycle workers workers_paths,\
	tests/interop/test_$(name).py)

# Two runs of pytest at once; what the first has to say follows when both are done.
beside = mkdir -p build; \
	$(RUN)/pytest -q -p no:cacheprovider $(1) >build/beside.txt 2>&1 & beside=$$!; \
	$(RUN)/pytest -q $(2); rest=$$?; \
	wait $$beside; beside=$$?; \
	cat build/beside.txt; \
	exit $$((beside + rest))

test: $(READY) tools lint
	@$(call beside,$(WAITING),$(addprefix --ignore=,$(WAITING)))

# Compiled without optimization: it is to be right here, not fast. An assertion of the protocol or
# a type that does not hold fails in either form, but not always in the same way.
test-compiled: $(READY) tools compiled
	@export PYTHONPATH=$(COMPILED) OMTCP_REQUIRE_COMPILED=1; \
	$(call beside,tests/scenario tests/machine,\
		tests/unit/wire tests/unit/core tests/unit/net tests/unit/aio tests/unit/sim \
		tests/script tests/fuzz tests/interop/test_serve.py)

compiled: $(COMPILED)/.ready

$(COMPILED)/.ready: $(READY) hatch_build.py $(shell find src -name '*.py')
	@echo "compiling the protocol into $(COMPILED)"
	rm -rf $(COMPILED)
	OMTCP_COMPILE=fast $(RUN)/pip install --quiet --disable-pip-version-check --no-deps \
		--target $(COMPILED) .
	@touch $@

wheel: $(READY)
	OMTCP_COMPILE=1 $(RUN)/pip wheel --quiet --disable-pip-version-check --no-deps -w dist .

lint: $(READY)
	$(RUN)/ruff check src tests bench hatch_build.py
	$(RUN)/ruff format --check src tests bench hatch_build.py
	$(RUN)/mypy
	$(RUN)/lint-imports

bench: $(VENV)/.bench tools
	$(RUN)/omtcp bench

format: $(READY)
	$(RUN)/ruff check --fix src tests bench
	$(RUN)/ruff format src tests bench

$(READY): pyproject.toml
	@echo "installing omtcp and what it needs into $(VENV)"
	$(PYTHON) -m venv $(VENV)
	$(RUN)/pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(RUN)/pip install --quiet --disable-pip-version-check --editable ".[lab]" \
		--group test --group lint
	@touch $@

# What is measured beside us, and with what: not needed for anything else. The peers from Debian are
# measured if they can be had.
$(VENV)/.bench: $(READY) tools
	@echo "installing what the bench needs into $(VENV), and peers from Debian"
	$(RUN)/pip install --quiet --disable-pip-version-check --group bench
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq slirp4netns passt >/dev/null 2>&1 \
			|| echo "without slirp4netns and passt, then"; \
	fi
	@touch $@

# Debian packages, only those that are missing and only where we may install them.
tools:
	@missing=""; \
	command -v ip >/dev/null || missing="$$missing iproute2"; \
	command -v ethtool >/dev/null || missing="$$missing ethtool"; \
	command -v curl >/dev/null || missing="$$missing curl"; \
	command -v sysctl >/dev/null || missing="$$missing procps"; \
	command -v nft >/dev/null || missing="$$missing nftables"; \
	if [ -n "$$missing" ]; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "installing Debian packages:$$missing"; \
			apt-get update -qq && \
			DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; \
		else \
			echo "please install:$$missing"; exit 1; \
		fi; \
	fi

clean:
	rm -rf $(VENV) $(COMPILED) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
