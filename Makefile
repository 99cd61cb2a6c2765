VENV ?= .venv
BIN := $(VENV)/bin
DEMO := pcaps/damaged/demo.pcap --sa pcaps/damaged/demo.toml

.PHONY: demo test check conformance figures wheel bench clean
.DEFAULT_GOAL := demo

# One virtual environment with the package, its tests and its tools; made anew when the project file changes.
$(VENV)/.ready: pyproject.toml
	python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(VENV)/.ready
	@mkdir -p out
	$(BIN)/virtionet-ipsec replay $(DEMO) --report out/report.json --packets out/packets.jsonl --write out/received.pcapng
	@echo
	$(BIN)/virtionet-ipsec explain $(DEMO) --packet 12
	@echo
	@echo "out/ has the report, a line for each packet, and received.pcapng for Wireshark."

test: $(VENV)/.ready
	$(BIN)/python -m pytest -q -n auto

check: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The model before its own judges, in both profiles.
conformance: $(VENV)/.ready
	$(BIN)/virtionet-ipsec conformance device
	$(BIN)/virtionet-ipsec conformance device --profile rfc-v1
	@mkdir -p out
	$(BIN)/virtionet-ipsec record pcaps/outbound/gateway.pcapng --sa pcaps/outbound/gateway.toml -o out/session.jsonl
	$(BIN)/virtionet-ipsec conformance driver out/session.jsonl

# How far the judges are themselves tested.
figures: $(VENV)/.ready
	$(BIN)/python -m pytest -q -s tests/mutants/test_figures.py

# What people install has the catalogue inside.
wheel: $(VENV)/.ready
	rm -rf out/wheel
	$(BIN)/python -m build --quiet --wheel --outdir out/wheel
	python3 -m venv out/wheel/venv
	out/wheel/venv/bin/python -m pip install --quiet --disable-pip-version-check out/wheel/*.whl
	cd out/wheel && venv/bin/virtionet-ipsec spec show D12 && venv/bin/virtionet-ipsec conformance device

bench: $(VENV)/.ready
	$(BIN)/virtionet-ipsec bench

clean:
	rm -rf $(VENV) out build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
