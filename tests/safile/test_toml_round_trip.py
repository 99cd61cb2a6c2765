"""The project's own SA files: whatever SAs are written, the same are read."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network

from hypothesis import given
from hypothesis import strategies as st

from virtionet_ipsec.ipsec.algorithms import AEADS, AUTHS, CIPHERS
from virtionet_ipsec.ipsec.sa import Direction, Lifetime, Mode, Protocol, SaParams, Tunnel, UdpEncap
from virtionet_ipsec.safile import SaEntry, Select, dumps_toml, loads

from .examples import plain


def octets(length):
    return st.binary(min_size=length, max_size=length)


@st.composite
def params(draw):
    direction, protocol, mode = (draw(st.sampled_from(kind)) for kind in (Direction, Protocol, Mode))
    fields = {"aead": None, "cipher": None, "auth": None}
    if protocol is Protocol.ESP and draw(st.booleans()):
        fields["aead"] = draw(st.sampled_from(list(AEADS)))
        salted = icv = row = AEADS[fields["aead"]]
        fields["cipher_key"] = draw(octets(draw(st.sampled_from(row.key_lengths))))
    else:
        fields["auth"] = draw(st.sampled_from(list(AUTHS)))
        icv = salted = AUTHS[fields["auth"]]
        fields["auth_key"] = draw(octets(draw(st.sampled_from(icv.key_lengths))))
        if protocol is Protocol.ESP:
            fields["cipher"] = "null" if fields["auth"] == "aes-gmac" else draw(st.sampled_from(list(CIPHERS)))
            cipher = CIPHERS[fields["cipher"]]
            salted = icv if fields["auth"] == "aes-gmac" else cipher
            fields["cipher_key"] = draw(octets(draw(st.sampled_from(cipher.key_lengths))))
    esn = draw(st.booleans())
    tunnel = None
    if mode is Mode.TUNNEL and (direction is Direction.OUTBOUND or draw(st.booleans())):
        size = draw(st.sampled_from([4, 16]))
        tunnel = Tunnel(
            draw(octets(size)),
            draw(octets(size)),
            dscp=draw(st.integers(0, 63)),
            df=draw(st.booleans()),
            ttl=draw(st.integers(1, 255)),
            flow_label=draw(st.integers(0, 0xFFFFF)),
        )
    ports = st.builds(UdpEncap, st.integers(1, 65535), st.integers(1, 65535))
    limits = st.integers(0, (1 << 64) - 1)
    return SaParams(
        direction=direction,
        protocol=protocol,
        mode=mode,
        spi=draw(st.integers(1, 0xFFFFFFFF)),
        salt=draw(octets(salted.salt_length)),
        esn=esn,
        replay_window=draw(st.integers(0, 4096)),
        tunnel=tunnel,
        udp=draw(st.none() | ports) if protocol is Protocol.ESP else None,
        lifetime=draw(st.builds(Lifetime, limits, limits, limits, limits)),
        icv_len=draw(st.none() | st.sampled_from(icv.icv_lengths)),
        iv=draw(st.none() | octets(salted.iv_length)),
        first_seq=draw(st.integers(1, (1 << 64) - 1 if esn else (1 << 32) - 1)),
        ah_align=draw(st.sampled_from([None, 4, 8])),
        **{flag: draw(st.booleans()) for flag in ("copy_dscp", "dec_ttl", "copy_df", "ecn")},
        **fields,
    )


@st.composite
def selects(draw):
    kind, bits = draw(st.sampled_from([(IPv4Network, 32), (IPv6Network, 128)]))
    numbers, prefixes = st.integers(0, (1 << bits) - 1), st.integers(0, bits)
    networks = st.builds(lambda number, prefix: kind((number, prefix), strict=False), numbers, prefixes)
    proto = draw(st.none() | st.integers(0, 255))
    port = st.none() | st.integers(0, 65535) if proto in (6, 17, 33, 132, 136) else st.none()
    return Select(draw(st.none() | networks), draw(st.none() | networks), proto, draw(port), draw(port))


@st.composite
def entries(draw):
    made = [
        SaEntry(number, each, draw(st.none() | selects()))
        for number, each in enumerate(draw(st.lists(params(), min_size=1, max_size=3)))
    ]
    return [replace(entry, params=replace(entry.params, spi=1 + number)) for number, entry in enumerate(made)]


@given(entries())
def test_round_trip_is_exact(made):
    text, warnings = dumps_toml(made)
    assert warnings == []
    assert plain(loads(text)) == plain(made)
