"""What holds for all tests: the plugin is there, and under CI nothing is skipped."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from virtionet_ipsec import pytest_plugin
from virtionet_ipsec.cli import run

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]
IN_CI = bool(os.environ.get("CI"))


def pytest_configure(config: pytest.Config) -> None:
    """Without an installed package there is no entry point that loads its plugin.

    A shell that runs the tests in the background has Ctrl-C ignored, and their
    processes would inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not config.pluginmanager.is_registered(pytest_plugin):
        config.pluginmanager.register(pytest_plugin, "virtionet_ipsec")


# -- a skipped test proves nothing: where everything is installed, it is a failure ---------------------------------


# What needs huge pages, or a kernel for QEMU, cannot run everywhere; `make interop` says so.
MAY_SKIP = tuple(f"tests/interop/test_{peer}.py" for peer in ("dpdk_back_end", "qemu", "testpmd"))


def _not_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not IN_CI or report.outcome != "skipped" or hasattr(report, "wasxfail") or report.nodeid.startswith(MAY_SKIP):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"skipped, which CI does not allow: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    report = yield
    _not_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    report = yield
    _not_skipped(report)
    return report


# -- the command line ----------------------------------------------------------------------------------------------


class Ran(NamedTuple):
    """A command that has ended."""

    status: int
    output: bytes
    error: str

    @property
    def text(self) -> str:
        return self.output.decode()


@pytest.fixture(scope="session")
def command() -> Callable[..., Ran]:
    """Run the command line in this process, which is quick."""

    def call(*arguments: object) -> Ran:
        output, error = io.BytesIO(), io.StringIO()
        with redirect_stdout(io.TextIOWrapper(output, "utf-8")) as text, redirect_stderr(error):
            status = run([str(argument) for argument in arguments])
            text.flush()
        return Ran(status, output.getvalue(), error.getvalue())

    return call


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """The environment of a process that is to find the package where this one has it."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]), "CI": ""}


@pytest.fixture(scope="session")
def process(environment: dict[str, str]) -> Callable[..., Ran]:
    """Run the command line in a process of its own."""

    def call(*arguments: object, stdin: bytes = b"", **options: object) -> Ran:
        words = [sys.executable, "-m", "virtionet_ipsec", *map(str, arguments)]
        done = subprocess.run(words, input=stdin, capture_output=True, env=environment, timeout=60, **options)
        return Ran(done.returncode, done.stdout, done.stderr.decode())

    return call
