"""Devices that are wrong about automatic receive steering."""

from __future__ import annotations

from typing import Any, ClassVar

from virtionet_ipsec.device import Device, Received
from virtionet_ipsec.device.flow_hash import FlowHash
from virtionet_ipsec.device.steering import Steering
from virtionet_ipsec.wire.enums import CtrlAck, CtrlClass, CtrlMq, HashType

from ..mutant import breaks
from ..wrapping import answering_control, become

QUEUES = {"queue_pairs": 4}


class Steered(Device):
    """A device with another kind of steering."""

    steering_kind: ClassVar[type[Steering]]

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        # It is asked for every packet, also where the right one has nothing to say.
        always = type("Always", (self.steering_kind,), {"active": lambda steering: True})
        become(self._controls.steering, always).reset()


@breaks("steering.dev.by-flow", "steering.dev.same-queue", **QUEUES)
class OneQueue(Device):
    """Everything goes to receiveq1, however many pairs there are."""

    def receive(self, frame: bytes) -> Received | None:
        got = super().receive(frame)
        return None if got is None else got._replace(queue=0)


@breaks("steering.dev.same-queue", **QUEUES)
class NextQueue(Steered):
    """A flow that was transmitted on transmitqX goes to receiveqX+1."""

    class steering_kind(Steering):  # noqa: N801
        def steer(self, packet: bytes, at: int, queue: int) -> tuple[int, int, int]:
            queue, value, report = super().steer(packet, at, queue)
            return (queue + 1) % self.pairs, value, report


@breaks("steering.dev.first-only", **QUEUES)
class SpreadsAtOnce(Steered):
    """Packets go to all queues before the driver has said so."""

    class steering_kind(Steering):  # noqa: N801
        def steer(self, packet: bytes, at: int, queue: int) -> tuple[int, int, int]:
            queue, value, report = super().steer(packet, at, queue)
            return (packet[-1] + len(packet) + packet[at + 21]) % 4 if self.pairs == 1 else queue, value, report


@breaks("steering.dev.first-only", **QUEUES)
class KeepsThePairs(Steered):
    """The pairs in use survive a reset."""

    class steering_kind(Steering):  # noqa: N801
        def reset(self) -> None:
            pairs, flows = self.pairs, getattr(self, "_flows", None)
            super().reset()
            self.pairs = pairs
            self._flows = flows if flows is not None else self._flows


@breaks("steering.dev.beyond-pairs", **QUEUES)
class KeepsTheFlows(Steered):
    """A flow stays on its queue when there are fewer pairs."""

    class steering_kind(Steering):  # noqa: N801
        def _automatic(self, pairs: int) -> None:
            self._rss = None
            self.pairs = pairs

        def _by_flow(self, flow: Any) -> int:
            known = self._flows.get((flow[0], flow[1]))
            return super()._by_flow(flow) if known is None else known


@breaks("steering.dev.hash-command")
class NoHashConfig(Device):
    """HASH_CONFIG gets VIRTIO_NET_ERR."""

    _control = answering_control(CtrlClass.MQ, CtrlMq.HASH_CONFIG, CtrlAck.ERR)


@breaks("steering.dev.hash-disabled")
class HashesAtOnce(Steered):
    """All hash types are enabled from the beginning."""

    class steering_kind(Steering):  # noqa: N801
        def reset(self) -> None:
            super().reset()
            self._hash = FlowHash(sum(HashType), bytes(range(40)))


@breaks("steering.dev.hash-disabled")
class KeepsTheHash(Steered):
    """What HASH_CONFIG said survives a reset."""

    class steering_kind(Steering):  # noqa: N801
        def reset(self) -> None:
            right = self._hash
            super().reset()
            self._hash = right
