"""The Authentication Header (RFC 4302): building and verifying one.

GMAC in AH (RFC 4543 4) carries its IV in front of the tag; both together fill
the ICV field.  Only the tag counts as zero when the ICV is computed, the IV counts
as it is: so does OpenDataPlane, whose packet DPDK's tests hold devices against.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from .integrity import Gmac, Mac, make_mac
from .iv import make_iv_source
from .mutable import immutable_part
from .reasons import Reason, Refused
from .sa import SaParams

_FIXED = struct.Struct("!BBHII")  # next header, payload length, reserved, SPI, sequence number


class AhTransform:
    """Computes and verifies the ICV of one AH SA.

    ``high`` is the high half of an extended sequence number (4 octets) or
    empty; it counts behind the packet (RFC 4302 2.5.1).
    """

    __slots__ = ("_align", "_gmac", "_icv", "_iv", "_mac", "_next_iv", "_spi")

    def __init__(self, params: SaParams, randbytes: Callable[[int], bytes]) -> None:
        self._spi = params.spi
        self._iv, self._icv = params.iv_length, params.icv_length
        self._align = params.ah_align
        self._next_iv = make_iv_source(params, randbytes)
        self._gmac: Gmac | None = None
        self._mac: Mac | None = None
        if params.auth == "aes-gmac":
            self._gmac = Gmac(params.auth_key, params.salt)
        else:
            self._mac = make_mac(params)

    def length(self, ip_version: int) -> int:
        """Length of the whole header: a multiple of 4 octets for IPv4, of 8 for IPv6 (RFC 4302 2.6)."""
        align = self._align or (4 if ip_version == 4 else 8)
        return -(-(12 + self._iv + self._icv) // align) * align

    def protect(self, header: bytes, nh: int, seq: int, payload: bytes, high: bytes) -> bytes:
        """AH and ``payload``, to follow ``header``, which is final: its length and protocol are AH's already."""
        length = self.length(header[0] >> 4)
        fixed = _FIXED.pack(nh, length // 4 - 2, 0, self._spi, seq & 0xFFFFFFFF)
        front = immutable_part(header, True) + fixed
        iv = self._next_iv()
        blank = bytes(length - 12 - len(iv))
        icv = self._compute(iv, front + iv + blank + payload + high)
        return fixed + iv + icv + blank[len(icv) :] + payload

    def verify(self, packet: bytes, start: int, end: int, high: bytes) -> int:
        """Check the AH at ``start`` of the IP packet in ``packet[:end]``; gives where its payload starts.

        Raises ``MALFORMED`` (length) or ``BAD_ICV``.
        """
        length = (packet[start + 1] + 2) * 4
        least = 12 + self._iv + self._icv
        # Linux pads to 8 octets over IPv4 too, unless told otherwise: up to there is accepted.
        if not least <= length < least + 8:
            raise Refused(Reason.MALFORMED, f"AH of {length} octets; header and ICV need {least}")
        if start + length > end:
            raise Refused(Reason.MALFORMED, f"AH of {length} octets in what is left of the packet, {end - start}")
        tag = start + 12 + self._iv
        cut = tag + self._icv
        covered = immutable_part(packet[:start], False) + packet[start:tag] + bytes(self._icv) + packet[cut:end] + high
        if not self._verify(packet[start + 12 : tag], covered, packet[tag:cut]):
            raise Refused(Reason.BAD_ICV, "the integrity check value is wrong")
        return start + length

    def _compute(self, iv: bytes, covered: bytes) -> bytes:
        if self._gmac is not None:
            return self._gmac.compute(iv, covered)
        assert self._mac is not None
        return self._mac.compute(covered)

    def _verify(self, iv: bytes, covered: bytes, icv: bytes) -> bool:
        if self._gmac is not None:
            return self._gmac.verify(iv, covered, icv)
        assert self._mac is not None
        return self._mac.verify(covered, icv)
