"""What a protected frame says, apart from what its sender was free to choose."""

from __future__ import annotations

from ..device.exchanges import Commanded, Exchange, Transmitted
from ..device.limits import ALL_SA_MODES
from ..device.refusal import CommandRefused
from ..device.sa_params import NO_EXTRAS, sa_params
from ..ipsec import Direction, InboundSa, Refused, SaParams, locate
from ..ipsec.ip import checksum
from ..wire.codec import parse
from ..wire.enums import ResourceType
from ..wire.net_hdr import HdrLayout
from ..wire.profile import Profile
from ..wire.sa import ipsec_sa
from .watching.view import View, command_of

_OUTBOUND = int(ResourceType.IPSEC_OUTB_SA)
_MODES = {cap.mode: cap for cap in ALL_SA_MODES}


class Opener:
    """Follows a session, to know the outbound SAs that exist at each moment."""

    def __init__(self, profile: Profile) -> None:
        self._view = View(profile, 0, b"")

    @property
    def features(self) -> int:
        """The features in force."""
        return self._view.negotiated

    def watch(self, exchange: Exchange) -> None:
        """Take in one exchange of the session."""
        self._view.update(exchange, command_of(exchange) if isinstance(exchange, Commanded) else None)

    def same(self, one: Transmitted, other: Transmitted) -> bool:
        """Whether both sent the same, but for IV, ciphertext, ICV and an outer identification."""
        sa = self._sa(one.buffer)
        if sa is None:
            return one.frames == other.frames
        return all(_said(sa, a) == _said(sa, b) for a, b in zip(one.frames, other.frames, strict=True))

    def _sa(self, buffer: bytes) -> SaParams | None:
        """The outbound SA that the buffer's header asks for; None when it asks for none that there is."""
        layout: HdrLayout = self._view.layout
        if len(buffer) < layout.size or layout.resource_offset is None:
            return None
        hdr = layout.parse(buffer)
        data = self._view.objects.get((_OUTBOUND, hdr.resource_id))
        if not hdr.flags & layout.security or data is None:
            return None
        profile = self._view.profile
        try:
            return sa_params(ResourceType.IPSEC_OUTB_SA, parse(ipsec_sa(profile), data), _MODES, NO_EXTRAS, profile)
        except CommandRefused:
            return None


def _said(params: SaParams, frame: bytes) -> tuple[object, ...]:
    """Ethernet header, outer IP header without identification and checksum, SPI and sequence number, inner packet.

    A frame that cannot be opened says itself.
    """
    packet = frame[14:]
    # As an inbound SA of the receiver's: it takes whatever sequence number there is.
    inbound = SaParams(
        **{
            name: getattr(params, name)
            for name in SaParams.__dataclass_fields__
            if name not in ("direction", "replay_window")
        },
        direction=Direction.INBOUND,
    )
    try:
        where = locate(packet)
        inner = InboundSa(inbound).unprotect(packet, where)
    except Refused:
        return (frame,)
    return frame[:14], _outer(packet[: where[1]]), where[5:], inner


def _outer(header: bytes) -> tuple[bytes, bool]:
    """An IPv4 header without identification and checksum, and whether the checksum is right; others as they are."""
    if header[0] >> 4 != 4:
        return header, True
    length = (header[0] & 15) * 4
    return header[:4] + header[6:10] + header[12:], checksum(header[:length]) == 0
