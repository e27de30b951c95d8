# Two commands do everything on a machine with Python, pip, make and a C compiler: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
READY := $(VENV)/.ready
TRAINS := $(VENV)/.trains

.PHONY: setup demo test check fix bench lock clean

setup: $(READY) $(TRAINS)

# requirements.lock holds the versions everything was tested with; `make lock` renews it.
$(READY): pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade "pip>=25.1"
	$(PIP) --constraint requirements.lock --editable '.[all-cpu]' --group dev
	$(BIN)/python -m compileall -q src
	touch $(READY)

# torch alone and first, so that the rest leaves the build that the index gives (CPU, where it has one) as it is.
$(TRAINS): $(READY)
	$(PIP) torch==2.13.0
	$(PIP) --constraint requirements.lock --editable '.[all-cpu,train]'
	touch $(TRAINS)

demo: $(READY)
	$(BIN)/upcycle models fetch smollm2
	$(BIN)/python examples/demo.py

test: $(TRAINS)
	$(BIN)/upcycle models fetch smollm2
	$(BIN)/upcycle models fetch minilm
	$(BIN)/python -m pytest -n 2

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyrefly check
	$(MAKE) test

fix: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/resume.py
	$(BIN)/python benchmarks/faults.py
	$(BIN)/python benchmarks/footprint.py
	$(BIN)/python benchmarks/six_tasks.py
	$(BIN)/python benchmarks/report_page.py

lock:
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --editable '.[all-cpu,train]' --group dev
	$(BIN)/python -m pip freeze --exclude-editable > requirements.lock

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache
