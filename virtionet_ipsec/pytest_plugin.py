"""The pytest plugin: fixtures for a negotiated device and driver, for an SA pair, and for judging a driver.

Markers of their names have parameters for them; ``virtionet``'s are those of
the device, and so of ``driver_monitor`` as well::

    @pytest.mark.virtionet(profile="rfc-v1", mtu=1280)
    @pytest.mark.sa_pair(mode="esp-transport", cipher="aes-cbc", auth="hmac-sha256")
    @pytest.mark.driver_monitor(strict=True)
    def test_it(virtionet, sa_pair, driver_monitor): ...

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
    monitor = getattr(item, "funcargs", {}).get("driver_monitor")
    if report.when == "call" and report.failed and monitor is not None:
        violations = "\n".join(map(str, monitor.untold()))
        if violations:
            report.sections.append(("driver_monitor: what the driver violated", violations))
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
        _check(monitor)
    return result


@pytest.fixture
def driver_monitor(request: pytest.FixtureRequest) -> Generator[DriverMonitor, None, None]:
    """Judges the driver: :class:`virtionet_ipsec.testing.DriverMonitor`.

    It watches ``driver_monitor.device``, and the driver of ``virtionet`` where
    the test has that too.  What comes after the test's own code, such as
    another fixture's end, is judged when this one ends.
    """
    from .testing import DriverMonitor

    parameters = _from_marker(request, "virtionet")
    parameters.pop("features", None)  # the mask of what Pair's driver accepts
    monitor = DriverMonitor(strict=_strict(request), **parameters)
    yield monitor
    _check(monitor)


def _check(monitor: DriverMonitor) -> None:
    """Fail with what was violated since the last time."""
    violated = ""
    try:
        monitor.check()
    except AssertionError as found:
        violated = str(found)
    if violated:  # here, so that there is no exception behind it to be shown
        pytest.fail(violated, pytrace=False)


def _strict(request: pytest.FixtureRequest) -> bool:
    """The one parameter of the marker ``driver_monitor``."""
    marker = request.node.get_closest_marker("driver_monitor")
    if marker is None:
        return False
    if marker.args or marker.kwargs.keys() - {"strict"}:
        raise pytest.UsageError("the marker driver_monitor has one parameter: driver_monitor(strict=True)")
    return bool(marker.kwargs.get("strict", False))


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
