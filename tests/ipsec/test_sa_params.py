"""SA parameters: what contradicts itself is refused by the name of the parameter; keys show nowhere."""

from __future__ import annotations

import dataclasses
import traceback
from typing import Any

import pytest

from virtionet_ipsec.ipsec import (
    Direction,
    InboundSa,
    Lifetime,
    Mode,
    OutboundSa,
    ParameterError,
    Protocol,
    Refused,
    SaParams,
    Tunnel,
    UdpEncap,
    locate,
)
from virtionet_ipsec.ipsec.events import Event

from .builders import ALL, ESP, GATE6_A, GATE_A, GATE_B, SIZES, T4, inbound, ipv4, octets, outbound, udp, with_octet

GCM: dict[str, Any] = {"aead": "aes-gcm", "cipher_key": octets(16), "salt": octets(4)}
CBC: dict[str, Any] = {"cipher": "aes-cbc", "cipher_key": octets(16), "auth": "hmac-sha256", "auth_key": octets(32)}
HMAC: dict[str, Any] = {"protocol": Protocol.AH, "auth": "hmac-sha256", "auth_key": octets(32)}


def make(**given: Any) -> SaParams:
    all_given: dict[str, Any] = {
        "direction": Direction.OUTBOUND,
        "protocol": Protocol.ESP,
        "mode": Mode.TUNNEL,
        "spi": 1,
        "tunnel": T4,
        **given,
    }
    return SaParams(**all_given)


def without(base: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in base.items() if name not in names}


# (field that the error has to name, parameters)
WRONG: list[tuple[str, dict[str, Any]]] = [
    ("spi", {**GCM, "spi": 0}),
    ("spi", {**GCM, "spi": 1 << 32}),
    ("spi", {**GCM, "spi": -1}),
    ("replay_window", {**GCM, "replay_window": 4097}),
    ("replay_window", {**GCM, "replay_window": -1}),
    ("first_seq", {**GCM, "first_seq": 0}),
    ("first_seq", {**GCM, "first_seq": 1 << 32}),
    ("first_seq", {**GCM, "first_seq": 1 << 64, "esn": True}),
    ("ah_align", {**HMAC, "ah_align": 0}),
    ("ah_align", {**HMAC, "ah_align": 16}),
    ("tunnel", {**GCM, "tunnel": None}),
    ("udp", {**HMAC, "udp": UdpEncap(4500, 4500)}),
    ("aead", {**GCM, "aead": "aes-ocb"}),
    ("cipher", {**CBC, "cipher": "rot13"}),
    ("auth", {**CBC, "auth": "crc32"}),
    ("auth", {**GCM, "protocol": Protocol.AH}),
    ("auth", {**CBC, "protocol": Protocol.AH}),
    ("auth", {"protocol": Protocol.AH}),
    ("aead", {**GCM, "auth": "hmac-sha256", "auth_key": octets(32)}),
    ("aead", {**GCM, "cipher": "aes-cbc"}),
    ("cipher", {}),
    ("cipher", without(CBC, "cipher", "cipher_key")),
    ("auth", without(CBC, "auth", "auth_key")),
    ("auth", {"cipher": "null"}),
    ("auth", {**CBC, "auth": "aes-gmac", "auth_key": octets(16), "salt": octets(4)}),
    ("cipher_key", {**HMAC, "cipher_key": octets(16)}),
    ("auth_key", {**GCM, "auth_key": octets(16)}),
    ("cipher_key", {**GCM, "cipher_key": b""}),
    ("auth_key", {**CBC, "auth_key": b""}),
    ("cipher_key", {**CBC, "cipher": "null"}),
    ("salt", {**CBC, "salt": octets(4)}),
    ("salt", {**HMAC, "salt": octets(4)}),
    ("icv_len", {**GCM, "icv_len": 10}),
    ("icv_len", {**GCM, "icv_len": 0}),
    ("icv_len", {**CBC, "icv_len": 12}),
    ("icv_len", {**HMAC, "icv_len": 32}),
    ("iv", {**GCM, "iv": octets(12)}),
    ("iv", {**CBC, "iv": octets(8)}),
    ("iv", {**HMAC, "iv": octets(8)}),
]


@pytest.mark.parametrize(("field", "given"), WRONG, ids=[f"{n}-{row[0]}" for n, row in enumerate(WRONG)])
def test_contradictions(field: str, given: dict[str, Any]) -> None:
    with pytest.raises(ParameterError) as caught:
        make(**given)
    assert caught.value.field == field and str(caught.value).startswith(f"{field}: ")
    assert caught.value.message and isinstance(caught.value, ValueError)


# By name: (key lengths, salt, IV, ICV lengths), from the RFCs.
AEADS = {
    "aes-gcm": ((16, 24, 32), 4, 8, (8, 12, 16)),  # RFC 4106 3, 4, 6, 8.1
    "aes-ccm": ((16, 24, 32), 3, 8, (8, 12, 16)),  # RFC 4309 2, 3.1, 4, 7.1
    "chacha20-poly1305": ((32,), 4, 8, (16,)),  # RFC 7634 2
}
CIPHERS = {
    "null": ((0,), 0, 0),  # RFC 2410
    "aes-cbc": ((16, 24, 32), 0, 16),  # RFC 3602 2
    "aes-ctr": ((16, 24, 32), 4, 8),  # RFC 3686 3, 4, 5.1
    "3des-cbc": ((24,), 0, 8),  # RFC 2451 2
    "des-cbc": ((8,), 0, 8),  # RFC 2405 2
}
AUTHS = {
    "hmac-md5": ((16,), 12),  # RFC 2403 2
    "hmac-sha1": ((20,), 12),  # RFC 2404 2
    "hmac-sha256": ((32,), 16),  # RFC 4868 2.1, 2.3
    "hmac-sha384": ((48,), 24),
    "hmac-sha512": ((64,), 32),
    "aes-xcbc": ((16,), 12),  # RFC 3566 4
    "aes-cmac": ((16,), 12),  # RFC 4494 2
}


@pytest.mark.parametrize("name", AEADS)
def test_sizes_of_aeads(name: str) -> None:
    keys, salt, iv, icvs = AEADS[name]
    for key in range(70):
        if key in keys:
            assert make(aead=name, cipher_key=octets(key), salt=octets(salt)).icv_length == 16
        else:
            with pytest.raises(ParameterError, match="cipher_key"):
                make(aead=name, cipher_key=octets(key), salt=octets(salt))
    for size in range(20):
        given = {"aead": name, "cipher_key": octets(keys[0]), "salt": octets(salt)}
        for field, value, good in (
            ("salt", octets(size), size == salt),
            ("iv", octets(size), size == iv),
            ("icv_len", size, size in icvs),
        ):
            if good:
                assert make(**{**given, field: value})
            else:
                with pytest.raises(ParameterError) as caught:
                    make(**{**given, field: value})
                assert caught.value.field == field
    assert make(aead=name, cipher_key=octets(keys[0]), salt=octets(salt)).pad_to == 4


@pytest.mark.parametrize("name", CIPHERS)
def test_sizes_of_ciphers(name: str) -> None:
    keys, salt, iv = CIPHERS[name]
    auth = {"auth": "hmac-sha256", "auth_key": octets(32)}
    for key in range(70):
        if key in keys:
            made = make(cipher=name, cipher_key=octets(key), salt=octets(salt), **auth)
            assert (made.iv_length, made.pad_to) == (iv, iv if "cbc" in name else 4)
        else:
            with pytest.raises(ParameterError, match="cipher_key"):
                make(cipher=name, cipher_key=octets(key), salt=octets(salt), **auth)


@pytest.mark.parametrize("protocol", Protocol)
@pytest.mark.parametrize("name", AUTHS)
def test_sizes_of_integrity(name: str, protocol: Protocol) -> None:
    keys, icv = AUTHS[name]
    cipher = {"cipher": "null"} if protocol is Protocol.ESP else {}
    for key in range(70):
        if key in keys:
            assert make(protocol=protocol, auth=name, auth_key=octets(key), **cipher).icv_length == icv
        else:
            with pytest.raises(ParameterError, match="auth_key"):
                make(protocol=protocol, auth=name, auth_key=octets(key), **cipher)


@pytest.mark.parametrize("protocol", Protocol)
def test_sizes_of_gmac(protocol: Protocol) -> None:
    """RFC 4543 3.1 and 3.2, section 4."""
    cipher = {"cipher": "null"} if protocol is Protocol.ESP else {}
    for key in (16, 24, 32):
        made = make(protocol=protocol, auth="aes-gmac", auth_key=octets(key), salt=octets(4), **cipher)
        assert (made.iv_length, made.icv_length) == (8, 16)
    for wrong in ({"salt": b""}, {"salt": octets(3)}, {"auth_key": octets(20)}, {"iv": octets(12)}, {"icv_len": 12}):
        with pytest.raises(ParameterError, match=next(iter(wrong))):
            make(
                **{
                    "protocol": protocol,
                    "auth": "aes-gmac",
                    "auth_key": octets(16),
                    "salt": octets(4),
                    **cipher,
                    **wrong,
                }
            )


@pytest.mark.parametrize("name", ESP)
def test_sizes_are_those_the_tests_expect(name: str) -> None:
    made = outbound(name).params
    assert (made.iv_length, made.icv_length, made.pad_to) == SIZES[name]


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("tunnel", {"src": GATE_A, "dst": GATE6_A}),
        ("tunnel", {"src": b"", "dst": b""}),
        ("tunnel", {"src": GATE_A[:3], "dst": GATE_B[:3]}),
        ("tunnel.dscp", {"src": GATE_A, "dst": GATE_B, "dscp": 64}),
        ("tunnel.dscp", {"src": GATE_A, "dst": GATE_B, "dscp": -1}),
        ("tunnel.ttl", {"src": GATE_A, "dst": GATE_B, "ttl": 0}),
        ("tunnel.ttl", {"src": GATE_A, "dst": GATE_B, "ttl": 256}),
        ("tunnel.flow_label", {"src": GATE_A, "dst": GATE_B, "flow_label": 1 << 20}),
    ],
)
def test_tunnels(field: str, given: dict[str, Any]) -> None:
    with pytest.raises(ParameterError) as caught:
        Tunnel(**given)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("sport", "dport", "field"), [(0, 1, "udp.sport"), (1, 0, "udp.dport"), (1, 65536, "udp.dport")]
)
def test_ports(sport: int, dport: int, field: str) -> None:
    with pytest.raises(ParameterError) as caught:
        UdpEncap(sport, dport)
    assert caught.value.field == field


@pytest.mark.parametrize("field", ["packets_soft", "bytes_soft", "packets_hard", "bytes_hard"])
def test_lifetimes(field: str) -> None:
    for value in (-1, 1 << 64):
        with pytest.raises(ParameterError) as caught:
            Lifetime(**{field: value})
        assert caught.value.field == f"lifetime.{field}"
    assert getattr(Lifetime(**{field: (1 << 64) - 1}), field) == (1 << 64) - 1


def test_direction() -> None:
    with pytest.raises(ParameterError, match="direction"):
        OutboundSa(inbound("gcm128").params)
    with pytest.raises(ParameterError, match="direction"):
        InboundSa(outbound("gcm128").params)


def test_inbound_tunnels_need_no_addresses() -> None:
    assert make(**GCM, direction=Direction.INBOUND, tunnel=None)
    assert make(**GCM, mode=Mode.TRANSPORT, tunnel=None)


@pytest.mark.parametrize(
    "given", [GCM, CBC, HMAC, {**GCM, "esn": True, "first_seq": (1 << 64) - 1, "replay_window": 4096}]
)
def test_parameters_are_frozen(given: dict[str, Any]) -> None:
    made = make(**given)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.spi = 5  # type: ignore[misc]
    assert made == make(**given) and hash(made) == hash(make(**given))


# --- Keys stay out of sight -------------------------------------------------------------------------------------------


def spellings(secret: bytes) -> list[str]:
    """How octets may turn up in text: hex of any case, a bytes literal, a list of numbers; in parts of 4 octets too."""
    out = []
    for start in range(0, len(secret) - 3, 4):
        part = secret[start : start + 4]
        out += [part.hex(), part.hex().upper(), part.hex(" "), part.hex(":"), repr(part)[2:-1], repr(list(part))[1:-1]]
    return out


def assert_hidden(name: str, text: str) -> None:
    for field in ("cipher_key", "auth_key", "salt"):
        for spelling in spellings(ALL[name].get(field, b"")):
            assert spelling not in text, f"{field} shows"


def everything_about(thing: Any, depth: int = 3) -> str:
    """repr and str of ``thing``, and of what it holds, as a debugger or a traceback may print them."""
    out = [repr(thing), str(thing), format(thing)]
    if depth:
        for slot in getattr(type(thing), "__slots__", ()):
            if slot in ("_key", "_salt", "_k1", "_k2", "_k3", "cipher_key", "auth_key", "salt", "_nonce"):
                continue  # the secret itself, which nothing prints
            inner = getattr(thing, slot, None)
            if not isinstance(inner, (bytes, int, str, dict, tuple)):
                out.append(everything_about(inner, depth - 1))
    return "\n".join(out)


@pytest.mark.parametrize("name", ALL)
def test_no_repr_shows_a_key(name: str) -> None:
    for sa in (outbound(name), inbound(name)):
        assert_hidden(name, everything_about(sa))
        assert_hidden(name, everything_about(sa.params))


@pytest.mark.parametrize("name", ALL)
def test_no_event_and_no_refusal_shows_a_key(name: str) -> None:
    events: list[Event] = []
    sender = outbound(name, lifetime=Lifetime(packets_soft=1), ecn=True)
    receiver = inbound(name, lifetime=Lifetime(packets_soft=1), ecn=True)
    sent = sender.protect(ipv4(udp()), events.append)
    receiver.unprotect(sent, locate(sent), events.append)
    assert len(events) >= 6
    text = repr(events)
    for packet in (sent, with_octet(sent, len(sent) - 1, sent[-1] ^ 1)):
        try:
            inbound(name, first_seq=1 if packet != sent else 2).unprotect(packet, locate(packet))
        except Refused as caught:
            text += "".join(traceback.format_exception(caught)) + repr(caught) + str(caught) + repr(caught.__dict__)
    assert text.count("Refused") >= 2
    assert_hidden(name, text)


@pytest.mark.parametrize("field", ["cipher_key", "auth_key", "salt"])
@pytest.mark.parametrize("name", ALL)
def test_no_parameter_error_shows_a_key(name: str, field: str) -> None:
    given = ALL[name]
    longer = {**given, field: given.get(field, b"") + b"\xa5"}
    with pytest.raises(ParameterError) as caught:
        make(protocol=outbound(name).params.protocol, **longer)
    assert_hidden(name, repr(caught.value) + str(caught.value) + repr(caught.value.args))
    assert caught.value.field == field
