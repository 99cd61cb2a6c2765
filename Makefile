VENV ?= .venv
BIN := $(VENV)/bin
DEMO := pcaps/damaged/demo.pcap --sa pcaps/damaged/demo.toml

.PHONY: demo test check bench clean
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

bench: $(VENV)/.ready
	$(BIN)/virtionet-ipsec bench

clean:
	rm -rf $(VENV) out build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
