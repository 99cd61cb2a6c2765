"""The structures of the 2025 RFC as its slides have them, put together by hand.

Not by :mod:`virtionet_ipsec.wire`, which the model reads them with.  All
integers are little-endian, and nothing is padded.
"""

from __future__ import annotations

import struct

from ...device.algorithm_ids import AEAD_NAMES, CIPHER_NAMES, MAC_NAMES
from ...ipsec import Direction, Mode, Protocol, SaParams, Tunnel
from ..verdict import NotApplicable
from .rig import Answer, Rig

RESOURCE_CAP, SA_CAP = 0x803, 0x804
OUTB_SA, INB_SA = 0x0203, 0x0204
CAP_GET, CAP_SET, CREATE, DELETE = 0x8, 0x9, 0xA, 0xD  # virtio 1.4's: the slides have no opcodes
ACTION_IPSEC, ACTION_RECIRCULATE = 0x3, 0x4
NEEDS_CSUM, DATA_VALID, RSC_INFO, SECURITY, SECURITY_ERR = 1, 2, 4, 8, 16

BASE_HEADER = 12  # virtio_net_hdr up to num_buffers
HASH_FIELDS = 8  # hash_value, hash_report, padding_reserved
RESOURCE_HDR = struct.Struct("<IH")  # struct ipsec_resource_hdr: resource_id, resource_type

LIMITS = struct.Struct("<II")  # struct virtio_crypto_ipsec_resource_cap: inb_sa_limit, outb_sa_limit
MODE_CAP = struct.Struct("<B3xIIQQIII")
"""struct virtio_crypto_ipsec_mode_cap: mode, max_replay_win_sz, options, cipher_algo, hmac_algo, aead_algo,
max_cipher_key_len, max_auth_key_len."""

_SA = struct.Struct("<BB2xII4sQ42sQHHIQH32sQH32s")
_TUNNEL4 = struct.Struct("<B3x4s4sBBB27x")
_TUNNEL6 = struct.Struct("<B3x16s16sIBB")

_MODES = {
    (Protocol.ESP, Mode.TUNNEL): 1,
    (Protocol.ESP, Mode.TRANSPORT): 2,
    (Protocol.AH, Mode.TUNNEL): 3,
    (Protocol.AH, Mode.TRANSPORT): 4,
}
_DIRECTIONS = {Direction.OUTBOUND: 1, Direction.INBOUND: 2}
TYPES = {Direction.OUTBOUND: OUTB_SA, Direction.INBOUND: INB_SA}


def only(rig: Rig) -> None:
    """Raise :class:`NotApplicable` in any other profile."""
    if rig.profile.value != "rfc-v1":
        raise NotApplicable("virtio 1.4 has other structures")


def sa_cap(*modes: bytes) -> bytes:
    """struct virtio_crypto_ipsec_sa_cap_data."""
    return struct.pack("<B7x", len(modes)) + b"".join(modes)


def tunnel(param: Tunnel | None) -> bytes:
    """struct virtio_crypto_ipsec_tunnel_param: 42 octets (type: D05, IPv4 addresses: D06)."""
    if param is None:
        return bytes(_TUNNEL4.size)
    if len(param.src) == 4:
        return _TUNNEL4.pack(1, param.src, param.dst, param.dscp, param.df, param.ttl)
    return _TUNNEL6.pack(2, param.src, param.dst, param.flow_label, param.ttl, param.dscp)


def sa_object(params: SaParams, obj_id: int = 0) -> bytes:
    """struct virtio_crypto_resource_obj_ipsec_sa_256b_key: 166 octets."""
    on = (params.esn, params.udp is not None, params.copy_dscp, params.dec_ttl, params.copy_df)
    options = sum(1 << bit for bit, wanted in enumerate(on) if wanted)
    cipher, auth = _algorithms(params)
    return _SA.pack(
        _MODES[params.protocol, params.mode],
        _DIRECTIONS[params.direction],
        obj_id,
        params.spi,
        params.salt,  # D07
        options,
        tunnel(params.tunnel),
        params.first_seq - 1,  # esn: the last number used (D11)
        params.udp.sport if params.udp else 0,
        params.udp.dport if params.udp else 0,
        params.replay_window,
        cipher,
        len(params.cipher_key),
        params.cipher_key,
        auth,
        len(params.auth_key),
        params.auth_key,
    )


def _algorithms(params: SaParams) -> tuple[int, int]:
    """cipher_algo and auth_algo; an AEAD is a cipher without a MAC (D01)."""
    numbers = {name: number for names in (AEAD_NAMES, CIPHER_NAMES, MAC_NAMES) for number, name in names.items()}
    return numbers.get(params.aead or params.cipher or "null", 0), numbers.get(params.auth or "", 0)


def algorithm_masks(params: SaParams) -> tuple[int, int, int]:
    """cipher_algo, hmac_algo and aead_algo of a mode that has what the SA needs, and nothing else."""
    encryption, auth = _algorithms(params)
    if params.aead is not None:
        return 0, 0, 1 << encryption
    return (1 << encryption if params.protocol is Protocol.ESP else 0), 1 << auth, 0


def cap_get(rig: Rig, cap: int) -> Answer:
    return rig.command(CAP_GET, struct.pack("<H6x", cap))


def cap_set(rig: Rig, cap: int, data: bytes) -> Answer:
    return rig.command(CAP_SET, struct.pack("<H6x", cap) + data)


def create(rig: Rig, kind: int, resource_id: int, data: bytes) -> Answer:
    return rig.command(CREATE, struct.pack("<H2xIQ", kind, resource_id, 0) + data)


def delete(rig: Rig, kind: int, resource_id: int, *, flags: bool = True) -> Answer:
    """DELETE; with ``flags`` behind the id, as the header is printed, or without (D106)."""
    return rig.command(DELETE, struct.pack("<H2xI", kind, resource_id) + bytes(8 if flags else 0))


def created(rig: Rig, params: SaParams, resource_id: int = 1) -> SaParams:
    """Create the SA; a device that refuses fails the check.  Gives ``params``."""
    answer = create(rig, TYPES[params.direction], resource_id, sa_object(params, resource_id))
    rig.ok(answer, f"CREATE of an {params.direction.value} SA: {params.algorithm_name}, {params.mode.value} mode")
    return params
