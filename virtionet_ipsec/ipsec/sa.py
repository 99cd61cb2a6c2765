"""Security associations: what the driver configured, and what packets change.

Parameters and state are two things.  :class:`SaParams` is frozen and checked
when it is made; :class:`SaState` is what packets move: the sequence number,
the counters.  (The replay window is in :mod:`.window`.)
"""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field, fields

from .algorithms import AEADS, AUTHS, CIPHERS, Aead, Cipher, Integrity
from .reasons import Reason

MAX_REPLAY_WINDOW = 4096


class Direction(enum.Enum):
    OUTBOUND = "outbound"
    INBOUND = "inbound"


class Protocol(enum.Enum):
    """The IPsec protocol; the value is its IP protocol number."""

    ESP = 50
    AH = 51


class Mode(enum.Enum):
    TUNNEL = "tunnel"
    TRANSPORT = "transport"


class ParameterError(ValueError):
    """An SA that cannot be: ``field`` names the parameter, the message says why.

    Neither ever holds key material.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(field, message)
        self.field = field
        self.message = message

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


@dataclass(frozen=True, slots=True)
class Tunnel:
    """The outer IP header of tunnel mode (RFC 4301 5.1.2).

    ``src`` and ``dst`` are 4 octets (IPv4) or 16 (IPv6), network order.
    ``dscp`` (0-63) and ``df`` serve when they are not copied from the inner
    header; ``ttl`` is the hop limit for IPv6; ``flow_label`` is IPv6's, 20 bits.
    """

    src: bytes
    dst: bytes
    dscp: int = 0
    df: bool = False
    ttl: int = 64
    flow_label: int = 0

    def __post_init__(self) -> None:
        if len(self.src) not in (4, 16) or len(self.dst) != len(self.src):
            raise ParameterError("tunnel", "src and dst have to be two IPv4 or two IPv6 addresses")
        for name, value, most in (
            ("dscp", self.dscp, 63),
            ("ttl", self.ttl, 255),
            ("flow_label", self.flow_label, 0xFFFFF),
        ):
            if not 0 <= value <= most:
                raise ParameterError(f"tunnel.{name}", f"{value} is not in 0 to {most}")
        if self.ttl == 0:
            raise ParameterError("tunnel.ttl", "0 would never leave the device")


@dataclass(frozen=True, slots=True)
class UdpEncap:
    """UDP encapsulation of ESP (RFC 3948): the ports, host order."""

    sport: int
    dport: int

    def __post_init__(self) -> None:
        for name, port in (("sport", self.sport), ("dport", self.dport)):
            if not 1 <= port <= 65535:
                raise ParameterError(f"udp.{name}", f"{port} is not in 1 to 65535")


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Limits in packets and in bytes of plain IP packets; 0 is no limit (D15)."""

    packets_soft: int = 0
    bytes_soft: int = 0
    packets_hard: int = 0
    bytes_hard: int = 0

    def __post_init__(self) -> None:
        for name in ("packets_soft", "bytes_soft", "packets_hard", "bytes_hard"):
            if not 0 <= getattr(self, name) < 1 << 64:
                raise ParameterError(f"lifetime.{name}", "is not a 64-bit number")


@dataclass(frozen=True, slots=True)
class SaParams:
    """One security association, one direction, as configured.

    Keys and ``salt`` are octets as they are used; ``salt`` goes in front of the
    IV in the nonce and has the length of the algorithm's row in
    :mod:`.algorithms`.  ESP takes ``aead``, or ``cipher`` with ``auth``; AH
    takes ``auth`` alone.  ``icv_len``, ``iv``, ``first_seq`` and ``ah_align``
    are for the model: no virtio 1.4 object carries them.

    Raises :class:`ParameterError` when the parameters contradict each other.
    """

    direction: Direction
    protocol: Protocol
    mode: Mode
    spi: int
    aead: str | None = None
    cipher: str | None = None
    auth: str | None = None
    cipher_key: bytes = field(default=b"", repr=False)
    auth_key: bytes = field(default=b"", repr=False)
    salt: bytes = field(default=b"", repr=False)
    esn: bool = False
    replay_window: int = 0
    tunnel: Tunnel | None = None
    udp: UdpEncap | None = None
    copy_dscp: bool = False
    dec_ttl: bool = False
    copy_df: bool = False
    ecn: bool = False
    lifetime: Lifetime = Lifetime()
    icv_len: int | None = None  # None: the algorithm's default (D08)
    iv: bytes | None = None  # first IV, outbound; None: from the IV source (D10)
    first_seq: int = 1  # outbound: first number sent; inbound: first number expected
    ah_align: int | None = None  # 4 or 8; None: 4 for IPv4, 8 for IPv6 (RFC 4302 2.6)

    def __post_init__(self) -> None:
        if not 1 <= self.spi <= 0xFFFFFFFF:
            raise ParameterError("spi", f"{self.spi:#x} is not in 1 to 0xffffffff (0 is reserved, RFC 4303 2.1)")
        if not 0 <= self.replay_window <= MAX_REPLAY_WINDOW:
            raise ParameterError("replay_window", f"{self.replay_window} is not in 0 to {MAX_REPLAY_WINDOW}")
        last_seq = 0xFFFFFFFFFFFFFFFF if self.esn else 0xFFFFFFFF
        if not 1 <= self.first_seq <= last_seq:
            raise ParameterError("first_seq", f"{self.first_seq} is not in 1 to {last_seq:#x}")
        if self.ah_align not in (None, 4, 8):
            raise ParameterError("ah_align", f"{self.ah_align} is not 4 or 8")
        if self.mode is Mode.TUNNEL and self.direction is Direction.OUTBOUND and self.tunnel is None:
            raise ParameterError("tunnel", "an outbound tunnel mode SA needs the outer addresses")
        if self.udp is not None and self.protocol is Protocol.AH:
            raise ParameterError("udp", "RFC 3948 encapsulates ESP, not AH")
        self._check_algorithms()

    def _check_algorithms(self) -> None:
        for kind, name, table in (
            ("aead", self.aead, AEADS),
            ("cipher", self.cipher, CIPHERS),
            ("auth", self.auth, AUTHS),
        ):
            if name is not None and name not in table:
                raise ParameterError(kind, f"{name!r} is not one of {', '.join(table)}")
        if self.protocol is Protocol.AH:
            if self.aead is not None or self.cipher is not None or self.auth is None:
                raise ParameterError("auth", "AH takes an integrity algorithm and nothing else")
        elif self.aead is not None:
            if self.cipher is not None or self.auth is not None:
                raise ParameterError("aead", "an AEAD takes no cipher and no auth beside it")
        elif self.cipher is None:
            raise ParameterError("cipher", "ESP takes an aead, or a cipher and an auth")
        elif self.auth is None:
            raise ParameterError("auth", "encryption without authentication is not offered (RFC 8221 4)")
        elif self.auth == "aes-gmac" and self.cipher != "null":
            raise ParameterError("auth", "aes-gmac in ESP goes with the null cipher alone (RFC 4543 3)")
        self._check_key("cipher_key", self.cipher_key, self.encryption)
        self._check_key("auth_key", self.auth_key, self.integrity)
        self._check_salt_and_sizes()

    @staticmethod
    def _check_key(field: str, key: bytes, algorithm: Aead | Cipher | Integrity | None) -> None:
        if algorithm is None:
            if key:
                raise ParameterError(field, "there is no algorithm for this key")
        elif len(key) not in algorithm.key_lengths:
            sizes = " or ".join(str(n) for n in algorithm.key_lengths)
            raise ParameterError(field, f"{algorithm.name} takes a key of {sizes} octets, not {len(key)}")

    def _check_salt_and_sizes(self) -> None:
        salted = self.nonce_algorithm
        need = salted.salt_length if salted is not None else 0
        if len(self.salt) != need:
            raise ParameterError(
                "salt",
                f"{salted.name if salted else 'this algorithm'} takes a salt of {need} octets, not {len(self.salt)}",
            )
        algorithm = self.icv_algorithm
        if self.icv_len is not None and self.icv_len not in algorithm.icv_lengths:
            sizes = " or ".join(str(n) for n in algorithm.icv_lengths)
            raise ParameterError(
                "icv_len", f"{algorithm.name} has an ICV of {sizes} octets ({algorithm.section}), not {self.icv_len}"
            )
        if self.iv is not None and len(self.iv) != self.iv_length:
            raise ParameterError("iv", f"has to be {self.iv_length} octets, not {len(self.iv)}")

    @property
    def encryption(self) -> Aead | Cipher | None:
        """The row of what encrypts, or None for AH."""
        if self.aead is not None:
            return AEADS[self.aead]
        return CIPHERS[self.cipher] if self.cipher is not None else None

    @property
    def integrity(self) -> Integrity | None:
        """The row of the separate integrity algorithm, or None for an AEAD."""
        return AUTHS[self.auth] if self.auth is not None else None

    @property
    def icv_algorithm(self) -> Aead | Integrity:
        """The row of what makes the ICV."""
        if self.aead is not None:
            return AEADS[self.aead]
        assert self.auth is not None  # _check_algorithms
        return AUTHS[self.auth]

    @property
    def nonce_algorithm(self) -> Aead | Cipher | Integrity | None:
        """The row of what takes salt and IV: GMAC, else what encrypts."""
        return AUTHS["aes-gmac"] if self.auth == "aes-gmac" else self.encryption

    @property
    def icv_length(self) -> int:
        """Length of the ICV on the wire, in octets."""
        return self.icv_len if self.icv_len is not None else self.icv_algorithm.icv_default

    @property
    def pad_to(self) -> int:
        """What an ESP payload with its trailer is padded to: the least that RFC 4303 2.4 allows."""
        return CIPHERS[self.cipher].block if self.cipher is not None else 4

    @property
    def algorithm_name(self) -> str:
        """The algorithms as people say them: ``aes-gcm``, ``aes-cbc+hmac-sha256``, ``hmac-sha1``."""
        return self.aead or "+".join(name for name in (self.cipher, self.auth) if name is not None)

    @property
    def iv_length(self) -> int:
        """Length of the IV on the wire, in octets."""
        return self.nonce_algorithm.iv_length if self.nonce_algorithm is not None else 0


@dataclass(slots=True)
class SaState:
    """What packets change.  ``bytes`` counts plain IP packets (D15)."""

    packets: int = 0
    bytes: int = 0
    seq: int = 0  # outbound: the last number sent
    soft_expired: bool = False
    dummies: int = 0  # RFC 4303 2.6, inbound
    failures: Counter[Reason] = field(default_factory=Counter)


# What MODIFY may change under a live SA (D19): everything else makes it another SA.
_MODIFIABLE = frozenset({"replay_window", "tunnel", "copy_dscp", "dec_ttl", "copy_df", "ecn", "lifetime"})


def rekeyed_field(old: SaParams, new: SaParams) -> str | None:
    """The first field in which ``new`` is another SA than ``old``, or None when it is ``old`` modified (D19)."""
    for row in fields(SaParams):
        if row.name not in _MODIFIABLE and getattr(old, row.name) != getattr(new, row.name):
            return row.name
    return None
