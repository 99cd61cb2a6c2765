"""Which frames from the wire the driver wants at all (virtio 1.4, 5.1.9.5.1 to 5.1.9.5.3).

The driver says so with commands of the classes RX, MAC and VLAN;
:meth:`ReceiveFilter.compiled` brings what they add up to into a form that a
frame is looked up in.  Without VIRTIO_NET_F_CTRL_RX, _CTRL_RX_EXTRA and
_CTRL_VLAN nothing is filtered.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from functools import partial

from ..wire.enums import CtrlClass, CtrlMac, CtrlRx, CtrlVlan, Feature
from .control import Command, Commands, ControlRefused

BROADCAST = b"\xff" * 6
MOST_ADDRESSES = 1024
"""The addresses of a kind that the MAC table holds; with more in a command, all addresses of the kind pass (D122)."""

_VLAN_IDS = 4096
_VLAN_TAGGED = b"\x81\x00"
_NOTHING_ON = dict.fromkeys(CtrlRx, False)


class Admission:
    """What passes: ``destinations``, and every address of a kind where that is said; ``vlans`` None is any.

    ``vlans`` is the table itself, which may change later.
    """

    __slots__ = ("_all_multicast", "_all_unicast", "_destinations", "_vlans")

    def __init__(
        self, destinations: frozenset[bytes], all_unicast: bool, all_multicast: bool, vlans: AbstractSet[int] | None
    ) -> None:
        self._destinations = destinations
        self._all_unicast = all_unicast
        self._all_multicast = all_multicast
        self._vlans = vlans

    def refuses(self, frame: bytes) -> str:
        """Why ``frame``, an Ethernet header at least, does not pass, in words; empty when it does."""
        if self._vlans is not None and frame[12:14] == _VLAN_TAGGED:
            vlan_id = int.from_bytes(frame[14:16], "big") & 0xFFF
            if vlan_id not in self._vlans:
                return f"VLAN {vlan_id} is not in the VLAN filter table"
        destination = frame[:6]
        if destination in self._destinations:
            return ""
        if destination[0] & 1:
            if self._all_multicast and destination != BROADCAST:
                return ""
        elif self._all_unicast:
            return ""
        return f"destination {destination.hex(':')} is not wanted"


class ReceiveFilter:
    """RX modes, MAC table and address, VLAN table: the driver's, from reset on.

    ``mac`` is the device's own address; ``set_mac`` is told of the driver's,
    which is to be seen in the configuration space.
    """

    def __init__(self, mac: bytes, has: Callable[[Feature], bool], set_mac: Callable[[bytes], None]) -> None:
        self._own = mac
        self._has = has
        self._set_mac = set_mac
        self.reset()

    def reset(self) -> None:
        """Promiscuous (D121), both tables empty, the address the device's own."""
        self._mac = self._own
        self._modes: dict[CtrlRx, bool] = {**_NOTHING_ON, CtrlRx.PROMISC: True}
        self._tables: tuple[frozenset[bytes] | None, frozenset[bytes] | None] = (frozenset(), frozenset())
        self._vlans: set[int] = set()

    def commands(self) -> Commands:
        rx = {mode: (Feature.CTRL_RX if mode <= CtrlRx.ALLMULTI else Feature.CTRL_RX_EXTRA,) for mode in CtrlRx}
        mac = (Feature.CTRL_RX, Feature.CTRL_MAC_ADDR)
        vlan = (Feature.CTRL_VLAN,)
        return {
            **{(CtrlClass.RX, mode): Command(rx[mode], 1, partial(self._switch, mode)) for mode in CtrlRx},
            (CtrlClass.MAC, CtrlMac.TABLE_SET): Command((Feature.CTRL_RX,), 8, self._set_table),
            (CtrlClass.MAC, CtrlMac.ADDR_SET): Command(mac, 6, self._set_address),
            (CtrlClass.VLAN, CtrlVlan.ADD): Command(vlan, 2, lambda data: self._vlans.add(_vlan_id(data))),
            (CtrlClass.VLAN, CtrlVlan.DEL): Command(vlan, 2, lambda data: self._vlans.discard(_vlan_id(data))),
        }

    def state(self) -> tuple[object, ...]:
        """All that commands can change."""
        tables = [None if table is None else sorted(table) for table in self._tables]
        return self._mac, sorted(self._modes.items()), tables, sorted(self._vlans)

    def compiled(self) -> Admission | None:
        """What passes with the modes and tables as they are now; None: everything."""
        vlans = self._vlans if self._has(Feature.CTRL_VLAN) else None
        by_address = self._has(Feature.CTRL_RX)
        if by_address and self._modes[CtrlRx.PROMISC]:
            return None
        suppressed = [self._modes[mode] for mode in (CtrlRx.NOUNI, CtrlRx.NOMULTI, CtrlRx.NOBCAST)]
        if not by_address and vlans is None and not any(suppressed):
            return None
        no_unicast, no_multicast, no_broadcast = suppressed
        unicast, multicast = self._tables
        wanted: set[bytes] = set()
        if not no_unicast:
            wanted |= {self._mac, *(unicast or ())}
        if not no_multicast:
            wanted |= multicast or set()
        wanted.discard(BROADCAST)  # a multicast address to the table, and yet a mode of its own
        if not no_broadcast:
            wanted.add(BROADCAST)
        all_unicast = not by_address or self._modes[CtrlRx.ALLUNI] or unicast is None
        all_multicast = not by_address or self._modes[CtrlRx.ALLMULTI] or multicast is None
        return Admission(frozenset(wanted), all_unicast and not no_unicast, all_multicast and not no_multicast, vlans)

    def _switch(self, mode: CtrlRx, data: bytes) -> None:
        if data[0] > 1:
            raise ControlRefused(f"{data[0]} is neither 0 (off) nor 1 (on)")
        self._modes[mode] = bool(data[0])

    def _set_table(self, data: bytes) -> None:
        unicast, rest = _addresses(data, "unicast")
        multicast, _ = _addresses(rest, "multicast")
        for address in unicast:
            if address[0] & 1:
                raise ControlRefused(f"{address.hex(':')} in the unicast table is a multicast address")
        for address in multicast:
            if not address[0] & 1:
                raise ControlRefused(f"{address.hex(':')} in the multicast table is a unicast address")
        self._tables = (_held(unicast), _held(multicast))

    def _set_address(self, data: bytes) -> None:
        address = data[:6]
        if address[0] & 1 or not any(address):
            raise ControlRefused(f"{address.hex(':')} is no address of a station")
        self._mac = address
        self._set_mac(address)


def _vlan_id(data: bytes) -> int:
    vlan_id = int.from_bytes(data[:2], "little")
    if vlan_id >= _VLAN_IDS:
        raise ControlRefused(f"VLAN id {vlan_id} has more than 12 bits")
    return vlan_id


def _addresses(data: bytes, kind: str) -> tuple[list[bytes], bytes]:
    """The addresses of the struct virtio_net_ctrl_mac that ``data`` begins with, and what follows it."""
    entries, end = int.from_bytes(data[:4], "little"), len(data)
    if end < 4 or end < 4 + 6 * entries:
        raise ControlRefused(f"the {kind} table ends after {end} octets, and has {entries} entries")
    end = 4 + 6 * entries
    return [data[at : at + 6] for at in range(4, end, 6)], data[end:]


def _held(addresses: list[bytes]) -> frozenset[bytes] | None:
    """The addresses of a kind, each once; None, which stands for all, when they are too many."""
    distinct = frozenset(addresses)
    return distinct if len(distinct) <= MOST_ADDRESSES else None
