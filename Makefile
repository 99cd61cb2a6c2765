VENV ?= .venv
BIN := $(VENV)/bin
DEMO := pcaps/damaged/demo.pcap --sa pcaps/damaged/demo.toml

.PHONY: demo demo-linux interop interop-kernel test check conformance figures wheel bench soak fuzz clean
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

# Two Linux kernels in User Mode Linux, and the device between them: transparent IPsec against the kernel's own.
demo-linux: $(VENV)/.ready
	PYTHONPATH=tests $(BIN)/python -m interop.demo out/demo-linux

# Real peers: Linux in User Mode Linux and in QEMU, its IPsec, DPDK.  Ends with a table of what ran and what did not.
interop: $(VENV)/.ready
	$(BIN)/python -m pytest -q tests/interop

# A kernel for the guest in QEMU, out of its package and without being installed (Debian, no root needed).
interop-kernel:
	rm -rf out/kernel && mkdir -p out/kernel
	cd out/kernel && apt-get download -qq "$$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-\)/\1/p')"
	dpkg-deb -x out/kernel/*.deb out/kernel && rm out/kernel/*.deb

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

# Five million packets through a front end and a served back end, with faults: some minutes.
SOAK_PACKETS ?= 5000000
soak: $(VENV)/.ready
	$(BIN)/python -m tests.vhost_user.soak --packets $(SOAK_PACKETS)

# A minute of inputs that nobody thought of; what is found stays in out/fuzz, and a second run begins where it ended.
FUZZ_SECONDS ?= 60
fuzz: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	$(BIN)/python -m fuzz --seconds $(FUZZ_SECONDS)

clean:
	rm -rf $(VENV) out build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
