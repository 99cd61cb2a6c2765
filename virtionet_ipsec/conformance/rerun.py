"""A recorded driver on another device: carry out its side of a trace, and tell every difference.

Two right devices differ where the specification leaves a choice: the IV, and
with it ciphertext and ICV, and the identification of an outer IPv4 header.  A
protected frame is therefore opened with the SA of the trace, and its contents
are compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..device.exchanges import (
    Arrived,
    BuffersSized,
    Commanded,
    ConfigRead,
    Controlled,
    Exchange,
    StatusWritten,
    Transmitted,
)
from ..trace import Session, Target, TargetFailed, Watched
from .decode import decoded, hexadecimal
from .opening import Opener


@dataclass(frozen=True, slots=True)
class Difference:
    """Exchange ``number`` of the trace, the first is 1, came out otherwise: ``what``, then both exchanges in words.

    0 is for what the device is before the driver does anything.
    """

    number: int
    what: str
    recorded: tuple[str, ...]
    got: tuple[str, ...]


@dataclass(slots=True)
class Rerun:
    """``session`` and ``exchanges`` as recorded; ``exchanges`` counts those carried out so far."""

    session: Session
    exchanges: int = 0

    def differences(self, recorded: Iterable[Exchange], target: Target) -> Iterator[Difference]:
        """Carry out every exchange on ``target`` in turn, and give those that differ."""
        happened: list[Exchange] = []
        device = Watched(target, happened.append)
        if device.features != self.session.features:
            changed = device.features ^ self.session.features
            yield Difference(
                0,
                f"offered features, bits {_bits(changed)} (what follows may come of it)",
                (hex(self.session.features),),
                (hex(device.features),),
            )
        config = device.read_config(0, len(self.session.config))
        if config != self.session.config:
            yield Difference(
                0,
                "configuration space (what follows may come of it)",
                (hexadecimal(self.session.config),),
                (hexadecimal(config),),
            )
        opener = Opener(self.session.profile)
        for number, exchange in enumerate(recorded, 1):
            happened.clear()
            try:
                device.carry_out(exchange)
            except TargetFailed as failure:
                recorded_so = decoded([exchange], self.session.profile, opener.features)
                yield Difference(number, "the device broke down", recorded_so, (str(failure),))
                return
            got = happened[-1]
            opener.watch(exchange)
            self.exchanges = number
            if got != exchange and (what := _what(exchange, got, opener)):
                profile, features = self.session.profile, opener.features
                yield Difference(
                    number, what, decoded([exchange], profile, features), decoded([got], profile, features)
                )


def _bits(mask: int) -> str:
    return ", ".join(str(bit) for bit in range(mask.bit_length()) if mask >> bit & 1)


def _what(recorded: Exchange, got: Exchange, opener: Opener) -> str:
    """What differs, in words; nothing when it is what the specification leaves open."""
    match recorded, got:
        case StatusWritten(), StatusWritten():
            return "device status"
        case ConfigRead(), ConfigRead():
            return "configuration space"
        case Commanded(), Commanded():
            return "the answer to a command" if recorded.written and got.written else "whether the buffer was used"
        case Controlled(), Controlled():
            return "the answer to a control command"
        case Transmitted(), Transmitted():
            if len(recorded.frames) != len(got.frames):
                return f"frames on the wire: {len(recorded.frames)} recorded, {len(got.frames)} now"
            differing = opener.differing(recorded, got)
            return f"a frame on the wire: {', '.join(differing)}" if differing else ""
        case Arrived(), Arrived():
            if bool(recorded.buffers) != bool(got.buffers):
                return "whether the frame was delivered"
            return "receive queue" if recorded.queue != got.queue else "a receive buffer"
        case BuffersSized(), BuffersSized():
            return "size of receive buffers"
    return "the exchange"
