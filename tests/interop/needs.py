"""Programs that tests here run, the Debian packages that have them, and what to say when one is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

PACKAGES = {
    "linux.uml": "user-mode-linux",
    "modprobe": "kmod",
    "ip": "iproute2",
    "ping": "iputils-ping",
    "ethtool": "ethtool",
    "tshark": "tshark",
    "busybox": "busybox-static",
    "cpio": "cpio",
    "dpdk-testpmd": "dpdk-dev",
    "qemu-system-x86_64": "qemu-system-x86",
}
GUEST = ("linux.uml", "modprobe", "ip", "ping", "ethtool")
ADMINISTRATION = ("/usr/local/sbin", "/usr/sbin", "/sbin")
HUGE_PAGES = Path("/proc/sys/vm/nr_hugepages")


def found(program: str) -> str | None:
    """Its path; programs for administrators are looked for too."""
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), *ADMINISTRATION]))


def missing(programs: Iterable[str]) -> str:
    """What is not there and how to get it, or ""."""
    absent = [program for program in programs if found(program) is None]
    if not absent:
        return ""
    packages = sorted({PACKAGES[program] for program in absent})
    return f"{', '.join(absent)} not found: apt install {' '.join(packages)}"


def require(*programs: str) -> None:
    """Skip the test, or the module, when one of ``programs`` is missing."""
    reason = missing(programs)
    if reason:
        pytest.skip(reason, allow_module_level=True)
