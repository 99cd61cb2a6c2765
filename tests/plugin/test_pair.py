"""The pair of device and driver for tests: its SAs, its assertions, its complaints."""

from __future__ import annotations

import itertools
import traceback
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from virtionet_ipsec.ipsec import Mode, Protocol, Reason, UdpEncap
from virtionet_ipsec.ipsec.algorithms import AEADS, AUTHS, CIPHERS
from virtionet_ipsec.testing import Pair

FRAME = bytes(Ether() / IP(src="198.51.100.1", dst="203.0.113.1") / UDP(dport=53) / b"hello")
CARRIED = [auth for auth in AUTHS if auth not in ("hmac-sha384", "hmac-sha512", "aes-gmac")]


def comes_back(pair: Pair, **parameters: Any) -> None:
    sa_pair = pair.add_sa_pair(**parameters)
    (wire,) = pair.send(FRAME, sa=sa_pair.outbound)
    assert wire != FRAME
    got = pair.receive(wire)
    pair.assert_flags(got, "SECURITY", resource_id=sa_pair.inbound)
    assert got is not None and got.frame == FRAME


@pytest.mark.parametrize(
    "algorithms",
    [
        *({"aead": name} for name in AEADS),
        *({"cipher": cipher, "auth": auth} for cipher, auth in itertools.product(CIPHERS, CARRIED)),
        {"cipher": "null", "auth": "aes-gmac"},
        *({"mode": "ah-transport", "auth": auth} for auth in CARRIED),
        {"mode": "ah-tunnel", "auth": "aes-gmac"},
        {"aead": "aes-gcm", "cipher_key": bytes(32)},
        {"cipher": "aes-cbc", "auth": "hmac-sha1", "auth_key": bytes(20)},
    ],
    ids=lambda row: "-".join(str(value) for value in row.values() if isinstance(value, str)),
)
def test_algorithms_bring_their_keys(algorithms: dict[str, Any]) -> None:
    comes_back(Pair(), **algorithms)


def test_keys_are_the_same_every_time_and_the_users_own_where_given() -> None:
    one, two = (Pair().add_sa_pair(aead="chacha20-poly1305") for _ in range(2))
    assert one == two and len(one.outbound_params.cipher_key) == 32
    own = Pair().add_sa_pair(cipher_key=bytes(24), salt=b"mine").inbound_params
    assert (own.cipher_key, own.salt) == (bytes(24), b"mine")


@pytest.mark.parametrize(
    ("said", "protocol", "mode"),
    [
        ({}, Protocol.ESP, Mode.TUNNEL),
        ({"mode": "esp-tunnel"}, Protocol.ESP, Mode.TUNNEL),
        ({"mode": "esp-transport"}, Protocol.ESP, Mode.TRANSPORT),
        ({"mode": "ah-tunnel"}, Protocol.AH, Mode.TUNNEL),
        ({"mode": "ah-transport"}, Protocol.AH, Mode.TRANSPORT),
        ({"mode": "transport"}, Protocol.ESP, Mode.TRANSPORT),
        ({"mode": "tunnel", "protocol": "ah"}, Protocol.AH, Mode.TUNNEL),
        ({"mode": Mode.TRANSPORT, "protocol": Protocol.AH}, Protocol.AH, Mode.TRANSPORT),
        ({"mode": "ah-transport", "protocol": Protocol.AH}, Protocol.AH, Mode.TRANSPORT),
    ],
)
def test_modes_by_name(said: dict[str, Any], protocol: Protocol, mode: Mode) -> None:
    pair = Pair()
    params = pair.add_sa_pair(spi=7, **said).outbound_params
    assert (params.protocol, params.mode) == (protocol, mode)
    assert (params.tunnel is None) == (mode is Mode.TRANSPORT)
    comes_back(pair, **said)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (
            {"mode": "esp"},
            "mode 'esp' is not one of: esp-tunnel, esp-transport, ah-tunnel, ah-transport, tunnel, ",
        ),
        ({"mode": 1}, "mode 1 is not one of: esp-tunnel"),
        ({"protocol": "tcp"}, "protocol 'tcp' is not one of: esp, ah"),
        ({"mode": "ah-tunnel", "protocol": "esp"}, "mode 'ah-tunnel' is not one of protocol ESP"),
        ({"aead": "aes"}, "'aes' is not one of aes-gcm, aes-ccm, chacha20-poly1305"),
        ({"cipher": "aes", "auth": "hmac-sha1"}, "'aes' is not one of null, aes-cbc"),
        ({"cipher": "null", "auth": "sha1"}, "'sha1' is not one of hmac-md5"),
        ({"chiper": "aes-cbc"}, "SA parameter 'chiper' is not one of: protocol, mode, spi, aead, cipher"),
        ({"udp": {"dst": 4500}}, "udp key 'dst' is not one of: sport, dport"),
        ({"udp": {"dport": 4500}}, "udp takes two ports"),
        ({"udp": 4500}, "udp takes two ports"),
        ({"udp": (4500, 0)}, "0 is not in 1 to 65535"),
    ],
)
def test_wrong_names(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=r"not|takes") as caught:
        Pair().add_sa_pair(**parameters)
    assert words in str(caught.value)


@pytest.mark.parametrize("udp", [(4500, 10000), {"sport": 4500, "dport": 10000}, UdpEncap(4500, 10000)])
@pytest.mark.parametrize("profile", ["virtio-1.4", "rfc-v1"])
def test_a_udp_port_of_its_own(udp: Any, profile: str) -> None:
    pair = Pair(profile)
    comes_back(pair, udp=udp)
    rules = len(pair.device.flow_table.rules)
    comes_back(pair, udp=udp, spi=7)
    comes_back(pair, udp=(1, 4500), spi=8)
    assert len(pair.device.flow_table.rules) == rules == 6 + 2


def test_a_port_that_the_user_has_steered_is_left_as_it_is() -> None:
    pair = Pair()
    pair.steer_ipsec((10000,), recirculate=True)
    comes_back(pair, udp=(1, 10000))
    assert any("IPSEC_RECIRCULATE" in line for line in pair.story)


@pytest.mark.parametrize("reason", ["too_big", Reason.TOO_BIG])
def test_dropped_on_the_way_out(reason: Any) -> None:
    pair = Pair(mtu=1280)
    sa = pair.add_sa_pair().outbound
    assert pair.send(FRAME[:14] + bytes(IP(src="1.2.3.4", dst="1.2.3.5") / bytes(1260)), sa) == ()
    pair.assert_dropped(reason)
    with pytest.raises(AssertionError, match=r"expected: replayed\n  got:      too_big\nthe packet's story:\n   1\. "):
        pair.assert_dropped("replayed")


def test_dropped_on_the_way_in() -> None:
    pair = Pair()
    assert pair.receive(bytes(3)) is None
    pair.assert_dropped("truncated")


def test_not_dropped() -> None:
    pair = Pair()
    with pytest.raises(AssertionError, match=r"expected: too_big\n  got:      not dropped$"):
        pair.assert_dropped("too_big")
    pair.receive(bytes(3))
    pair.receive(FRAME)
    with pytest.raises(AssertionError, match="got:      not dropped\nthe packet's story"):
        pair.assert_dropped("truncated")
    with pytest.raises(ValueError, match="reason 'big' is not one of: malformed, truncated"):
        pair.assert_dropped("big")


def test_an_sa_pair_is_no_sa() -> None:
    pair = Pair()
    wrong: Any = pair.add_sa_pair()
    with pytest.raises(TypeError, match=r"^sa is a resource_id, such as sa_pair\.outbound$"):
        pair.send(FRAME, sa=wrong)


def test_no_flags() -> None:
    pair = Pair()
    got = pair.receive(FRAME)
    pair.assert_flags(got, "none")
    pair.assert_flags(got)
    with pytest.raises(AssertionError, match="expected: SECURITY\n  got:      none"):
        pair.assert_flags(got, "SECURITY")
    with pytest.raises(ValueError, match="has no flag none; it has NEEDS_CSUM"):
        pair.assert_flags(got, "none", "SECURITY")


def test_the_story_is_the_packets_alone() -> None:
    pair = Pair()
    got = pair.receive(FRAME)
    told = pair.story
    pair.add_sa_pair()
    assert got is not None and pair.story == got.story == told and len(told) > 2


def test_a_failing_assertion_points_at_its_caller() -> None:
    pair = Pair()
    calls = (lambda: pair.assert_flags(None, "SECURITY"), lambda: pair.assert_dropped("too_big"))
    for call in calls:
        with pytest.raises(AssertionError) as caught:
            call()
        frames = [frame for frame, _ in traceback.walk_tb(caught.tb)]
        seen = [frame.f_code.co_name for frame in frames if not frame.f_locals.get("__tracebackhide__")]
        assert seen == ["test_a_failing_assertion_points_at_its_caller", "<lambda>"]
