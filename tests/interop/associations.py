"""The table of what both sides have: one case for each algorithm, mode, IP version and option.

Every case has SAs of its own, one each way, and addresses of its own, so that
all of them work side by side in one device and one kernel.  The SAs are those
of our side; :mod:`.far` makes the kernel's from them.

Addresses: the guest ("near") is 10.0.0.1 and fe80::1 on the link, the far end
10.0.0.2, fd00::2 and fe80::2.  Case N is between 10.77.N.1 and 10.77.N.2 or
fd77::N:1 and fd77::N:2.  In tunnel mode the outer addresses are those of the
far end and 10.0.0.101 or fd00::101, which the guest has not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from virtionet_ipsec.ipsec import Direction, Mode, Protocol, SaParams, Tunnel, UdpEncap
from virtionet_ipsec.ipsec.algorithms import AEADS, AUTHS, CIPHERS
from virtionet_ipsec.safile import SaEntry, Select

Address = IPv4Address | IPv6Address

NAT_T = 4500
NEAR_SPI, FAR_SPI = 0x1000, 0x2000  # case N: towards the far end 0x1000 + N, back 0x2000 + N
OUTER_NEAR = {4: ip_address("10.0.0.101"), 6: ip_address("fd00::101")}
OUTER_FAR = {4: ip_address("10.0.0.2"), 6: ip_address("fd00::2")}

ESP, AH = Protocol.ESP, Protocol.AH
TUNNEL, TRANSPORT = Mode.TUNNEL, Mode.TRANSPORT


@dataclass(frozen=True, slots=True)
class Algorithms:
    """``aead``, or ``cipher`` with ``auth``, or ``auth`` alone for AH; key lengths in octets, 0: the only one."""

    aead: str | None = None
    cipher: str | None = None
    auth: str | None = None
    key: int = 0  # of the aead, the cipher, or AES-GMAC
    icv: int | None = None

    @property
    def name(self) -> str:
        """As in ``aes-cbc-128+hmac-sha256`` and ``aes-gcm-128-icv8``."""
        key = f"-{self.key * 8}" if self.key else ""
        parts = [self.aead, self.cipher, self.auth]
        keyed = next(part for part in parts if part and part != "null")
        names = [f"{part}{key}" if part == keyed else part for part in parts if part is not None]
        return "+".join(names) + (f"-icv{self.icv}" if self.icv else "")

    def fields(self, seed: str) -> dict[str, Any]:
        """These fields of an :class:`SaParams`, with keys that are a function of ``seed``."""
        encryption = AEADS[self.aead] if self.aead else CIPHERS[self.cipher] if self.cipher else None
        integrity = AUTHS[self.auth] if self.auth else None
        salted = integrity if self.auth == "aes-gmac" else encryption
        fields: dict[str, Any] = {"aead": self.aead, "cipher": self.cipher, "auth": self.auth, "icv_len": self.icv}
        if encryption is not None:
            lengths = encryption.key_lengths
            fields["cipher_key"] = octets(seed, "cipher", self.key if self.key in lengths else lengths[0])
        if integrity is not None:
            lengths = integrity.key_lengths
            fields["auth_key"] = octets(seed, "auth", self.key if self.key in lengths else lengths[0])
        if salted is not None:
            fields["salt"] = octets(seed, "salt", salted.salt_length)
        return fields


def octets(seed: str, what: str, length: int) -> bytes:
    """A key: the same every time, and used nowhere else."""
    return hashlib.shake_256(f"virtionet-ipsec interop {seed} {what}".encode()).digest(length)


@dataclass(frozen=True, slots=True)
class Case:
    """One row.  ``outer`` is the IP version of the outer header; ``far_flags`` are flags of the kernel's SAs."""

    number: int
    algorithms: Algorithms
    protocol: Protocol = ESP
    mode: Mode = TUNNEL
    inner: int = 4
    outer: int = 4
    esn: bool = False
    udp: bool = False
    far_flags: tuple[str, ...] = ()
    sent: int = 0  # the sequence number that either side has sent last

    @property
    def name(self) -> str:
        words = [self.protocol.name.lower(), self.mode.value, self.algorithms.name, f"ipv{self.inner}"]
        if self.mode is TUNNEL and self.outer != self.inner:
            words.append(f"in-ipv{self.outer}")
        words += ["esn"] * self.esn + ["udp"] * self.udp + [f"from-{self.sent:#x}"] * bool(self.sent)
        return " ".join([*words, *self.far_flags])

    @property
    def near(self) -> Address:
        return self._address(1)

    @property
    def far(self) -> Address:
        return self._address(2)

    def _address(self, end: int) -> Address:
        return ip_address(f"10.77.{self.number}.{end}" if self.inner == 4 else f"fd77::{self.number}:{end}")

    @property
    def ends(self) -> tuple[Address, Address]:
        """The addresses in the outermost header, ours and the kernel's."""
        return (OUTER_NEAR[self.outer], OUTER_FAR[self.outer]) if self.mode is TUNNEL else (self.near, self.far)

    @property
    def outbound(self) -> SaEntry:
        select = Select(ip_network(self.near), ip_network(self.far))
        return SaEntry(self.number, self._params(Direction.OUTBOUND), select)

    @property
    def inbound(self) -> SaEntry:
        return SaEntry(self.number, self._params(Direction.INBOUND))

    def _params(self, direction: Direction) -> SaParams:
        out = direction is Direction.OUTBOUND
        near, far = (end.packed for end in self.ends)
        tunnel = None
        if self.mode is TUNNEL:
            tunnel = Tunnel(near, far) if out else Tunnel(far, near)
        return SaParams(
            direction,
            self.protocol,
            self.mode,
            spi=(NEAR_SPI if out else FAR_SPI) + self.number,
            **self.algorithms.fields(f"{self.number} {self.algorithms.name} {direction.value}"),
            esn=self.esn,
            replay_window=0 if out else 64,
            first_seq=self.sent + 1,
            tunnel=tunnel,
            udp=UdpEncap(NAT_T, NAT_T) if self.udp else None,
            # What the kernel does at its end.
            copy_dscp=tunnel is not None and out,
            ecn=tunnel is not None,
            ah_align=4 if self.protocol is AH and self.outer_version == 4 else None,
        )

    @property
    def outer_version(self) -> int:
        """The IP version of the outermost header."""
        return self.ends[0].version


def entries(cases: Iterable[Case]) -> list[SaEntry]:
    """The SAs of all ``cases``, as a file of our side has them."""
    return [entry for case in cases for entry in (case.outbound, case.inbound)]


# -- the table -------------------------------------------------------------------------------------------------------

GCM = Algorithms("aes-gcm", key=16)
SHA256 = Algorithms(auth="hmac-sha256")
CBC_SHA256 = Algorithms(cipher="aes-cbc", auth="hmac-sha256", key=16)

OF_ESP: tuple[Algorithms, ...] = (
    *(Algorithms("aes-gcm", key=16, icv=icv) for icv in (None, 8, 12)),
    *(Algorithms("aes-gcm", key=key) for key in (24, 32)),
    *(Algorithms("aes-ccm", key=16, icv=icv) for icv in (None, 8, 12)),
    *(Algorithms("aes-ccm", key=key) for key in (24, 32)),
    Algorithms("chacha20-poly1305"),
    *(Algorithms(cipher="null", auth="aes-gmac", key=key) for key in (16, 24, 32)),
    *(Algorithms(cipher="aes-cbc", auth="hmac-sha256", key=key) for key in (16, 24, 32)),
    *(Algorithms(cipher="aes-ctr", auth="hmac-sha256", key=key) for key in (16, 24, 32)),
    Algorithms(cipher="3des-cbc", auth="hmac-sha1"),
    Algorithms(cipher="des-cbc", auth="hmac-md5"),
    Algorithms(cipher="aes-cbc", auth="hmac-sha1", key=16),
    *(Algorithms(cipher="null", auth=auth) for auth in ("hmac-md5", "hmac-sha1", "hmac-sha256")),
    *(Algorithms(cipher="aes-cbc", auth=auth, key=16) for auth in ("aes-xcbc", "aes-cmac")),
)
OF_AH = tuple(Algorithms(auth=auth) for auth in ("hmac-md5", "hmac-sha1", "hmac-sha256", "aes-xcbc", "aes-cmac"))

# Every algorithm in an IPv4 tunnel; then what else there is, with an algorithm of each kind.
ALIGN4: dict[str, Any] = {"far_flags": ("align4",)}  # RFC 4302 2.6; without it Linux pads AH over IPv4 to 8 octets
ROWS: Sequence[tuple[Algorithms, dict[str, Any]]] = (
    *((algorithms, {}) for algorithms in OF_ESP),
    *((algorithms, {"protocol": AH, **ALIGN4}) for algorithms in OF_AH),
    *((algorithms, {"mode": TRANSPORT}) for algorithms in (GCM, CBC_SHA256)),
    *((algorithms, {"inner": 6, "outer": 6}) for algorithms in (GCM, CBC_SHA256)),
    *((algorithms, {"inner": 6, "outer": 6, "mode": TRANSPORT}) for algorithms in (GCM, CBC_SHA256)),
    (SHA256, {"protocol": AH, "mode": TRANSPORT, **ALIGN4}),
    (SHA256, {"protocol": AH, "inner": 6, "outer": 6}),
    (SHA256, {"protocol": AH, "inner": 6, "outer": 6, "mode": TRANSPORT}),
    (GCM, {"inner": 4, "outer": 6}),
    (GCM, {"inner": 6, "outer": 4}),
    *((algorithms, {"esn": True}) for algorithms in (GCM, CBC_SHA256, Algorithms("chacha20-poly1305"))),
    (GCM, {"esn": True, "sent": 0xFFFFFFF8}),
    (GCM, {"esn": True, "inner": 6, "outer": 6, "mode": TRANSPORT}),
    (SHA256, {"protocol": AH, "esn": True, **ALIGN4}),
    (GCM, {"udp": True}),
    (CBC_SHA256, {"udp": True, "mode": TRANSPORT}),
    (GCM, {"udp": True, "esn": True}),
    (GCM, {"udp": True, "inner": 6, "outer": 6}),
)
CASES = [Case(number, algorithms, **more) for number, (algorithms, more) in enumerate(ROWS, 1)]
