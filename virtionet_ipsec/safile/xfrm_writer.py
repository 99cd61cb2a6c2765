"""Writing SAs as ``ip xfrm state`` prints them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from ipaddress import ip_address

from ..ipsec.sa import Direction, Lifetime, Mode, Protocol, SaParams
from . import xfrm_names
from .model import Address, SaEntry, SaFileError, Select
from .pairs import Pair, losses, pairs
from .values import PROTOCOL_NAMES

_TABLES = (xfrm_names.AEADS, xfrm_names.CIPHERS, xfrm_names.AUTHS)
_NAMES = {model: kernel for table in _TABLES for kernel, model in table.items()}

# Up to this size the kernel keeps the window in the old context's bitmap.
_OLD_WINDOW = 32


def dumps_xfrm(entries: Sequence[SaEntry]) -> tuple[str, list[str]]:
    """``entries`` as ``ip xfrm state`` text, and a warning for each thing it cannot say.

    An inbound and an outbound entry with the same SPI, keys and addresses become
    one SA; one that stands alone is marked ``dir in`` or ``dir out``.  Raises
    SaFileError for an SA that the kernel has not.
    """
    sas = pairs(entries, _identity)
    unknown = [f"{sa.name}: the addresses are not known: xfrm gets 0.0.0.0" for sa in sas if sa.ends is None]
    lines = [line for sa in sas for line in _block(sa)]
    return "".join(line + "\n" for line in lines), losses(sas, _lost) + unknown


def _identity(params: SaParams) -> Hashable:
    """What the kernel has once for both directions."""
    algorithms = params.aead, params.cipher, params.auth, params.icv_len
    keys = params.cipher_key, params.auth_key, params.salt
    return params.protocol, params.mode, params.spi, params.udp, params.esn, params.lifetime, *algorithms, *keys


def _lost(entry: SaEntry) -> list[str]:
    """What of ``entry`` the text cannot say."""
    params = entry.params
    lost = []
    if params.iv is not None:
        lost.append("xfrm has no place for the first IV")
    if params.direction is Direction.INBOUND:
        if params.first_seq & 0xFFFFFFFF != 1:
            lost.append("xfrm has no place for the first sequence number expected")
        if entry.select is not None:
            lost.append("xfrm has no place for an inbound select: its policies say what may arrive")
        return lost
    if params.dec_ttl:
        lost.append("xfrm has no place for dec-ttl: forwarding decrements the TTL")
    tunnel = params.tunnel
    if tunnel is not None:
        if tunnel.dscp and not params.copy_dscp:
            lost.append("xfrm has no place for a DSCP of the tunnel's own")
        if tunnel.df and not params.copy_df:
            lost.append("xfrm has no place for a DF bit that is always set")
        if tunnel.ttl != 64 or tunnel.flow_label:
            lost.append("xfrm has no place for TTL and flow label: the route sets them")
    return lost


def _block(sa: Pair) -> list[str]:
    params = sa.params
    inbound, outbound = sa.entries.get(Direction.INBOUND), sa.entries.get(Direction.OUTBOUND)
    src, dst = sa.ends or (ip_address(0), ip_address(0))
    window = inbound.params.replay_window if inbound is not None else 0
    # The kernel's numbers are the last ones used.
    seq = inbound.params.first_seq - 1 if inbound is not None else 0
    oseq = outbound.params.first_seq - 1 if outbound is not None else 0
    new_context = params.esn or window > _OLD_WINDOW
    flags = " ".join(_flags(sa, src))
    lines = [
        f"src {src} dst {dst}",
        f"\tproto {params.protocol.name.lower()} spi {params.spi:#010x} reqid 0 mode {params.mode.value}",
        f"\treplay-window {0 if new_context else window} " + (f"flag {flags}" if flags else ""),
        *_algorithms(sa),
    ]
    if params.udp is not None:
        lines.append(f"\tencap type espinudp sport {params.udp.sport} dport {params.udp.dport} addr 0.0.0.0")
    if new_context:
        words = max(1, -(-window // 32))
        halves = seq >> 32, seq & 0xFFFFFFFF, oseq >> 32, oseq & 0xFFFFFFFF
        lines += [
            "\tanti-replay esn context:",
            "\t seq-hi {:#x}, seq {:#x}, oseq-hi {:#x}, oseq {:#x}".format(*halves),
            f"\t replay_window {window}, bitmap-length {words}",
            *("\t " + "00000000 " * min(8, words - first) for first in range(0, words, 8)),
        ]
    else:
        lines.append(f"\tanti-replay context: seq {seq:#x}, oseq {oseq:#x}, bitmap 0x00000000")
    if len(sa.entries) == 1:
        lines.append("\tdir in" if inbound is not None else "\tdir out")
    if outbound is not None and outbound.select is not None:
        lines.append(_selector(outbound.select, src.version))
    lines += _lifetime(params)
    return lines


def _flags(sa: Pair, src: Address) -> list[str]:
    params = sa.params
    inbound, outbound = sa.entries.get(Direction.INBOUND), sa.entries.get(Direction.OUTBOUND)
    tunnel = params.mode is Mode.TUNNEL
    copies_nothing = outbound is not None and not outbound.params.copy_dscp
    flags = {
        "noecn": tunnel and not all(entry.params.ecn for entry in sa.entries.values()),
        "decap-dscp": tunnel and inbound is not None and inbound.params.copy_dscp,
        "nopmtudisc": tunnel and outbound is not None and src.version == 4 and not outbound.params.copy_df,
        "align4": params.protocol is Protocol.AH and src.version == 4 and params.ah_align != 8,
        "esn": params.esn,
        "extra_flag dont-encap-dscp": tunnel and copies_nothing,
    }
    return [name for name, on in flags.items() if on]


def _algorithms(sa: Pair) -> list[str]:
    params = sa.params
    icv = params.icv_length * 8
    if params.auth == "aes-gmac":
        if params.protocol is Protocol.AH:
            raise SaFileError(f"{sa.origin} auth", "the Linux kernel has no aes-gmac for AH", "leave this SA out")
        return [f"\taead {xfrm_names.GMAC} {_key(params.auth_key + params.salt)} {icv}"]
    if params.aead is not None:
        return [f"\taead {_NAMES[params.aead]} {_key(params.cipher_key + params.salt)} {icv}"]
    lines = [f"\tauth-trunc {_NAMES[params.auth or '']} {_key(params.auth_key)} {icv}"]
    if params.cipher is not None:
        lines.append(f"\tenc {_NAMES[params.cipher]} {_key(params.cipher_key + params.salt)}")
    return lines


def _key(material: bytes) -> str:
    return f"0x{material.hex()}" if material else ""


def _selector(select: Select, version: int) -> str:
    any_network = "0.0.0.0/0" if version == 4 else "::/0"
    words = [f"\tsel src {select.src or any_network} dst {select.dst or any_network}"]
    if select.proto is not None:
        words.append(f"proto {PROTOCOL_NAMES.get(select.proto, select.proto)}")
    if select.sport is not None:
        words.append(f"sport {select.sport}")
    if select.dport is not None:
        words.append(f"dport {select.dport}")
    return " ".join(words) + " "


def _lifetime(params: SaParams) -> list[str]:
    lifetime = params.lifetime
    if lifetime == Lifetime():
        return []
    limits = [
        (unit, *(str(limit) if limit else "(INF)" for limit in pair))
        for unit, pair in (
            ("bytes", (lifetime.bytes_soft, lifetime.bytes_hard)),
            ("packets", (lifetime.packets_soft, lifetime.packets_hard)),
        )
    ]
    return [
        "\tlifetime config:",
        *(f"\t  limit: soft {soft}({unit}), hard {hard}({unit})" for unit, soft, hard in limits),
    ]
