"""MAC address filtering, virtio 1.4, 5.1.9.5.2."""

from __future__ import annotations

from ...wire.enums import Feature
from ..check import check
from ..driving.receiving import (
    MULTICAST,
    STRANGER,
    UNICAST,
    expect_drop,
    expect_pass,
    own_address,
    passes,
    set_address,
    set_table,
    start,
)
from ..driving.rig import Rig
from ..verdict import NotObservable

_OTHERS = tuple(bytes.fromhex(each) for each in ("52540000b001", "52540000b002"))
_OTHER_GROUPS = tuple(bytes.fromhex(each) for each in ("01005e7ffffa", "333300010002"))


def _needs_filter(rig: Rig) -> None:
    """What a table does not hold shows only where something is dropped, which is a SHOULD."""
    if passes(rig, STRANGER):
        raise NotObservable("the device delivers what its MAC table does not hold")


@check
def table_empty_on_reset(rig: Rig) -> None:
    """The addresses of a table that was set before a reset are dropped after it."""
    start(rig)
    _needs_filter(rig)
    set_table(rig, UNICAST, MULTICAST)
    start(rig)
    expect_drop(rig, "that was in the table before a reset", (*UNICAST, *MULTICAST))


@check
def table_before_used(rig: Rig) -> None:
    """After each TABLE_SET the addresses in both its tables are delivered, and those of the one before no more."""
    start(rig)
    filters = not passes(rig, STRANGER)
    set_table(rig, UNICAST, MULTICAST)
    expect_pass(rig, "in the MAC table", (*UNICAST, *MULTICAST))
    set_table(rig, _OTHERS, _OTHER_GROUPS)
    expect_pass(rig, "in the MAC table", (*_OTHERS, *_OTHER_GROUPS))
    if filters:
        expect_drop(rig, "that another TABLE_SET took out", (*UNICAST, *MULTICAST))
    set_table(rig)
    if filters:
        expect_drop(rig, "with an empty MAC table", (*_OTHERS, *_OTHER_GROUPS))


@check
def address_before_used(rig: Rig) -> None:
    """After each ADDR_SET the configuration space's mac is that address."""
    start(rig, Feature.MAC, Feature.CTRL_MAC_ADDR)
    for address in (UNICAST[0], STRANGER, UNICAST[1]):
        set_address(rig, address)
        rig.equal("mac after VIRTIO_NET_CTRL_MAC_ADDR_SET", address, rig.port.read_config(0, 6))


@check
def drops(rig: Rig) -> None:
    """Frames for mac, then for what ADDR_SET set, and for the table are delivered; for other addresses dropped."""
    start(rig, Feature.MAC, also=(Feature.CTRL_MAC_ADDR,))
    own = own_address(rig)
    expect_pass(rig, "which is mac", (own,))
    expect_drop(rig, "which is not mac", (STRANGER, *UNICAST, *MULTICAST))
    set_table(rig, UNICAST[:1], MULTICAST[:1])
    expect_pass(rig, "in the MAC table, or mac", (own, UNICAST[0], MULTICAST[0]))
    expect_drop(rig, "that is not in the MAC table", (STRANGER, *UNICAST[1:], *MULTICAST[1:]))
    if rig.offers(Feature.CTRL_MAC_ADDR):
        set_address(rig, STRANGER)
        expect_pass(rig, "which is the address that was set", (STRANGER,))
        expect_drop(rig, "which was mac until another was set", (own,))
