"""What ``ip xfrm state`` prints, as SAs of the model (specs/sa-files.md).

The kernel's SAs have no direction: each becomes an inbound SA, an outbound one,
or both, as is asked.  What an outbound SA's headers get is what the kernel
does: see :func:`_outbound`.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_network
from typing import Any

from ..ipsec.algorithms import AEADS, AUTHS, CIPHERS, Aead, Cipher, Integrity
from ..ipsec.sa import Direction, Lifetime, Mode, ParameterError, Protocol, SaParams, Tunnel, UdpEncap
from . import xfrm_names
from .keymat import split_salt
from .local import Local
from .model import SaEntry, Select
from .values import WITH_PORTS, did_you_mean
from .xfrm_state import Algorithm, XfrmState, parse

_PROTOCOLS = {"esp": Protocol.ESP, "ah": Protocol.AH}
_MODES = {mode.value: mode for mode in Mode}
_REMOVE = "take this SA out of the file"

# Which line a parameter of SaParams comes from, and how to mend it.
_LINES = {
    "aead": ("aead", "give the SA one aead, or enc and auth-trunc"),
    "cipher": ("enc", "give the SA one aead, or enc and auth-trunc"),
    "auth": ("auth-trunc", "give the SA one aead, or enc and auth-trunc; AH takes auth-trunc alone"),
    "first_seq": ("anti-replay", "the SA is used up: print the state of its successor"),
    "icv_len": ("aead", "use an ICV length of the algorithm's RFC"),
}


def loads_xfrm(
    text: str, name: str, asked: Collection[Direction], untold: Collection[Direction], local: Local
) -> list[SaEntry]:
    """The SAs of ``text`` for each of ``asked``; ids are their numbers in the file, from 1.

    An SA whose direction neither the text nor ``local`` tells is taken for each
    of ``untold``.  Raises SaFileError.
    """
    entries = []
    for state in parse(text, name):
        directions = local.directions(state.src, state.dst, asked, untold)
        if state.direction is not None:
            directions = [direction for direction in asked if direction is state.direction]
        entries += [_entry(state, direction) for direction in directions]
    return entries


def _entry(state: XfrmState, direction: Direction) -> SaEntry:
    if state.proto not in _PROTOCOLS:
        raise state.error("proto", "is neither esp nor ah", _REMOVE)
    if state.mode not in _MODES:
        raise state.error("proto", "the mode is neither tunnel nor transport", _REMOVE)
    if not state.algorithms:
        raise state.error("proto", "has no algorithms: its keys are still being negotiated", _REMOVE)
    fields = _inbound(state) if direction is Direction.INBOUND else _outbound(state)
    for algorithm in state.algorithms:
        fields.update(_algorithm(state, algorithm))
    try:
        params = SaParams(
            direction=direction,
            protocol=_PROTOCOLS[state.proto],
            mode=_MODES[state.mode],
            spi=state.spi,
            esn="esn" in state.flags,
            udp=_udp(state),
            lifetime=Lifetime(**state.limits),
            ah_align=_ah_align(state),
            **fields,
        )
    except ParameterError as error:
        line, mend = _LINES.get(error.field, (error.field, _REMOVE))
        raise state.error(line, error.message, mend) from None
    select = _select(state) if direction is Direction.OUTBOUND else None
    hosts = (state.src, state.dst) if params.mode is Mode.TRANSPORT else None
    return SaEntry(state.number, params, select, state.origin, hosts)


def _inbound(state: XfrmState) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "replay_window": state.replay_window,
        # Of the number received last only the half that packets do not carry is taken: the state may have been
        # printed after the capture, whose packets would then all be old.
        "first_seq": (state.seq >> 32 << 32) + 1,
    }
    if state.mode == Mode.TUNNEL.value:
        fields["tunnel"] = Tunnel(state.src.packed, state.dst.packed)
        fields["ecn"] = "noecn" not in state.flags
        fields["copy_dscp"] = "decap-dscp" in state.flags
    return fields


def _outbound(state: XfrmState) -> dict[str, Any]:
    """As xfrm4_tunnel_encap_add and xfrm6_tunnel_encap_add build the outer header.

    DSCP and ECN are copied, DF too; the TTL is the route's, 64; the inner TTL
    has been decremented by forwarding before.
    """
    fields: dict[str, Any] = {"first_seq": state.oseq + 1}
    if state.mode == Mode.TUNNEL.value:
        fields["tunnel"] = Tunnel(state.src.packed, state.dst.packed)
        fields["ecn"] = "noecn" not in state.flags
        fields["copy_dscp"] = "dont-encap-dscp" not in state.flags
        fields["copy_df"] = state.src.version == 4 and "nopmtudisc" not in state.flags
    return fields


def _algorithm(state: XfrmState, algorithm: Algorithm) -> dict[str, Any]:
    """The parameters that an algorithm's line gives."""
    kind, name = algorithm.kind, algorithm.name
    if kind == "comp":
        raise state.error("comp", "IPComp is not modelled", _REMOVE)
    if kind == "aead":
        if name == xfrm_names.GMAC:
            gmac = AUTHS["aes-gmac"]
            key, salt = _split(state, algorithm, gmac)
            icv_len = _icv_len(algorithm, gmac.icv_default)
            return {"cipher": "null", "auth": gmac.name, "auth_key": key, "salt": salt, "icv_len": icv_len}
        aead = AEADS[_name(state, algorithm, xfrm_names.AEADS)]
        key, salt = _split(state, algorithm, aead)
        icv_len = _icv_len(algorithm, aead.icv_default)
        return {"aead": aead.name, "cipher_key": key, "salt": salt, "icv_len": icv_len}
    if kind == "enc":
        cipher = CIPHERS[_name(state, algorithm, xfrm_names.CIPHERS)]
        key, salt = _split(state, algorithm, cipher)
        return {"cipher": cipher.name, "cipher_key": key, "salt": salt}
    auth = AUTHS[_name(state, algorithm, xfrm_names.AUTHS)]
    bits = algorithm.bits or xfrm_names.UNTRUNCATED_BITS.get(auth.name, auth.icv_default * 8)
    if bits != auth.icv_default * 8:
        raise state.error(
            kind,
            f"an ICV of {bits} bits is not {auth.section}'s for {auth.name}",
            f"set the SA up with auth-trunc and {auth.icv_default * 8} bits",
        )
    key, _ = _split(state, algorithm, auth)
    return {"auth": auth.name, "auth_key": key}


def _name(state: XfrmState, algorithm: Algorithm, known: dict[str, str]) -> str:
    if algorithm.name not in known:
        raise state.error(algorithm.kind, "is not an algorithm that the model has", did_you_mean(algorithm.name, known))
    return known[algorithm.name]


def _split(state: XfrmState, algorithm: Algorithm, row: Aead | Cipher | Integrity) -> tuple[bytes, bytes]:
    try:
        return split_salt(row, algorithm.key)
    except ValueError as error:
        raise state.error(algorithm.kind, f"the key {error}", "copy the line whole") from None


def _icv_len(algorithm: Algorithm, default: int) -> int | None:
    """The ICV's length in octets, None for the default."""
    bits = algorithm.bits or default * 8
    return None if bits == default * 8 else (bits + 7) // 8


def _udp(state: XfrmState) -> UdpEncap | None:
    if state.encap is None:
        return None
    kind, sport, dport = state.encap
    if kind != "espinudp":
        raise state.error("encap", "is not ESP in UDP as of RFC 3948", _REMOVE)
    try:
        return UdpEncap(sport, dport)
    except ParameterError as error:
        raise state.error("encap", error.message, _REMOVE) from None


def _ah_align(state: XfrmState) -> int | None:
    """The kernel pads AH to 8 octets on IPv4 too, unless told to keep to RFC 4302."""
    kernels_own = state.proto == "ah" and state.src.version == 4 and "align4" not in state.flags
    return 8 if kernels_own else None


def _select(state: XfrmState) -> Select | None:
    """The SA's own selector.  Which packets come to it is for the policies to say, which are not in this text.

    A transport mode SA serves packets between its own two addresses alone.
    """
    selector = state.selector
    transport = state.mode == Mode.TRANSPORT.value
    if selector is None:
        return Select(ip_network(state.src), ip_network(state.dst)) if transport else None
    has_ports = selector.sport is not None or selector.dport is not None
    if selector.beyond is not None or (has_ports and selector.proto not in WITH_PORTS):
        what = f"selects by {selector.beyond or 'ports of a protocol that has none'}"
        raise state.error("sel", what, "use the file for inbound replay only, or take that out of the line")
    src = ip_network(state.src) if transport and not selector.src.prefixlen else selector.src
    dst = ip_network(state.dst) if transport and not selector.dst.prefixlen else selector.dst
    return Select(src, dst, selector.proto, selector.sport, selector.dport)
