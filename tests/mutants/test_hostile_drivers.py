"""Whatever a driver sends, the monitor goes on, and its sentences stay single lines."""

from __future__ import annotations

import random
from typing import Any

import pytest

from virtionet_ipsec.driver import flow_rules
from virtionet_ipsec.driver.sa_object import sa_object
from virtionet_ipsec.ipsec import Direction
from virtionet_ipsec.wire.admin import AdminCmdHdr, CapSetData, ResourceObjCreateData
from virtionet_ipsec.wire.codec import build
from virtionet_ipsec.wire.enums import CapId, Opcode, ResourceType
from virtionet_ipsec.wire.profile import Profile

from .controlling import HOW, Controlling
from .segmenting import TUNNEL_CSUM, TUNNELS, Segmenting
from .session import FRAME, sa, watched_session

_OCTETS = (0x00, 0x01, 0x02, 0x03, 0x40, 0x45, 0x60, 0xFF)


class Garbling(Segmenting):
    """Sends damaged packets and commands after the right ones."""

    seed = 0

    def pass_packets(self) -> None:
        super().pass_packets()
        self._random = random.Random(self.seed)
        right = [self.layout.build(each.hdr) + each.frame for each in self.offloads()]
        right += [self.header() + FRAME, self.header(self.outbound) + FRAME]
        for _ in range(400):
            self.port.transmit(self.damaged(self._random.choice(right)))
        commands = self.commands()
        for _ in range(800):
            self.port.admin(self.damaged(self._random.choice(commands)), self._random.choice((0, 2, 8, 4096)))

    def commands(self) -> list[bytes]:
        matches = flow_rules.ipsec_matches((4500,))[2]
        objects = [
            sa_object(sa(Direction.OUTBOUND), 1, self.profile),
            flow_rules.classifier(matches),
            flow_rules.rule(1, 1, 0, 3, matches),
            flow_rules.group(3),
        ]
        heads = [build(AdminCmdHdr, opcode=opcode) for opcode in (*Opcode, 99)]
        kinds = [build(ResourceObjCreateData, hdr={"type": kind, "id": 1}) for kind in (*ResourceType, 7)]
        found = [head + kind + data for head in heads for kind in kinds for data in objects]
        return found + [head + build(CapSetData, id=cap) + bytes(range(40)) for head in heads for cap in (*CapId, 7)]

    def damaged(self, octets: bytes) -> bytes:
        """A few octets changed, mostly in front, and sometimes cut short."""
        changed = bytearray(octets)
        for _ in range(self._random.choice((0, 1, 2, 5, 20))):
            end = min(len(changed), self._random.choice((26, 48, 120, 2000)))
            changed[self._random.randrange(end)] = self._random.choice((*_OCTETS, self._random.randrange(256)))
        cut = self._random.randrange(len(changed) + 1) if self._random.random() < 0.3 else len(changed)
        return bytes(changed[:cut])

    def change_sas(self) -> None:
        """Nobody knows what is left of them."""

    clean_up = change_sas


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("profile", "how"),
    [
        (Profile.VIRTIO_1_4, {"features": TUNNEL_CSUM}),
        (Profile.VIRTIO_1_4, {"features": TUNNELS}),
        (Profile.VIRTIO_1_4, {}),
        (Profile.RFC_V1, {}),
    ],
)
def test_damaged_packets_and_commands(profile: Profile, how: dict[str, Any], seed: int) -> None:
    monitor = watched_session(type("Garbling", (Garbling,), {"seed": seed}), profile, **how)
    assert len({each.rule for each in monitor.violations}) > 20
    assert not [each.sentence for each in monitor.violations if "\n" in each.sentence or len(each.sentence) > 300]


class GarblingControl(Controlling):
    """Sends damaged commands of the control virtqueue, and what nobody can take for one, after the right ones."""

    seed = 0

    def set_receive_buffers(self) -> None:
        sent: list[bytes] = []
        self.order_right = self.order

        def order(class_: int, command: int, data: bytes = b"", room: int = 0) -> None:
            sent.append(bytes((class_, command)) + data)
            self.order_right(class_, command, data, room)

        self.order = order  # type: ignore[method-assign]
        super().set_receive_buffers()
        chance = random.Random(self.seed)
        for _ in range(1500):
            octets = bytearray(chance.choice(sent))
            for _ in range(chance.choice((0, 1, 2, 5))):
                octets[chance.randrange(min(len(octets), 40))] = chance.choice((*_OCTETS, chance.randrange(256)))
            cut = chance.randrange(len(octets) + 1) if chance.random() < 0.3 else len(octets)
            if cut:
                self.port.control(bytes(octets[:cut]), chance.choice((0, 1, 2, 9, 4096)))


@pytest.mark.parametrize("seed", range(3))
def test_damaged_control_commands(seed: int) -> None:
    monitor = watched_session(type("Garbling", (GarblingControl,), {"seed": seed}), Profile.VIRTIO_1_4, **HOW)
    assert len({each.rule for each in monitor.violations}) > 10
    assert not [each.sentence for each in monitor.violations if "\n" in each.sentence or len(each.sentence) > 300]
