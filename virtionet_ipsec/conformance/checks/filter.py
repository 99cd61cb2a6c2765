"""Packet receive filtering, virtio 1.4, 5.1.9.5.1."""

from __future__ import annotations

from functools import partial

from ...wire.enums import CtrlRx, Feature
from ..check import add, check
from ..driving import controls
from ..driving.receiving import (
    BROADCAST,
    MULTICAST,
    STRANGER,
    UNICAST,
    expect_drop,
    expect_pass,
    own_address,
    passes,
    set_table,
    start,
    switch,
)
from ..driving.rig import Rig
from ..verdict import NotObservable

_EXTRA = (CtrlRx.ALLUNI, CtrlRx.NOMULTI, CtrlRx.NOUNI, CtrlRx.NOBCAST)


def _supported(mode: CtrlRx, feature: Feature, rig: Rig) -> None:
    controls.start(rig, Feature.CTRL_RX, feature)
    for on in (True, False, False, True, True, False):
        switch(rig, mode, on)


for _mode in CtrlRx:
    _feature = Feature.CTRL_RX_EXTRA if _mode in _EXTRA else Feature.CTRL_RX
    add(
        f"filter.{_mode.name.lower()}-supported",
        f"VIRTIO_NET_CTRL_RX_{_mode.name} with 1 and 0, again and again, gets VIRTIO_NET_OK.",
        partial(_supported, _mode, _feature),
    )


@check
def promisc(rig: Rig) -> None:
    """Once promiscuous mode is turned on, unicast, multicast and broadcast frames for anybody are delivered."""
    start(rig)
    switch(rig, CtrlRx.PROMISC, True)
    expect_pass(rig, "in promiscuous mode", (own_address(rig), STRANGER, *UNICAST, *MULTICAST, BROADCAST))


@check
def promisc_first(rig: Rig) -> None:
    """While every other mode is on as well, one after the other, promiscuous mode lets all frames through."""
    start(rig, also=(Feature.CTRL_RX_EXTRA,))
    for mode in CtrlRx:
        if mode is CtrlRx.PROMISC or (mode in _EXTRA and not rig.offers(Feature.CTRL_RX_EXTRA)):
            continue
        switch(rig, mode, True)
        switch(rig, CtrlRx.PROMISC, True)
        everybody = (own_address(rig), STRANGER, *MULTICAST, BROADCAST)
        expect_pass(rig, f"in promiscuous mode, {mode.name} on", everybody)
        switch(rig, CtrlRx.PROMISC, False)


@check
def allmulti(rig: Rig) -> None:
    """With all-multicast receive on, frames for groups that no table holds are delivered."""
    start(rig)
    switch(rig, CtrlRx.ALLMULTI, True)
    expect_pass(rig, "with ALLMULTI on", MULTICAST)


@check
def alluni(rig: Rig) -> None:
    """With all-unicast receive on, frames for stations that no table holds are delivered."""
    start(rig, Feature.CTRL_RX_EXTRA)
    switch(rig, CtrlRx.ALLUNI, True)
    expect_pass(rig, "with ALLUNI on", (own_address(rig), STRANGER, *UNICAST))


@check
def nomulti(rig: Rig) -> None:
    """With multicast receive suppressed, frames for groups in the MAC table are dropped."""
    start(rig, Feature.CTRL_RX_EXTRA)
    set_table(rig, (), MULTICAST)
    switch(rig, CtrlRx.NOMULTI, True)
    expect_drop(rig, "with NOMULTI on", MULTICAST)


@check
def nomulti_first(rig: Rig) -> None:
    """With both ALLMULTI and NOMULTI on, in either order, frames for groups are dropped."""
    for order in ((CtrlRx.ALLMULTI, CtrlRx.NOMULTI), (CtrlRx.NOMULTI, CtrlRx.ALLMULTI)):
        start(rig, Feature.CTRL_RX_EXTRA)
        for mode in order:
            switch(rig, mode, True)
        expect_drop(rig, "with ALLMULTI and NOMULTI on", MULTICAST)


@check
def nomulti_broadcast(rig: Rig) -> None:
    """A broadcast frame that is delivered before NOMULTI is turned on is delivered after it."""
    start(rig, Feature.CTRL_RX_EXTRA)
    if not passes(rig, BROADCAST):
        raise NotObservable("the device drops broadcast frames while no mode is on")
    switch(rig, CtrlRx.NOMULTI, True)
    expect_pass(rig, "with NOMULTI on", (BROADCAST,))


@check
def nouni(rig: Rig) -> None:
    """With unicast receive suppressed, frames for the device and for stations in the MAC table are dropped."""
    start(rig, Feature.CTRL_RX_EXTRA)
    set_table(rig, UNICAST)
    switch(rig, CtrlRx.NOUNI, True)
    expect_drop(rig, "with NOUNI on", (own_address(rig), *UNICAST))


@check
def nouni_first(rig: Rig) -> None:
    """With both ALLUNI and NOUNI on, in either order, frames for stations are dropped."""
    for order in ((CtrlRx.ALLUNI, CtrlRx.NOUNI), (CtrlRx.NOUNI, CtrlRx.ALLUNI)):
        start(rig, Feature.CTRL_RX_EXTRA)
        for mode in order:
            switch(rig, mode, True)
        expect_drop(rig, "with ALLUNI and NOUNI on", (own_address(rig), STRANGER, *UNICAST))


@check
def nobcast(rig: Rig) -> None:
    """With broadcast receive suppressed, a broadcast frame is dropped."""
    start(rig, Feature.CTRL_RX_EXTRA)
    switch(rig, CtrlRx.NOBCAST, True)
    expect_drop(rig, "with NOBCAST on", (BROADCAST,))


@check
def nobcast_first(rig: Rig) -> None:
    """With both ALLMULTI and NOBCAST on, in either order, a broadcast frame is dropped."""
    for order in ((CtrlRx.ALLMULTI, CtrlRx.NOBCAST), (CtrlRx.NOBCAST, CtrlRx.ALLMULTI)):
        start(rig, Feature.CTRL_RX_EXTRA)
        for mode in order:
            switch(rig, mode, True)
        expect_drop(rig, "with ALLMULTI and NOBCAST on", (BROADCAST,))
