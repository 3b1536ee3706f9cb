# Everything a newcomer or CI needs: make demo, make test. For developers: make check, make bench, make fix.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check fix docs proto bench fuzz again debs clean

# The demo needs what a user installs and no more; the tests and checks need the developers' packages.
$(STAMP)-user: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing flowcore and the embedded speech engine into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[moonshine]'
	@touch $@

$(STAMP)-dev: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing flowcore and what its tests need into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[all,dev]'
	@touch $@ $(STAMP)-user

# One simulated call with two real voices, transcribed and recorded: no account, no sound card, no download.
demo: $(STAMP)-user
	@$(BIN)/python tools/demo.py

test: debs $(STAMP)-dev
	@$(BIN)/python -m pytest -n 2 --dist worksteal

# Everything but the tests that run the speech model or a whole process under load.
check: $(STAMP)-dev
	@$(BIN)/ruff format --check -q .
	@$(BIN)/ruff check -q .
	@$(BIN)/mypy
	@$(BIN)/flowcore check graphs/*.yaml
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m "not model and not slow"

fix: $(STAMP)-dev
	@$(BIN)/ruff check -q --fix .
	@$(BIN)/ruff format -q .

# What is written by code: the reference of nodes, the schema that editors read, a picture.
docs: $(STAMP)-dev
	@$(BIN)/flowcore nodes --markdown > docs/nodes.md
	@$(BIN)/flowcore schema -o docs/graph.schema.json
	@$(BIN)/flowcore graph graphs/transcribe.yaml -o docs/transcribe.svg

# The classes of a .proto. Written by a compiler that is old on purpose: its code runs with the protobuf of its own major
# version and of the next (6 and 7), so users are not bound to the newest. A test says when they are not current.
PROTOC := grpcio-tools==1.72.2
proto: $(STAMP)-dev
	@test -d build/protoc || $(BIN)/python -m pip install --quiet --disable-pip-version-check --target build/protoc $(PROTOC)
	@PYTHONPATH=build/protoc $(BIN)/python -W ignore -m grpc_tools.protoc -I. --python_out=. --pyi_out=. nodes/ringcx/*.proto

bench: $(STAMP)-dev
	@$(BIN)/python -m tests.bench

# A million hostile inputs for each parser, led by the code they reach: about 25 minutes. Not part of `make test`.
fuzz: $(STAMP)-dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check atheris || echo "no atheris for this Python: mutating at random"
	@$(BIN)/python -m tests.fuzz

# The whole suite many times in other orders: a test that fails once in fifty hides a race. For the night.
TIMES ?= 50
again: debs $(STAMP)-dev
	@for seed in $$(seq $(TIMES)); do echo "order $$seed:"; \
		FLOWCORE_TEST_ORDER=$$seed $(BIN)/python -m pytest -n 2 --dist worksteal || exit 1; done

# Debian packages that the tests use. Without root their absence is an error of the test that needs them.
DEBS := sox graphviz chromium libportaudio2 pulseaudio pulseaudio-utils libasound2-plugins \
	asterisk-core-sounds-en-wav asterisk-core-sounds-en asterisk-moh-opsound-wav
DEBS += $(shell command -v npm >/dev/null || echo nodejs npm) # where Node.js is not installed in another way
debs:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! dpkg -s $(DEBS) >/dev/null 2>&1; then \
		echo "installing $(DEBS) …"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(DEBS) >/dev/null; \
	fi

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
