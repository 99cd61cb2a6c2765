"""Running pytest inside a test."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import scapy.layers.inet  # noqa: F401  (what is there before an inner run is not imported again in each)

import virtionet_ipsec.testing  # noqa: F401


@pytest.fixture
def inner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., pytest.RunResult]:
    """Write a test file and run it with the plugin and no other, however it is installed; gives the result."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    # Under CI pytest prints failures whole in its summary, a second time.
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)

    def run(source: str, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(source)
        return pytester.runpytest_inprocess("-p", "virtionet_ipsec.pytest_plugin", "-p", "no:cacheprovider", *arguments)

    return run
