"""Drivers with a fault in how they set IPsec up and use it (virtio 1.4, 5.1.9.7)."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, ClassVar

from virtionet_ipsec.conformance.driving import frames
from virtionet_ipsec.driver import AdminError
from virtionet_ipsec.driver.sa_object import sa_object
from virtionet_ipsec.ipsec import Direction, UdpEncap
from virtionet_ipsec.wire.capabilities import IpsecResourceCap, ipsec_sa_cap
from virtionet_ipsec.wire.codec import build, parse
from virtionet_ipsec.wire.enums import AdminStatus, AeadAlgo, CapId, IpsecMode, IpsecOption, ResourceType
from virtionet_ipsec.wire.profile import Profile
from virtionet_ipsec.wire.sa import KEY_SIZE, ipsec_sa

from ..meddling import Answering
from ..mutant import violates
from ..session import ReferenceDriver, sa

OUTBOUND, INBOUND = Direction.OUTBOUND, Direction.INBOUND
KIND = {OUTBOUND: ResourceType.IPSEC_OUTB_SA, INBOUND: ResourceType.IPSEC_INB_SA}


@violates("ipsec.drv.query-cap-ids")
class NeverAsks(ReferenceDriver):
    """Sets capabilities without a CAP_ID_LIST_QUERY."""

    def set_up_capabilities(self) -> None:
        for cap in CapId:
            self.admin.set_driver_cap(cap, self.admin.device_cap(cap))


class Guessing(ReferenceDriver):
    """Sets ``cap`` to what it thinks the device has."""

    cap: ClassVar[CapId]

    def set_up_capabilities(self) -> None:
        listed = self.admin.cap_ids()
        for cap in (each for each in CapId if each in listed):
            self.admin.set_driver_cap(cap, self.guess() if cap is self.cap else self.admin.device_cap(cap))

    def guess(self) -> bytes:
        raise NotImplementedError


@violates("ipsec.drv.get-resource-cap")
class GuessesLimits(Guessing):
    """Sets IPSEC_RESOURCE_CAP without getting it."""

    cap: ClassVar = CapId.IPSEC_RESOURCE_CAP

    def guess(self) -> bytes:
        return build(IpsecResourceCap, inb_sa_limit=16, outb_sa_limit=16)


@violates("ipsec.drv.get-sa-cap")
class GuessesAlgorithms(Guessing):
    """Sets IPSEC_SA_CAP without getting it."""

    cap: ClassVar = CapId.IPSEC_SA_CAP

    def guess(self) -> bytes:
        mode = {"mode": IpsecMode.ESP_TUNNEL, "max_replay_win_sz": 64, "aead_algo": 1 << AeadAlgo.GCM}
        options = IpsecOption.SA_LIFETIME if self.profile is Profile.VIRTIO_1_4 else 0
        return build(ipsec_sa_cap(self.profile), cap_mode=[mode | {"options": options, "max_cipher_key_len": KEY_SIZE}])


class LeavesOut(ReferenceDriver):
    """Never sets ``cap``, and creates SAs."""

    cap: ClassVar[CapId]

    def session(self) -> None:
        self.start()
        with suppress(AdminError):
            self.make_sas()

    def set_up_capabilities(self) -> None:
        known = self.admin.cap_ids() & frozenset(CapId)
        for cap in sorted(known):
            data = self.admin.device_cap(CapId(cap))
            if cap != self.cap:
                self.admin.set_driver_cap(CapId(cap), data)


@violates("ipsec.drv.set-resource-cap")
class NoLimits(LeavesOut):
    """Does not set IPSEC_RESOURCE_CAP."""

    cap: ClassVar = CapId.IPSEC_RESOURCE_CAP


@violates("ipsec.drv.set-sa-cap")
class NoAlgorithms(LeavesOut):
    """Does not set IPSEC_SA_CAP."""

    cap: ClassVar = CapId.IPSEC_SA_CAP


class OddSa(ReferenceDriver):
    """Creates one SA more, with ``changes`` made to its fields."""

    direction: ClassVar = OUTBOUND
    parameters: ClassVar[dict[str, Any]] = {}
    changes: ClassVar[dict[str, Any]]

    def make_sas(self) -> None:
        super().make_sas()
        kind = KIND[self.direction]
        number = self._next_id(kind)
        structure = ipsec_sa(self.profile)
        fields = parse(structure, sa_object(sa(self.direction, 0x2000, **self.parameters), number, self.profile))
        with suppress(AdminError):
            self.admin.create(kind, number, build(structure, **(fields | self.changes)))


@violates("ipsec.drv.outb-parameters")
class NoSpi(OddSa):
    """Leaves the SPI at zero."""

    changes: ClassVar = {"spi": 0}


@violates("ipsec.drv.outb-parameters")
class NoTunnel(OddSa):
    """Leaves the tunnel parameters of an outbound SA in tunnel mode unset."""

    changes: ClassVar = {"param": {}}


@violates("ipsec.drv.outb-parameters")
class LongKey(OddSa):
    """Gives AES-GCM's key the length of key and salt."""

    changes: ClassVar = {"cipher_key": {"length": 20, "data": bytes(20)}}


@violates("ipsec.drv.outb-parameters")
class NoPorts(OddSa):
    """Leaves the ports of UDP encapsulation at zero."""

    parameters: ClassVar = {"udp": UdpEncap(4500, 4500)}
    changes: ClassVar = {"udp_sport": 0, "udp_dport": 0}


@violates("ipsec.drv.inb-parameters")
class WrongDirection(OddSa):
    """Creates an inbound SA with the direction of an outbound one."""

    direction: ClassVar = INBOUND
    changes: ClassVar = {"direction": 1}


class LenientDevice(ReferenceDriver):
    """Has a device that lets two inbound SAs have one SPI: it need not refuse them (D20)."""

    def __init__(self, port: Any, profile: Profile) -> None:
        super().__init__(Answering(port), profile)


@violates("ipsec.drv.duplicate-spi")
class SameSpi(LenientDevice):
    """Creates a second inbound SA with the SPI of the first."""

    right = LenientDevice

    def make_sas(self) -> None:
        super().make_sas()
        self.port.says = AdminStatus.OK
        self.create_sa(sa(INBOUND))


@violates("ipsec.drv.duplicate-spi")
class SpiChanged(LenientDevice):
    """Gives an inbound SA the SPI of another one."""

    right = LenientDevice

    def make_sas(self) -> None:
        super().make_sas()
        second = self.create_sa(sa(INBOUND, 0x2000))
        self.port.says = AdminStatus.OK
        self.modify_sa(sa(INBOUND), second)


@violates("ipsec.drv.pmtu")
class TooLarge(ReferenceDriver):
    """Has a packet of mtu octets protected."""

    def pass_packets(self) -> None:
        super().pass_packets()
        self.send(frames.sized_frame(1500), self.outbound)
