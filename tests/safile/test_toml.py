"""The project's own SA files: what their keys mean."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from virtionet_ipsec.ipsec.sa import Direction, Lifetime, Mode, Protocol, SaParams, Tunnel, UdpEncap
from virtionet_ipsec.safile import SaEntry, Select, dumps_toml, loads

from .examples import EVERYTHING, GCM, changed, plain


def params_of(text):
    return loads(text)[0].params


def test_every_key():
    outbound, inbound = loads(EVERYTHING, "sa.toml")
    assert outbound == SaEntry(
        7,
        SaParams(
            direction=Direction.OUTBOUND,
            protocol=Protocol.ESP,
            mode=Mode.TUNNEL,
            spi=0x1001,
            cipher="aes-ctr",
            auth="hmac-sha256",
            cipher_key=bytes(range(16)),
            auth_key=bytes(range(32)),
            salt=b"\xde\xad\xbe\xef",
            esn=True,
            replay_window=64,
            tunnel=Tunnel(bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2]), dscp=46, df=True, ttl=32, flow_label=7),
            udp=UdpEncap(4500, 4501),
            copy_dscp=True,
            dec_ttl=True,
            ecn=True,
            lifetime=Lifetime(1, 2, 3, (1 << 64) - 1),
            icv_len=16,
            iv=bytes(range(1, 9)),
            first_seq=(1 << 32) + 1,
            ah_align=8,
        ),
        Select(ip_network("198.51.100.0/24"), ip_network("203.0.113.9/32"), 17, 53, 0),
        "sa.toml:2",
    )
    assert inbound == SaEntry(
        7,
        SaParams(
            direction=Direction.INBOUND,
            protocol=Protocol.AH,
            mode=Mode.TRANSPORT,
            spi=0x2002,
            auth="aes-gmac",
            auth_key=bytes(range(16)),
            salt=bytes([0, 0, 0, 1]),
        ),
        None,
        "sa.toml:26",
    )
    assert plain(loads(dumps_toml([outbound, inbound])[0])) == plain([outbound, inbound])
    assert [e.params.direction for e in loads(EVERYTHING, direction="inbound")] == [Direction.INBOUND]


@pytest.mark.parametrize(
    ("df", "field", "copied"),
    [
        ("true", True, False),
        ("false", False, False),
        ('"set"', True, False),
        ('"clear"', False, False),
        ('"copy"', False, True),
    ],
)
def test_df(df, field, copied):
    params = params_of(changed('dst = "fd00::2"', f'dst = "fd00::2", df = {df}'))
    assert (params.tunnel.df, params.copy_df) == (field, copied)


def test_options_imply_keys_and_keys_options():
    assert params_of(GCM + 'options = ["esn"]\n').esn
    assert params_of(GCM + "esn = true\n").esn
    assert params_of(GCM + 'options = ["copy-df"]\n').copy_df


def test_protocols_of_selectors():
    for proto, number in (('"tcp"', 6), ('"udp"', 17), ('"icmp"', 1), ('"icmpv6"', 58), ("0", 0), ("255", 255)):
        assert loads(GCM + f"select = {{proto = {proto}}}\n")[0].select == Select(proto=number)


def test_subtables_in_their_long_form():
    text = GCM + "[sa.lifetime]\npackets_hard = 9\n[sa.select]\nproto = 6\n"
    (entry,) = loads(text)
    assert (entry.params.lifetime.packets_hard, entry.select.proto) == (9, 6)


def test_the_key_does_not_show():
    assert "0001020304" not in repr(loads(GCM))
    assert "\\x00\\x01\\x02" not in repr(loads(GCM))


def test_outbound_sas_may_share_an_spi_and_ids_are_apart_by_direction():
    inbound = changed("outbound", "inbound")
    assert len(loads(GCM + GCM.replace("id = 1", "id = 2") + inbound)) == 3
