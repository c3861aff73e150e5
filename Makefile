# make demo   stream the shipped brain scan through a server on loopback; results in out/demo
# make test   all tests; PYTEST="-m needs_data" gives pytest further arguments
# make lint   ruff: faults and format
# make types  mypy
# make check  lint, types and test
# make soak   what takes an hour: memory over 2,000 repetitions and 200 scans, a volume of 320 x 320 x 256 (16 GiB of
#             memory and disk), 200 clients that die, 100,000 mutated sessions
# make image  the container, where a Docker engine runs

PYTHON ?= python3
BIN := .venv/bin
PYTEST ?=

.PHONY: demo test lint types check soak image clean

demo: .venv/installed
	$(BIN)/python tools/demo.py --output out/demo

# Two processes, each with whole files of tests, which share servers and trained models.
test: .venv/installed
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(PYTEST)

lint: .venv/installed
	$(BIN)/ruff check gadgets tools tests examples stubs
	$(BIN)/ruff format --check gadgets tools tests examples stubs

types: .venv/installed
	$(BIN)/mypy --strict gadgets tools

check: lint types test

soak: .venv/installed
	$(BIN)/python tools/soak.py repetitions
	$(BIN)/python tools/soak.py volume
	$(BIN)/python tools/soak.py scans
	$(BIN)/python tools/soak.py clients
	$(BIN)/python tools/soak.py fuzz

image:
	docker build -t snrstream .

clean:
	rm -rf .venv out

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[cpu,openvino,train,dev]'
	touch $@
