"""Security associations for checks: on the device through its commands, and the far end of each.

The far end is the engine of this package, or, where a check needs a packet
that no sound sender makes, :func:`null_esp`: ESP without encryption, put
together by hand.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from itertools import chain, count
from typing import Any

from ...device.algorithm_ids import AEAD_NAMES, CIPHER_NAMES, MAC_NAMES
from ...driver.packet import RxPacket
from ...driver.sa_object import options_of
from ...ipsec import Direction, InboundSa, Mode, OutboundSa, Protocol, Refused, SaParams, Tunnel, locate
from ...ipsec.algorithms import AEADS, AUTHS, CIPHERS
from ...wire.capabilities import ipsec_sa_cap
from ...wire.codec import parse
from ...wire.enums import Action, CapId, Feature, IpsecMode, IpsecOption, ResourceType
from ..verdict import Failed, NotApplicable
from . import filters, frames
from .rig import Rig

OUTBOUND, INBOUND = Direction.OUTBOUND, Direction.INBOUND
SA_TYPE = {OUTBOUND: ResourceType.IPSEC_OUTB_SA, INBOUND: ResourceType.IPSEC_INB_SA}
TUNNEL4 = Tunnel(bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2)))
TUNNEL6 = Tunnel(bytes.fromhex("20010db80000000a0000000000000001"), bytes.fromhex("20010db80000000a0000000000000002"))
SPI, INBOUND_SPI = 0x1000, 0x9000  # no SPI twice among all SAs, which a device may refuse

PLAIN = (frames.udp4_frame()[14:], frames.udp6_frame()[14:])
"""The packets that most checks protect."""

# Tried in this order where a check does not say: the first that the device has.
_PREFERRED: tuple[dict[str, str], ...] = (
    {"aead": "aes-gcm"},
    {"aead": "chacha20-poly1305"},
    {"aead": "aes-ccm"},
    *({"cipher": cipher, "auth": auth} for cipher in ("aes-cbc", "aes-ctr", "null") for auth in MAC_NAMES.values()),
)
_MODE = {
    (Protocol.ESP, Mode.TUNNEL): IpsecMode.ESP_TUNNEL,
    (Protocol.ESP, Mode.TRANSPORT): IpsecMode.ESP_TRANSPORT,
    (Protocol.AH, Mode.TUNNEL): IpsecMode.AH_TUNNEL,
    (Protocol.AH, Mode.TRANSPORT): IpsecMode.AH_TRANSPORT,
}


def start(
    rig: Rig, *, recirculate: bool = False, also: Collection[Feature] = (), without: Collection[Feature] = ()
) -> None:
    """Bring the device up with VIRTIO_NET_F_IPSEC, every capability set, and rules that steer ESP, AH and UDP 4500."""
    rig.needs(Feature.IPSEC)
    rig.start(also=also, without=without)
    steer(rig, recirculate=recirculate)


def steer(rig: Rig, *, recirculate: bool = False) -> None:
    """Rules that steer ESP, AH and UDP 4500; :class:`NotApplicable`, with nothing done, for a device without them."""
    filters.can_steer(rig, Action.IPSEC_RECIRCULATE if recirculate else Action.IPSEC)
    rig.driver.steer_ipsec(recirculate=recirculate)


def sa(rig: Rig, direction: Direction, **parameters: Any) -> SaParams:
    """Parameters of an SA that the started device can do: ESP, tunnel mode over IPv4, an AEAD, unless told otherwise.

    ``parameters`` are fields of :class:`SaParams`.  Keys and salt of the right
    length are filled in.  Raises :class:`NotApplicable` for what
    VIRTIO_NET_IPSEC_SA_CAP does not have.
    """
    spi = SPI if direction is OUTBOUND else INBOUND_SPI
    fields: dict[str, Any] = {"protocol": Protocol.ESP, "mode": Mode.TUNNEL, "spi": spi, **parameters}
    if fields["mode"] is Mode.TUNNEL:
        fields.setdefault("tunnel", TUNNEL4)
    cap = mode_cap(rig, _MODE[fields["protocol"], fields["mode"]])
    if not fields.keys() & {"aead", "cipher", "auth"}:
        fields |= _first_offered(cap, fields["protocol"])
    made = SaParams(direction=direction, **(_keys(fields) | fields))
    _check_offered(cap, made)
    return made


def pair(rig: Rig, **parameters: Any) -> tuple[SaParams, SaParams]:
    """An SA each way with one key and an SPI each, as :func:`sa` makes them: (outbound, inbound)."""
    window = parameters.pop("replay_window", 64)
    return sa(rig, OUTBOUND, **parameters), sa(rig, INBOUND, replay_window=window, **parameters)


def create(rig: Rig, params: SaParams, resource_id: int | None = None) -> int:
    """Create the SA on the device, under the lowest id that is free unless one is given; gives its resource_id.

    A device that refuses fails the check; :class:`NotApplicable` when its limit has no such id.
    """
    kind = SA_TYPE[params.direction]
    limit, used = rig.driver.limits.get(kind), rig.driver.sas[kind]
    if resource_id is None:
        # 0 is what resource_id reads where there is no SA: it comes last, so that reporting none shows.
        ids = chain(range(1, limit), range(min(limit, 1))) if limit is not None else count(1)
        resource_id = next((number for number in ids if number not in used), limit)
    if limit is not None and (resource_id is None or resource_id >= limit):
        raise NotApplicable(f"the device's limit leaves room for {limit} {params.direction.value} SAs")
    return rig.driver.create_sa(params, resource_id)


def sender(inbound: SaParams, **changes: Any) -> OutboundSa:
    """The far end that sends to the device's inbound SA; ``changes`` make it wrong, or start it at ``first_seq``."""
    changes.setdefault("first_seq", inbound.first_seq)
    return OutboundSa(replace(inbound, direction=OUTBOUND, replay_window=0, **changes))


def receiver(outbound: SaParams, **changes: Any) -> InboundSa:
    """The far end that receives from the device's outbound SA, without a replay window unless ``changes`` say so."""
    return InboundSa(replace(outbound, direction=INBOUND, **changes))


def protected(far_end: OutboundSa, frame: bytes, seq: int | None = None) -> bytes:
    """The frame as the far end puts it on the wire, with sequence number ``seq`` where it is given."""
    if seq is not None:
        far_end.state.seq = seq - 1
    return frames.ethernet(far_end.protect(frame[14:]))


def inside(far_end: InboundSa, wire: bytes, what: str = "the frame on the wire") -> bytes:
    """The plain IP packet inside ``wire``, a frame that the device sent; one that nobody can open fails the check."""
    packet = wire[14:]
    try:
        return far_end.unprotect(packet, locate(packet))
    except Refused as refused:
        raise Failed(what, "a packet that the far end can open", f"{refused.reason.value}: {refused.detail}") from None


def send(rig: Rig, resource_id: int, frame: bytes) -> bytes:
    """Let the device protect ``frame`` with an SA; gives the frame on the wire."""
    return rig.sent(rig.driver.header(resource_id) + frame)


def accepted(rig: Rig, wire: bytes, what: str = "an IPsec packet") -> RxPacket:
    """Let ``wire`` arrive; it has to be delivered with SECURITY and without SECURITY_ERR."""
    packet = rig.delivered(wire)
    processed(rig, packet, what)
    return packet


def processed(rig: Rig, packet: RxPacket, what: str) -> None:
    """A packet that IPsec processing found good has SECURITY and no SECURITY_ERR; a warning is for other checks."""
    got = [name for name in packet.flag_names if name.startswith("SECURITY")]
    good = "SECURITY" in got and "SECURITY_ERR" not in got
    rig.expect(good, f"{what}: flags", "SECURITY without SECURITY_ERR", "|".join(got) or "no SECURITY")


def rejected(rig: Rig, wire: bytes, what: str = "an IPsec packet", plain: Collection[bytes] = PLAIN) -> RxPacket | None:
    """Let ``wire`` arrive; IPsec processing has to fail.  Gives what the driver gets of it.

    Nothing will do, which is the RFCs' "discard"; what is delivered has
    SECURITY_ERR and is none of the packets ``plain``.  That it is the frame as
    it came, with SECURITY, is D13 and not for here.
    """
    packet = rig.receive(wire)
    if packet is None:
        return None
    got = [name for name in packet.flag_names if name.startswith("SECURITY")]
    rig.expect("SECURITY_ERR" in got, f"{what}: flags", "SECURITY_ERR", "|".join(got) or "no SECURITY")
    rig.expect(
        packet.frame[14:] not in plain,
        f"{what}: the frame that the driver gets",
        "not the plain packet",
        "the plain packet",
    )
    return packet


def mode_cap(rig: Rig, mode: IpsecMode) -> Any:
    """The device's struct virtio_crypto_ipsec_mode_cap of ``mode``; :class:`NotApplicable` when it has none."""
    if CapId.IPSEC_SA_CAP not in rig.cap_ids():
        raise NotApplicable("the device has no VIRTIO_NET_IPSEC_SA_CAP")
    found = parse(ipsec_sa_cap(rig.profile), rig.ok(rig.cap_get(CapId.IPSEC_SA_CAP), "DEVICE_CAP_GET"))
    for cap in found.cap_mode:
        if cap.mode == mode:
            return cap
    raise NotApplicable(f"the device does not offer {mode.name}")


def _first_offered(cap: Any, protocol: Protocol) -> dict[str, str]:
    if protocol is Protocol.AH:
        for number, name in MAC_NAMES.items():
            if cap.hmac_algo >> number & 1 and name != "aes-gmac":
                return {"auth": name}
        raise NotApplicable("the device offers no integrity algorithm for AH that this check knows")
    for choice in _PREFERRED:
        if not _missing(cap, **choice):
            return choice
    raise NotApplicable("the device offers no algorithms for ESP that this check knows")


def _missing(cap: Any, aead: str | None = None, cipher: str | None = None, auth: str | None = None) -> list[str]:
    """Which of the algorithms the mode does not have, or not with their shortest keys; null is a cipher (D27)."""
    rows = (
        (aead, AEAD_NAMES, cap.aead_algo, AEADS, cap.max_cipher_key_len),
        (cipher, CIPHER_NAMES, cap.cipher_algo, CIPHERS, cap.max_cipher_key_len),
        (auth, MAC_NAMES, cap.hmac_algo, AUTHS, cap.max_auth_key_len),
    )
    missing = []
    for name, names, offered, table, longest in rows:
        if name is None:
            continue
        known = any(offered >> number & 1 for number, each in names.items() if each == name)
        if not known or table[name].key_lengths[0] > longest:
            missing.append(name)
    return missing


def _check_offered(cap: Any, params: SaParams) -> None:
    if missing := _missing(cap, params.aead, params.cipher, params.auth):
        raise NotApplicable(f"the device does not offer {' and '.join(missing)}")
    keys = (params.cipher_key, cap.max_cipher_key_len), (params.auth_key, cap.max_auth_key_len)
    if any(len(key) > longest for key, longest in keys):
        raise NotApplicable("the device has no keys of this length")
    if missing_options := options_of(params) & ~cap.options:
        names = " and ".join(str(option.name) for option in IpsecOption if option & missing_options)
        raise NotApplicable(f"the device does not offer {names}")
    if params.replay_window > cap.max_replay_win_sz:
        raise NotApplicable(f"the device's replay windows end at {cap.max_replay_win_sz}")


def _keys(fields: dict[str, Any]) -> dict[str, bytes]:
    """Keys and salt, always the same octets, for the algorithms; those that ``fields`` has are left out."""
    auth = AUTHS.get(fields.get("auth") or "")
    encryption = AEADS.get(fields.get("aead") or "") or CIPHERS.get(fields.get("cipher") or "")
    nonce = auth if auth is not None and auth.name == "aes-gmac" else encryption
    made = {
        "cipher_key": bytes(range(encryption.key_lengths[0])) if encryption is not None else b"",
        "auth_key": bytes(range(64, 64 + auth.key_lengths[0])) if auth is not None else b"",
        "salt": b"salt"[: nonce.salt_length] if nonce is not None else b"",
    }
    return {name: octets for name, octets in made.items() if name not in fields}


def null_esp(params: SaParams, seq: int, plaintext: bytes, *, corrupt: bool = False) -> bytes:
    """ESP (RFC 4303 2) of an SA with cipher null and hmac-sha256: ``plaintext`` is payload and trailer as they are.

    From the SPI to the ICV; with ESN the high half of ``seq`` is under the ICV only (2.2.1).
    """
    body = params.spi.to_bytes(4, "big") + (seq & 0xFFFFFFFF).to_bytes(4, "big") + plaintext
    high = (seq >> 32).to_bytes(4, "big") if params.esn else b""
    icv = hmac.new(params.auth_key, body + high, hashlib.sha256).digest()[:16]
    return body + (bytes((icv[0] ^ 1,)) + icv[1:] if corrupt else icv)


def null_sa(rig: Rig, direction: Direction, **parameters: Any) -> SaParams:
    """An SA for :func:`null_esp`: cipher null, hmac-sha256."""
    return sa(rig, direction, cipher="null", auth="hmac-sha256", **parameters)


def tunnel_frame(esp: bytes, *, protocol: int = frames.ESP, **ip: Any) -> bytes:
    """A frame from the far end of :data:`TUNNEL4`: outer IPv4 header and ``esp``."""
    return frames.ethernet(frames.ipv4(esp, protocol, src=TUNNEL4.dst, dst=TUNNEL4.src, **ip))


def modes(rig: Rig, protocol: Protocol) -> list[Mode]:
    """The modes of ``protocol`` that the device has; :class:`NotApplicable` when there are none."""
    found: list[Mode] = []
    for mode in Mode:
        with suppress(NotApplicable):
            mode_cap(rig, _MODE[protocol, mode])
            found.append(mode)
    if not found:
        raise NotApplicable(f"the device does not offer {protocol.name}")
    return found


def algorithms(rig: Rig, protocol: Protocol = Protocol.ESP, mode: Mode = Mode.TUNNEL) -> list[dict[str, str]]:
    """Every algorithm that the device has in a mode, as parameters of :func:`sa`.

    With ESP each AEAD, each cipher with one MAC, and each MAC with one cipher; AES-GMAC goes with cipher null alone.
    """
    cap = mode_cap(rig, _MODE[protocol, mode])
    macs = [name for name in MAC_NAMES.values() if not _missing(cap, auth=name)]
    if protocol is Protocol.AH:
        return [{"auth": name} for name in macs]
    aeads = [{"aead": name} for name in AEAD_NAMES.values() if not _missing(cap, aead=name)]
    ciphers = [name for name in CIPHER_NAMES.values() if not _missing(cap, cipher=name)]
    plain_macs = [name for name in macs if name != "aes-gmac"]
    pairs = [(cipher, mac) for cipher in ciphers for mac in plain_macs[:1]]
    pairs += [(cipher, mac) for mac in plain_macs[1:] for cipher in ciphers[:1]]
    if "null" in ciphers and "aes-gmac" in macs:
        pairs.append(("null", "aes-gmac"))
    return aeads + [{"cipher": cipher, "auth": mac} for cipher, mac in pairs]
