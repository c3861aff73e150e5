# make demo   stream the shipped brain scan through a server on loopback; results in out/demo
# make test   all tests
# make soak   what takes hours: memory over 2,000 repetitions and 200 scans, a volume of 320 x 320 x 256 (16 GiB of
#             memory and disk), 100,000 mutated sessions
# make lint   ruff
# make image  the container, where a Docker engine runs

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test soak lint image clean

demo: .venv/installed
	$(BIN)/python tools/demo.py --output out/demo

test: .venv/installed
	$(BIN)/python -m pytest

soak: .venv/installed
	$(BIN)/python tools/soak.py repetitions
	$(BIN)/python tools/soak.py volume
	$(BIN)/python tools/soak.py scans
	$(BIN)/python tools/soak.py fuzz

lint: .venv/installed
	$(BIN)/ruff check gadgets tools tests
	$(BIN)/ruff format --check gadgets tools tests

image:
	docker build -t snrstream .

clean:
	rm -rf .venv out

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[cpu,train,dev]'
	touch $@
