# Two commands work on a machine that has Python 3.11 and make: `make run` and `make test`.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
CHROMIUM := $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
NGINX := $(shell PATH="$$PATH:/usr/sbin" command -v nginx)
NPM := $(shell command -v npm)
CC := $(shell command -v cc)

# One process more than there are cores: the tests wait a lot.
IN_PARALLEL := --numprocesses $(shell expr $$(nproc) + 1) --dist loadfile
PYTEST := $(BIN)/python -m pytest $(IN_PARALLEL)

# What Cython compiles, and the tests that it shows in.
HOT := $(wildcard gws/*/*.pxd)
HOT := $(HOT) $(HOT:.pxd=.py)
COMPILED_TESTS := tests/test_compiled.py tests/connection \
	$(filter-out %/test_handshake.py %/test_origins.py,$(wildcard tests/protocol/test_*.py)) \
	$(patsubst %,tests/conversation/test_%.py,async_batches configuration generators handler_errors receive_loop returns)

# What opens no socket.
QUICK_TESTS := tests/test_layers.py tests/test_metrics.py tests/test_settings.py tests/test_privates.py tests/protocol tests/hub \
	$(patsubst %,tests/cluster/test_%.py,envelope ids registry sequences) \
	$(patsubst %,tests/conversation/test_%.py,handlers query_params) \
	$(patsubst %,tests/connection/test_%.py,keepalive_rule outbox states)

# What a Python can break: what opens no socket, what is asynchronous, conversations, and the samples of README.md and docs.
EVERY_PYTHON_TESTS := $(filter-out tests/conversation/%,$(QUICK_TESTS)) tests/test_compiled.py tests/aio tests/conversation \
	tests/end_to_end/test_docs.py

# The Pythons that gws supports and that this machine has.
PYTHONS ?= $(shell for minor in 10 11 12 13 14; do python3.$$minor -c "" 2>/dev/null && echo python3.$$minor; done; true)

# Errors of GCC 14 and Clang 16, of which older compilers only warn.
STRICT_C := CFLAGS="$(addprefix -Werror=,implicit-function-declaration incompatible-pointer-types int-conversion)"

# An index takes what passes this; the tools are those of the environment.
CHECK_DIST = PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m release.repair dist && $(BIN)/twine check --strict dist/*

# `make test T=rooms` runs the tests with that in their name or in that of their file.
T :=

.PHONY: run check format test lint types pytest compiled every-way every-python pure-quick compiled-quick outages coverage browser nginx node compiler bench bench-quick bench-fan-out compliance \
	fuzz package wheel clean

run: $(VENV)/.installed
	$(BIN)/python app.py

# While writing: half a minute.
check: lint types
	$(PYTEST) --dist worksteal $(QUICK_TESTS)

format: $(VENV)/.installed-for-tests
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format --quiet .

ifeq ($(T),)
test: lint types pytest compiled
else
test: $(VENV)/.installed-for-tests
	$(PYTEST) -k "$(T)"
endif

lint: $(VENV)/.installed-for-tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.installed-for-tests
	$(BIN)/mypy

# A test that knows several ways to run a server runs in one of them, the tests by turns.
pytest: $(VENV)/.installed-for-tests browser nginx node
	$(PYTEST) --one-way

# The tests above run gws's sources.
compiled: $(VENV)/.installed-for-tests
	@if $(BIN)/python -c "import gws; exit(not gws.is_compiled)"; \
	then GWS_PURE_PYTHON= $(PYTEST) --one-way $(COMPILED_TESTS); \
	else echo "The compiled modules are not tested: to build them takes a C compiler and Python's headers."; fi

# All tests in each way that they know, half as long again.
every-way: $(VENV)/.installed-for-tests browser nginx node
	$(PYTEST)
	GWS_PURE_PYTHON= $(PYTEST) $(COMPILED_TESTS)

# The sources and what is compiled, on each Python in an environment of its own: `make every-python PYTHONS=python3.10`.
every-python:
	$(if $(strip $(PYTHONS)),,$(error None of python3.10 to python3.14 is on PATH. Name one: make every-python PYTHONS=/path/of/python3.12))
	@failed=; for python in $(PYTHONS); do \
		echo "With $$python:"; \
		$(MAKE) pure-quick compiled-quick PYTHON=$$python VENV=$(VENV)/$$(basename $$python) || failed="$$failed $$python"; \
	done; \
	if [ -n "$$failed" ]; then echo "Tests failed with$$failed; what failed is above."; exit 1; fi

pure-quick: $(VENV)/.installed-for-tests
	GWS_PURE_PYTHON=1 $(PYTEST) --one-way $(EVERY_PYTHON_TESTS)

compiled-quick: $(VENV)/.installed-for-tests
	@$(BIN)/python -c "import gws, gws.compiled; gws.is_compiled or exit('The modules are not compiled: ' + gws.compiled.why_not())"
	GWS_PURE_PYTHON= $(PYTEST) --one-way $(COMPILED_TESTS)

# Valkey is killed under idle workers, a hundred times.
outages: $(VENV)/.installed-for-tests
	OUTAGES=50 $(BIN)/python -m pytest tests/backplane/test_engine_outages.py -k idle

# The tests, half as long again, and the branches that they do not take.
coverage: $(VENV)/.installed-for-tests browser nginx node
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(IN_PARALLEL) --one-way
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# gws beside its peers, a quarter of an hour and more, into docs/performance.
bench: $(VENV)/.installed-for-tests compiler node
	$(BIN)/python benchmarks/bench.py --into docs/performance

# Every workload in miniature, half a minute: does it work?
bench-quick: $(VENV)/.installed-for-tests compiler
	$(BIN)/python benchmarks/bench.py --quick

# Several workers as one server, beside Flask-SocketIO's, five minutes, into docs/performance.
bench-fan-out: $(VENV)/.installed-for-tests compiler
	$(BIN)/python benchmarks/fan_out.py --into docs/performance

# The Autobahn testsuite, each way to run a server.
compliance: $(VENV)/.installed-for-tests
	$(BIN)/python -m compliance.run --compression

# A minute for each of what reads bytes from strangers.
fuzz: $(VENV)/.installed-for-tests
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[fuzz]'
	set -e; for target in frames messages handshake; do GWS_PURE_PYTHON=1 $(BIN)/python -m fuzz.run $$target -max_total_time=60; done

# What an index gets, into dist; REPOSITORY is the address of the sources, which its page links to.
package: $(VENV)/.installed-for-release
	rm -rf dist
	$(STRICT_C) GWS_REPOSITORY=$(REPOSITORY) $(BIN)/python -m build
	$(CHECK_DIST)
	$(BIN)/python -m pytest release

# The compiled wheel for this Python and this machine, into dist; it is installed where there is no compiler, and serves there.
wheel: $(VENV)/.installed-for-release
	rm -rf dist
	$(STRICT_C) GWS_REPOSITORY=$(REPOSITORY) $(BIN)/python -m build --wheel
	$(CHECK_DIST)
	$(BIN)/python -m pytest release/test_wheels.py -k built

# The page is tested in a real browser: Debian's, where there is none and apt may install it.
browser:
ifeq ($(CHROMIUM),)
	apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium
endif

# So are the configuration of docs/deploy.md and one more client.
nginx:
ifeq ($(NGINX),)
	apt-get update -qq && apt-get install -y -qq --no-install-recommends nginx
endif

node:
ifeq ($(NPM),)
	apt-get update -qq && apt-get install -y -qq --no-install-recommends nodejs npm
endif

compiler:
ifeq ($(CC),)
	apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev
endif

# Without what Cython would compile, which takes half a minute that the example does not need.
$(VENV)/.installed: setup.cfg setup.py pyproject.toml requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	GWS_PURE_PYTHON=1 $(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -e .
	touch $@

$(VENV)/.installed-for-tests: $(VENV)/.installed $(HOT) | compiler
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@

$(VENV)/.installed-for-release: $(VENV)/.installed-for-tests
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[release]'
	touch $@

clean:
	rm -rf $(VENV) instance build dist *.egg-info gws/*/*.so .coverage .mypy_cache .pytest_cache .ruff_cache
