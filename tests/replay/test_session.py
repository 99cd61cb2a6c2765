"""Which way a packet goes, and in which framing it comes out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtionet_ipsec.ipsec import Direction, Lifetime, Mode, Protocol, Reason, UdpEncap
from virtionet_ipsec.replay.session import Outcome
from virtionet_ipsec.safile import SaFileError, Select
from virtionet_ipsec.wire import Profile

from .files import ETHERNET, TUNNELS, framed, packet, protected, sa, session

ETHER, RAW = 1, 101
PLAIN = packet()
(ESP,) = protected(PLAIN)
SHA1 = {"aead": None, "cipher_key": b"", "salt": b"", "auth": "hmac-sha1", "auth_key": bytes(20)}
(AH,) = protected(PLAIN, protocol=Protocol.AH, **SHA1)
(NAT,) = protected(PLAIN, udp=UdpEncap(4500, 4500))
ARP = ETHERNET + b"\x08\x06" + bytes(28)
IKE = packet(payload=bytes(4) + b"IKE", dport=4500)


def way(outcome: Outcome) -> tuple[str, str, int]:
    return outcome.direction, outcome.verdict, outcome.flags


# -- directions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("linktype", [ETHER, RAW])
def test_inbound(linktype: int) -> None:
    made = session(sa("inbound"), sa("outbound"), direction="inbound")
    assert [entry.params.direction for entry in made.entries] == [Direction.INBOUND]
    assert made.driver.device.outbound == {}
    put = framed if linktype == ETHER else bytes
    outcome = made.process(put(ESP), linktype)
    assert outcome == Outcome("inbound", "delivered", put(PLAIN), 16, 1, 0x204, None)
    outcome = made.process(put(ESP), linktype)
    assert way(outcome) == ("inbound", "delivered", 48) and outcome.data == put(ESP)
    assert outcome.refused is not None and outcome.refused.reason is Reason.REPLAYED
    assert made.process(put(PLAIN), linktype) == Outcome("inbound", "delivered", put(PLAIN), 0, 0, 0, None)


@pytest.mark.parametrize("linktype", [ETHER, RAW])
def test_outbound(linktype: int) -> None:
    made = session(sa("inbound"), sa("outbound", 7), direction="outbound")
    assert [entry.id for entry in made.entries] == [7]
    put = framed if linktype == ETHER else bytes
    outcome = made.process(put(PLAIN), linktype)
    assert outcome[:2] == ("outbound", "sent") and outcome[3:] == (16, 7, 0x203, None)
    # What went out comes in.
    back = session(sa("inbound", 7)).process(outcome.data, linktype)
    assert (back.data, back.flags) == (put(PLAIN), 16)
    # An ESP packet is a packet like others to a driver that sends.
    assert way(made.process(put(ESP), linktype)) == ("outbound", "sent", 16)


def test_outbound_without_an_sa_for_it() -> None:
    made = session(sa("outbound", select=Select(dport=53, proto=17)), direction="outbound")
    for frame in (framed(packet(dport=54)), framed(packet(6, dport=54)), ARP, ETHERNET + b"\x88\xcc"):
        assert made.process(frame, ETHER) == Outcome("outbound", "sent", frame, 0, 0, 0, None)


def test_outbound_and_dropped() -> None:
    """The header is the one that the driver wrote."""
    made = session(sa("outbound", 3, lifetime=Lifetime(packets_hard=1)))
    assert made.process(framed(PLAIN), ETHER).verdict == "sent"
    outcome = made.process(framed(PLAIN), ETHER)
    assert outcome[:6] == ("outbound", "dropped", b"", 16, 3, 0x203)
    assert outcome.refused is not None and outcome.refused.reason is Reason.HARD_LIFETIME


@pytest.mark.parametrize("linktype", [ETHER, RAW])
def test_auto(linktype: int) -> None:
    put = framed if linktype == ETHER else bytes
    made = session(sa("inbound"), sa("outbound", 2, Select(dport=53, proto=17)))
    assert way(made.process(put(ESP), linktype)) == ("inbound", "delivered", 16)
    assert way(made.process(put(AH), linktype)) == ("inbound", "delivered", 48)
    assert way(made.process(put(NAT), linktype)) == ("inbound", "delivered", 48)
    assert way(made.process(put(PLAIN), linktype)) == ("outbound", "sent", 16)
    assert way(made.process(put(packet(dport=54)), linktype)) == ("inbound", "delivered", 0)
    assert way(made.process(put(packet(6)), linktype)) == ("outbound", "sent", 16)
    assert way(made.process(put(packet(6, dport=4500)), linktype)) == ("inbound", "delivered", 48)
    assert way(made.process(put(IKE), linktype)) == ("inbound", "delivered", 0)


def test_auto_with_what_is_no_ip() -> None:
    made = session(sa("inbound"), sa("outbound", 2))
    for frame in (ARP, b"", ETHERNET, ETHERNET + b"\x08\x00", framed(PLAIN)[:30]):
        assert made.process(frame, ETHER).direction == "inbound"
    assert made.process(framed(PLAIN), ETHER).direction == "outbound"  # a select of its own: everything


def test_auto_takes_what_there_is() -> None:
    """With SAs of one direction alone every packet goes that way."""
    only_in, only_out = session(sa("inbound")), session(sa("outbound"))
    assert way(only_in.process(framed(PLAIN), ETHER)) == ("inbound", "delivered", 0)
    assert way(only_out.process(framed(ESP), ETHER)) == ("outbound", "sent", 16)
    assert session().process(framed(PLAIN), ETHER).direction == "inbound"


def test_ports_of_the_inbound_sas_are_steered() -> None:
    made = session(sa("inbound", udp=UdpEncap(1, 7777)), sa("outbound", 2))
    (wire,) = protected(PLAIN, udp=UdpEncap(1, 7777))
    assert way(made.process(framed(wire), ETHER)) == ("inbound", "delivered", 16)
    assert way(made.process(framed(NAT), ETHER)) == ("inbound", "delivered", 48)  # 4500 in any case; a replay
    assert way(made.process(framed(packet(dport=1)), ETHER)) == ("outbound", "sent", 16)


def test_more_ports_than_priorities() -> None:
    """As behind a NAT, where every peer has a port of its own."""
    entries = [sa("inbound", number, udp=UdpEncap(4500, 20000 + number)) for number in range(1, 301)]
    made = session(*entries)
    for number in (1, 150, 300):
        (wire,) = protected(PLAIN, spi=0x1000 + number, udp=UdpEncap(4500, 20000 + number))
        outcome = made.process(framed(wire), ETHER)
        assert (outcome.flags, outcome.resource_id, outcome.data) == (16, number, framed(PLAIN))


# -- framings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tags", [b"", b"\x81\x00\x00\x05", b"\x88\xa8\x00\x01\x81\x00\x00\x05"])
@pytest.mark.parametrize("outer", [4, 6])
@pytest.mark.parametrize("inner", [4, 6])
def test_vlan_tags_stay(tags: bytes, outer: int, inner: int) -> None:
    plain = packet(inner)
    made = session(sa("outbound", tunnel=TUNNELS[outer]), sa("inbound", 2, spi=0x1001))
    sent = made.process(framed(plain, tags), ETHER)
    assert way(sent) == ("outbound", "sent", 16) and sent.data[14 + len(tags)] >> 4 == outer
    assert sent.data[12 : 12 + len(tags)] == tags
    back = made.process(sent.data, ETHER)
    assert way(back) == ("inbound", "delivered", 16) and back.data == framed(plain, tags)


@pytest.mark.parametrize("outer", [4, 6])
@pytest.mark.parametrize("inner", [4, 6])
def test_raw_ip_of_both_families(outer: int, inner: int) -> None:
    made = session(sa("outbound", tunnel=TUNNELS[outer]), sa("inbound", 2, spi=0x1001))
    sent = made.process(packet(inner), RAW)
    assert sent.data[0] >> 4 == outer
    back = made.process(sent.data, RAW)
    assert (back.data, back.flags, back.resource_id) == (packet(inner), 16, 2)


@pytest.mark.parametrize("data", [b"", b"\x45", b"\0", b"\xf0abc"])
@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_raw_ip_that_is_none(data: bytes, direction: str) -> None:
    made = session(sa("inbound"), sa("outbound"), direction=direction)
    outcome = made.process(data, RAW)
    assert outcome.data == data and outcome.refused is None


@pytest.mark.parametrize("length", range(14))
def test_frames_too_short_for_ethernet(length: int) -> None:
    inbound = session(sa("inbound")).process(ARP[:length], ETHER)
    assert (inbound.verdict, inbound.refused.reason) == ("dropped", Reason.TRUNCATED)
    outbound = session(sa("outbound")).process(ARP[:length], ETHER)
    assert (outbound.verdict, outbound.refused.reason) == ("dropped", Reason.BAD_HEADER)


def test_a_packet_cut_by_the_snapshot_length() -> None:
    """It is not sent in the clear: its headers choose the SA, and the SA finds the rest missing."""
    made = session(sa("outbound", select=Select(dport=53, proto=17)), sa("inbound", 2))
    outcome = made.process(framed(packet(payload=bytes(500)))[:80], ETHER)
    assert way(outcome) == ("outbound", "dropped", 16) and outcome.refused.reason is Reason.TRUNCATED
    outcome = made.process(framed(ESP)[:70], ETHER)
    assert way(outcome) == ("inbound", "delivered", 48) and outcome.refused.reason is Reason.TRUNCATED


# -- options --------------------------------------------------------------------------------------------------------


def test_mtu() -> None:
    made = session(sa("outbound"), sa("inbound", 2), mtu=1280)
    assert made.process(framed(packet(payload=bytes(1190))), ETHER).verdict == "sent"
    outcome = made.process(framed(packet(payload=bytes(1230))), ETHER)
    assert (outcome.verdict, outcome.refused.reason) == ("dropped", Reason.TOO_BIG)
    big = protected(packet(payload=bytes(1300)))[0]
    outcome = made.process(framed(big), ETHER)
    assert (outcome.verdict, outcome.refused.reason) == ("dropped", Reason.TOO_BIG)
    assert session(sa("inbound")).process(framed(big), ETHER).flags == 16


def test_the_largest_packets() -> None:
    made = session(sa("inbound"), sa("outbound", 2))
    largest = bytes(packet(payload=bytes(65535 - 28)))
    assert len(largest) == 65535
    assert made.inbound(framed(largest), ETHER).data == framed(largest)
    outcome = made.outbound(framed(largest), ETHER)
    assert (outcome.verdict, outcome.refused.reason) == ("dropped", Reason.TOO_BIG)
    outcome = made.inbound(framed(largest) + bytes(200_000), ETHER)
    assert (outcome.verdict, outcome.refused.reason) == ("dropped", Reason.TOO_BIG)


def test_seed() -> None:
    def run(seed: int | None) -> list[bytes]:
        made = session(
            sa("outbound", 1, Select(dport=53, proto=17)),
            sa("outbound", 2, aead=None, salt=b"", cipher="aes-cbc", auth="hmac-sha1", auth_key=bytes(20)),
            seed=seed,
        )
        return [made.process(framed(packet(dport=port)), ETHER).data for port in (53, 54, 53, 54)]

    assert run(5) == run(5) and run(0) == run(0)
    assert len({tuple(run(seed)) for seed in (0, 1, 5)}) == 3
    assert run(None) != run(None)


@pytest.mark.parametrize("profile", Profile)
def test_profiles(profile: Profile) -> None:
    made = session(sa("inbound"), sa("outbound", 2), profile=profile)
    security = 16 if profile is Profile.VIRTIO_1_4 else 8
    assert made.process(framed(ESP), ETHER) == Outcome("inbound", "delivered", framed(PLAIN), security, 1, 0x204, None)
    outcome = made.process(framed(PLAIN), ETHER)
    assert way(outcome) == ("outbound", "sent", security) and (outcome.resource_id, outcome.resource_type) == (2, 0x203)


# -- SAs that cannot be ---------------------------------------------------------------------------------------------


def test_an_sa_that_the_profile_cannot_express() -> None:
    with pytest.raises(SaFileError) as caught:
        session(sa("outbound", 4, ecn=True), profile=Profile.RFC_V1)
    assert str(caught.value) == (
        "test.toml:4 options: no rfc-v1 SA object can carry this: the RFC's SA object has no ECN; use --profile "
        "virtio-1.4, or leave it out of a TOML file ('virtionet-ipsec sa convert' makes one)"
    )
    # One that is not asked for is no obstacle.
    assert session(sa("outbound", 4, ecn=True), sa("inbound"), profile=Profile.RFC_V1, direction="inbound").entries


def test_a_key_that_no_object_holds() -> None:
    fields = {"aead": None, "salt": b"", "cipher": "null", "cipher_key": b"", "auth": "hmac-sha512"}
    with pytest.raises(SaFileError) as caught:
        session(sa("inbound", auth_key=b"k" * 64, **fields))
    text = str(caught.value)
    assert text.startswith("test.toml:1 auth_key: no virtio-1.4 SA object can carry this: 64 octets")
    assert "kkkk" not in text and (b"k" * 64).hex() not in text


def test_an_sa_that_the_device_refuses() -> None:
    with pytest.raises(SaFileError) as caught:
        session(sa("inbound", 1 << 20))
    assert str(caught.value).startswith("test.toml:1048576: the device refuses this SA: IPSEC_INB_SA id 1048576 is not")
    with pytest.raises(SaFileError, match="IPSEC_INB_SA 1 exists already"):
        session(sa("inbound"), sa("inbound", spi=5))


def test_modes_go_through() -> None:
    made = session(sa("outbound", mode=Mode.TRANSPORT, tunnel=None), sa("inbound", mode=Mode.TRANSPORT))
    sent = made.process(framed(PLAIN), ETHER)
    assert sent.data[26:34] == framed(PLAIN)[26:34] and sent.data[23] == 50
    assert made.process(sent.data, ETHER).data == framed(PLAIN)


# -- anything at all ------------------------------------------------------------------------------------------------

WAYS = ("auto", "inbound", "outbound")
MADE = {way: session(sa("inbound"), sa("outbound", 2), direction=way) for way in WAYS}
starts = st.sampled_from([b"", ESP[:20], ESP[:28], PLAIN[:20], PLAIN[:28], packet(6)[:40], NAT[:28], AH[:32]])


@settings(max_examples=300, deadline=None)
@given(start=starts, rest=st.binary(max_size=80), ethernet=st.booleans(), tags=st.integers(0, 3))
def test_any_octets(start: bytes, rest: bytes, ethernet: bool, tags: int) -> None:
    """Nothing raises, and every outcome is of one mind with itself."""
    for direction, made in MADE.items():
        data = start + rest
        if ethernet:
            data = ETHERNET + b"\x81\x00\x00\x05" * tags + (b"\x86\xdd" if data[:1] == b"\x60" else b"\x08\x00") + data
        outcome = made.process(data, ETHER if ethernet else RAW)
        assert direction in ("auto", outcome.direction)
        assert outcome.verdict in ("dropped", {"inbound": "delivered", "outbound": "sent"}[outcome.direction])
        if outcome.verdict == "dropped":
            assert outcome.refused is not None and outcome.data == b""
        elif outcome.refused is not None:
            assert outcome.flags == 48 and outcome.data == data
        elif not outcome.flags:
            assert outcome.data == data and outcome.resource_id == 0
