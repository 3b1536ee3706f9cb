# `make` alone lists the targets. The two main targets are demo and test; CI runs both.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal

# Every install uses the tested versions, also of the build backend. pip reads the constraints of isolated
# builds from the first variable up to pip 25.2, and from the second one since.
PIP := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help demo test coverage check lint fix docs picture site proto bench fuzz conformance again upgrade test-oldest debs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# The demo installs only the packages of users; tests and checks need the developers' packages too.
$(STAMP)-user: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing flowcore and the embedded speech engine into $(VENV) …"
	@$(PIP) -e '.[moonshine]'
	@touch $@

$(STAMP)-dev: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing flowcore and its developer packages into $(VENV) …"
	@$(PIP) -e '.[all,dev]'
	@touch $@ $(STAMP)-user

demo: $(STAMP)-user ## transcribe and record a simulated call with two real voices: no account, no sound card
	@$(BIN)/python tools/demo.py

test: debs $(STAMP)-dev ## run all tests
	@$(PYTEST)

coverage: debs $(STAMP)-dev ## run all tests and list the files with the least branch coverage, also of processes that tests start
	@$(PYTEST) --cov --cov-report=; $(BIN)/coverage report --skip-covered --sort=cover

lint: $(STAMP)-dev ## check format, lint, types and graphs
	@$(BIN)/ruff format --check -q .
	@$(BIN)/ruff check -q .
	@$(BIN)/mypy
	@$(BIN)/flowcore check graphs/*.yaml

# These tests often wait for sockets: three processes fill two cores.
check: debs lint ## run lint and the quick tests (no speech model, no slow tests): under a minute
	@$(PYTEST) -n 3 -m "not model and not slow"

fix: $(STAMP)-dev ## format, and apply ruff's automatic fixes
	@$(BIN)/ruff check -q --fix .
	@$(BIN)/ruff format -q .

docs: $(STAMP)-dev ## write the generated pages: nodes, events, metrics, schema, a picture, the tests of each fault
	@$(BIN)/flowcore nodes --markdown > docs/nodes.md
	@$(BIN)/flowcore events --markdown > docs/events.md
	@$(BIN)/flowcore metrics --markdown > docs/metrics.md
	@$(BIN)/flowcore schema -o docs/graph.schema.json
	@$(BIN)/flowcore graph graphs/transcribe.yaml -o docs/transcribe.svg
	@$(BIN)/python -m tests.faults.table

picture: $(STAMP)-dev ## draw docs/top.svg: a real run with ten calls
	@$(BIN)/python -m tests.top.picture

site: $(STAMP)-dev ## build the pages as a site in build/site; a dead link or a page outside the index is an error
	@$(BIN)/python tools/build_site.py

# The classes of a .proto. The compiler is old on purpose: its code runs with the protobuf of its own major version and of
# the next (6 and 7), so users do not need the newest. A test fails when the classes are not current.
PROTOC := grpcio-tools==1.72.2
proto: $(STAMP)-dev ## generate the classes of the .proto files
	@test -d build/protoc || $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target build/protoc $(PROTOC)
	@PYTHONPATH=build/protoc $(BIN)/python -W ignore -m grpc_tools.protoc -I. --python_out=. --pyi_out=. nodes/ringcx/*.proto

bench: $(STAMP)-dev ## measure every budget
	@$(BIN)/python -m tests.bench

fuzz: $(STAMP)-dev ## run each parser with a million hostile inputs, guided by coverage: about 25 minutes
	@$(PIP) -e '.[fuzz]' || echo "no atheris for this Python: mutating at random"
	@$(BIN)/python -m tests.fuzz

KOSOKU := kosoku==0.1.0
conformance: $(STAMP)-dev ## run Autobahn's cases against an echo on the port
	@test -d build/kosoku || $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target build/kosoku $(KOSOKU)
	@PYTHONPATH=build/kosoku $(BIN)/python -m tests.conformance

# A test that fails once in fifty runs has a race. Run this overnight.
TIMES ?= 50
again: debs $(STAMP)-dev ## run all tests TIMES=50 times, each time in another order
	@for seed in $$(seq $(TIMES)); do echo "order $$seed:"; \
		FLOWCORE_TEST_ORDER=$$seed $(PYTEST) || exit 1; done

$(BIN)/uv: constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) uv
	@touch $@

upgrade: debs $(BIN)/uv ## put the newest version of every package into constraints.txt, run all checks, show the diff
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --upgrade --no-annotate \
		--custom-compile-command "make upgrade" --output-file constraints.txt pyproject.toml
	@$(MAKE) --keep-going lint test site; failed=$$?; git --no-pager diff constraints.txt; exit $$failed

# Indirect dependencies are installed in the newest version: pyproject.toml has no bounds for them.
test-oldest: debs $(BIN)/uv ## run all tests with the lower bounds of pyproject.toml, on Python 3.11, in build/oldest
	@$(BIN)/uv venv --quiet --clear --python 3.11 build/oldest
	@$(BIN)/uv pip install --quiet --python build/oldest/bin/python --resolution lowest-direct -e '.[all,dev]'
	@build/oldest/bin/python -m pytest -n 2 --dist worksteal

# Debian packages that the tests use. Without root, a test fails if its package is missing.
DEBS := sox graphviz chromium libportaudio2 pulseaudio pulseaudio-utils libasound2-plugins \
	asterisk-core-sounds-en-wav asterisk-core-sounds-en asterisk-moh-opsound-wav nginx haproxy caddy postgresql systemd iproute2 \
	prometheus
DEBS += $(shell command -v npm >/dev/null || echo nodejs npm) # where Node.js is not installed in another way
debs: ## install the Debian packages that the tests use, as root on Debian
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! dpkg -s $(DEBS) >/dev/null 2>&1; then \
		echo "installing $(DEBS) …"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(DEBS) >/dev/null; \
	fi

clean: ## remove the environment and all build outputs
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
