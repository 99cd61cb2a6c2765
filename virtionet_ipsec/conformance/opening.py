"""What a protected frame says, apart from what its sender was free to choose."""

from __future__ import annotations

from dataclasses import replace

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
from .watching.command import command_of
from .watching.view import View

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

    def differing(self, one: Transmitted, other: Transmitted) -> list[str]:
        """The parts in which two frames differ, of as many that each sent; IV, ciphertext and ICV do not count."""
        sa = self._sa(one.buffer)
        if sa is None:
            return [] if one.frames == other.frames else ["frame"]
        found = []
        for a, b in zip(one.frames, other.frames, strict=True):
            said, now = _parts(sa, a), _parts(sa, b)
            one_closed = said if len(said) < len(now) else now  # it says one thing: that it cannot be opened
            found += [part for part in one_closed if said.get(part) != now.get(part)]
        return found

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


def _parts(params: SaParams, frame: bytes) -> dict[str, object]:
    """What a protected frame says, by the names of its parts; a frame that cannot be opened says itself."""
    packet = frame[14:]
    # As an inbound SA of the receiver's: without a window it takes whatever sequence number there is.
    inbound = replace(params, direction=Direction.INBOUND, replay_window=0)
    try:
        where = locate(packet)
        inner = InboundSa(inbound).unprotect(packet, where)
    except Refused as refused:
        return {f"it cannot be opened ({refused.reason.value})": frame}
    header = packet[: where[1]]
    outer: dict[str, object] = {"outer header": header}
    if header[0] >> 4 == 4:
        length = (header[0] & 15) * 4
        outer = {
            "outer IHL": header[0],
            "outer TOS": header[1],
            "outer Total Length": header[2:4],
            "outer flags and Fragment Offset": header[6:8],
            "outer TTL": header[8],
            "outer Protocol": header[9],
            "outer Header Checksum": checksum(header[:length]) == 0,
            "outer addresses": header[12:20],
            "what follows the outer addresses": header[20:],
        }
    return {"Ethernet header": frame[:14], **outer, "SPI": where[5], "sequence number": where[6], "inner packet": inner}
