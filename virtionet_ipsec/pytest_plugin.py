"""The pytest plugin: fixtures for a negotiated device and driver, for an SA pair, and for judging a driver.

Both take parameters from a marker of their own name::

    @pytest.mark.virtionet(profile="rfc-v1", mtu=1280)
    @pytest.mark.sa_pair(mode="esp-transport", cipher="aes-cbc", auth="hmac-sha256")
    def test_it(virtionet, sa_pair): ...

A test that fails with the ``virtionet`` fixture has the last packet's story in its report.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from .testing import DriverMonitor, Pair, SaPair


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "virtionet(**device): parameters of the device in the virtionet fixture, such as profile and mtu"
    )
    config.addinivalue_line("markers", "sa_pair(**parameters): SA parameters of the sa_pair fixture")
    config.addinivalue_line("markers", "driver_monitor(strict): whether a violated SHOULD fails the test as well")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The last packet's way through the device, where the failure's own message does not tell it."""
    report = yield
    story = getattr(getattr(item, "funcargs", {}).get("virtionet"), "story", ())
    if report.when == "call" and report.failed and story:
        from .testing import numbered

        told = numbered(story)
        if call.excinfo is None or told not in str(call.excinfo.value):
            report.sections.append(("virtionet: the last packet's story", told))
    return report


def _from_marker(request: pytest.FixtureRequest, name: str) -> dict[str, Any]:
    marker = request.node.get_closest_marker(name)
    return dict(marker.kwargs) if marker is not None else {}


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """A test whose driver violated a statement fails, although its own assertions hold.

    That is, one of level MUST or MUST NOT; the others are warnings, unless the
    marker ``driver_monitor(strict=True)`` says that they count as well.
    """
    __tracebackhide__ = True
    result = yield
    monitor = cast("DriverMonitor | None", pyfuncitem.funcargs.get("driver_monitor"))
    if monitor is not None:
        monitor.check()
    return result


@pytest.fixture
def driver_monitor(request: pytest.FixtureRequest) -> DriverMonitor:
    """Judges the driver: :class:`virtionet_ipsec.testing.DriverMonitor`.

    It watches ``driver_monitor.device``, and the driver of ``virtionet`` where
    the test has that too.
    """
    from .testing import DriverMonitor

    parameters = _from_marker(request, "virtionet")
    parameters.pop("features", None)  # the mask of what Pair's driver accepts
    return DriverMonitor(**_from_marker(request, "driver_monitor"), **parameters)


@pytest.fixture
def virtionet(request: pytest.FixtureRequest) -> Pair:
    """A negotiated device and driver with IPsec flow rules: :class:`virtionet_ipsec.testing.Pair`."""
    from .testing import Pair  # here, so that test suites without this fixture pay nothing

    watched = "driver_monitor" in request.fixturenames
    watch = request.getfixturevalue("driver_monitor").watch if watched else None
    return Pair(watch=watch, **_from_marker(request, "virtionet"))


@pytest.fixture
def sa_pair(request: pytest.FixtureRequest, virtionet: Pair) -> SaPair:
    """An SA each way on ``virtionet``: :class:`virtionet_ipsec.testing.SaPair`."""
    return virtionet.add_sa_pair(**_from_marker(request, "sa_pair"))
