"""SA objects for checks: every kind that the capability allows, and ones that differ from a right one in a field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...driver.sa_object import sa_object
from ...ipsec import Direction, Lifetime, Mode, Protocol, Refused, SaParams, UdpEncap, locate
from ...ipsec.sa import MAX_REPLAY_WINDOW
from ...wire.capabilities import IpsecResourceCap, ipsec_sa_cap
from ...wire.codec import build, parse
from ...wire.enums import CapId, IpsecMode, IpsecOption
from ...wire.profile import Profile
from ...wire.sa import ipsec_sa
from ..verdict import NotApplicable
from .associations import INBOUND, OUTBOUND, algorithms, sa
from .rig import Rig

MODES: dict[IpsecMode, tuple[Protocol, Mode]] = {
    IpsecMode.ESP_TUNNEL: (Protocol.ESP, Mode.TUNNEL),
    IpsecMode.ESP_TRANSPORT: (Protocol.ESP, Mode.TRANSPORT),
    IpsecMode.AH_TUNNEL: (Protocol.AH, Mode.TUNNEL),
    IpsecMode.AH_TRANSPORT: (Protocol.AH, Mode.TRANSPORT),
}

# Each option with the parameters that turn it on.
_OPTIONS: dict[IpsecOption, dict[str, Any]] = {
    IpsecOption.ESN: {"esn": True},
    IpsecOption.UDP_ENCAP: {"udp": UdpEncap(4500, 4500)},
    IpsecOption.COPY_DSCP: {"copy_dscp": True},
    IpsecOption.DEC_TTL: {"dec_ttl": True},
    IpsecOption.COPY_DF: {"copy_df": True},
    IpsecOption.ECN: {"ecn": True},
    IpsecOption.SA_LIFETIME: {"lifetime": Lifetime(1 << 20, 1 << 30, 1 << 21, 1 << 31)},
}


def mode_caps(rig: Rig) -> list[Any]:
    """The entries of the device's VIRTIO_NET_IPSEC_SA_CAP whose mode has a name."""
    data = rig.ok(rig.cap_get(CapId.IPSEC_SA_CAP), "DEVICE_CAP_GET of IPSEC_SA_CAP")
    return [cap for cap in parse(ipsec_sa_cap(rig.profile), data).cap_mode if cap.mode in list(IpsecMode)]


def limits(rig: Rig) -> dict[Direction, int]:
    """The device's inb_sa_limit and outb_sa_limit."""
    data = rig.ok(rig.cap_get(CapId.IPSEC_RESOURCE_CAP), "DEVICE_CAP_GET of IPSEC_RESOURCE_CAP")
    rig.expect(len(data) >= IpsecResourceCap.sizeof(), "octets of IPSEC_RESOURCE_CAP", "8", str(len(data)))
    cap = parse(IpsecResourceCap, data)
    return {OUTBOUND: cap.outb_sa_limit, INBOUND: cap.inb_sa_limit}


def resource_cap(inbound: int, outbound: int) -> bytes:
    """VIRTIO_NET_IPSEC_RESOURCE_CAP with these limits."""
    return build(IpsecResourceCap, inb_sa_limit=inbound, outb_sa_limit=outbound)


def any_sa(rig: Rig, direction: Direction, **parameters: Any) -> SaParams:
    """An SA in the first mode that the device can do these parameters in."""
    for protocol, mode in MODES.values():
        try:
            return sa(rig, direction, protocol=protocol, mode=mode, **parameters)
        except NotApplicable as missing:
            reason = missing
    raise reason


def sa_octets(rig: Rig, params: SaParams, resource_id: int = 1, **fields: Any) -> bytes:
    """The SA object of ``params``, but with these fields of the structure."""
    data = sa_object(params, resource_id, rig.profile)
    return build(ipsec_sa(rig.profile), **(dict(parse(ipsec_sa(rig.profile), data)) | fields)) if fields else data


def every_sa(rig: Rig, direction: Direction) -> Iterator[SaParams]:
    """An SA for each mode, and in it for each algorithm and each option, that VIRTIO_NET_IPSEC_SA_CAP has."""
    for cap in mode_caps(rig):
        protocol, mode = MODES[cap.mode]
        choices: list[dict[str, Any]] = [*algorithms(rig, protocol, mode)]
        some = choices[:1]
        choices += [choice | _OPTIONS[option] for option in _options(rig, cap) for choice in some]
        if direction is INBOUND:
            choices += [choice | {"replay_window": min(cap.max_replay_win_sz, MAX_REPLAY_WINDOW)} for choice in some]
        for choice in choices:
            params = sa(rig, direction, protocol=protocol, mode=mode, **choice)
            if len(params.cipher_key) <= cap.max_cipher_key_len and len(params.auth_key) <= cap.max_auth_key_len:
                yield params


def _options(rig: Rig, cap: Any) -> Iterator[IpsecOption]:
    """The options of a mode that an SA object of the profile can have."""
    added = IpsecOption.ECN | IpsecOption.SA_LIFETIME if rig.profile is Profile.RFC_V1 else 0
    yield from (option for option in _OPTIONS if cap.options & option & ~added)


def spi_of(wire: bytes) -> int:
    """The SPI of a frame on the wire; 0 for one that is no IPsec packet."""
    try:
        return locate(wire[14:])[5]
    except Refused:
        return 0
