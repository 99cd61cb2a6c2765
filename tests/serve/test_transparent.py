"""Transparent IPsec, with scapy at the far end."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_network
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6PacketTooBig, IPv6
from scapy.layers.ipsec import AH, ESP, SecurityAssociation
from scapy.layers.l2 import ARP, Dot1Q, Ether

from virtionet_ipsec.device import ModelExtras
from virtionet_ipsec.device.packet_events import IpsecFailed
from virtionet_ipsec.driver import AdminError, flow_rules
from virtionet_ipsec.driver.admin import AdminClient
from virtionet_ipsec.driver.sa_object import sa_object
from virtionet_ipsec.input_error import InputError
from virtionet_ipsec.ipsec import Event, Lifetime, Mode, Protocol, Tunnel, UdpEncap
from virtionet_ipsec.safile import SaFileError, Select
from virtionet_ipsec.serve.events import PolicyDropped
from virtionet_ipsec.serve.transparent import Transparent
from virtionet_ipsec.wire.enums import Action, ResourceType, SelectorType
from virtionet_ipsec.wire.profile import Profile

from .rig import GUEST, HERE, KEY, OUT, PEER, SALT, THERE, Direction, frame, sa, udp

LOCAL, REMOTE = "192.0.2.1", "192.0.2.2"
SIX = Select(src=ip_network("fd01::/16"), dst=ip_network("fd02::/16"))


def far(direction: str = "out", number: int = 1, **fields: Any) -> SecurityAssociation:
    """Scapy's half of :func:`rig.sa`: what comes out of the guest (``out``), or goes to it (``in``)."""
    ends = (LOCAL, REMOTE) if direction == "out" else (REMOTE, LOCAL)
    values: dict[str, Any] = {
        "spi": 0x1000 + number,
        "crypt_algo": "AES-GCM",
        "crypt_key": KEY + SALT,
        "tunnel_header": IP(src=ends[0], dst=ends[1]),
    }
    return SecurityAssociation(fields.pop("protocol", ESP), **(values | fields))


def answer(packet: Any = None, number: int = 2, association: SecurityAssociation | None = None, **fields: Any) -> bytes:
    """A packet from the peer, protected by scapy."""
    plain = packet if packet is not None else IP(src=PEER, dst=GUEST) / UDP(sport=7, dport=5000) / b"back"
    protected = (association or far("in", number, **fields)).encrypt(plain)
    return bytes(Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01") / protected)


def both(**options: Any) -> Transparent:
    return Transparent([sa("outbound", 1, OUT), sa("inbound", 2)], **options)


# -- the guest sends ---------------------------------------------------------------------------------------------------


def test_what_a_policy_names_leaves_protected() -> None:
    transparent = both()
    for size in (0, 5, 1000):
        sent = udp(size=size)
        (out,) = transparent.outbound(sent)
        assert out[:12] == sent[:12]
        outer = Ether(out)[IP]
        assert (outer.src, outer.dst, outer.proto) == (LOCAL, REMOTE, 50)
        assert bytes(far().decrypt(outer)) == sent[14:]
    assert transparent.tally.out_protected == 3 and transparent.tally.out_clear == 0


def test_the_rest_leaves_as_it_is() -> None:
    transparent = both()
    frames = [udp(dst="10.3.0.1"), frame(ARP()), frame(IPv6() / UDP()), b"\xff" * 14, b"short", b""]
    for each in frames * 2:
        assert transparent.outbound(each) == (each,)
    assert transparent.tally.out_clear == 12


def test_the_first_of_several_policies() -> None:
    dns = Select(dst=ip_network("10.2.0.0/16"), proto=17, dport=53)
    transparent = Transparent([sa("outbound", 9, dns), sa("outbound", 4, OUT)])
    for _ in range(2):
        assert Ether(transparent.outbound(udp(dport=53))[0])[ESP].spi == 0x1009
        assert Ether(transparent.outbound(udp(dport=54))[0])[ESP].spi == 0x1004


def test_vlan_tags_stay_outside() -> None:
    packet = IP(src=GUEST, dst=PEER) / UDP() / b"tagged"
    (out,) = both().outbound(frame(Dot1Q(vlan=9) / packet))
    assert Ether(out)[Dot1Q].vlan == 9 and far().decrypt(Ether(out)[IP])[UDP].load == b"tagged"


@pytest.mark.parametrize(
    ("fields", "theirs"),
    [
        ({"mode": Mode.TRANSPORT, "tunnel": None}, {"tunnel_header": None}),
        (
            {
                "aead": None,
                "cipher": "aes-cbc",
                "auth": "hmac-sha256",
                "cipher_key": KEY,
                "auth_key": KEY * 2,
                "salt": b"",
            },
            {"crypt_algo": "AES-CBC", "crypt_key": KEY, "auth_algo": "SHA2-256-128", "auth_key": KEY * 2},
        ),
        (
            {
                "protocol": Protocol.AH,
                "aead": None,
                "cipher_key": b"",
                "salt": b"",
                "auth": "hmac-sha1",
                "auth_key": KEY + b"1234",
            },
            {
                "protocol": AH,
                "crypt_algo": None,
                "crypt_key": None,
                "auth_algo": "HMAC-SHA1-96",
                "auth_key": KEY + b"1234",
            },
        ),
        ({"udp": UdpEncap(4500, 4501)}, {"nat_t_header": UDP(sport=4500, dport=4501)}),
        ({"tunnel": Tunnel(bytes(15) + b"\1", bytes(15) + b"\2")}, {"tunnel_header": IPv6(src="::1", dst="::2")}),
    ],
    ids=["transport", "cbc", "ah", "udp", "6in"],
)
def test_other_sas(fields: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Both ways: what the guest sends scapy opens, and what scapy makes of the answer the guest gets."""
    inbound = {name: value for name, value in fields.items() if name != "tunnel"}
    transparent = Transparent([sa("outbound", 1, OUT, **fields), sa("inbound", 2, **inbound)])
    sent = udp(size=100)
    (out,) = transparent.outbound(sent)
    outer = Ether(out).payload
    assert bytes(far(**theirs).decrypt(outer))[20:] == sent[34:]
    plain = IP(src=PEER, dst=GUEST) / UDP(sport=7, dport=5000) / b"back"
    got = transparent.inbound(answer(plain.copy(), **theirs))
    assert got is not None and got[34:] == bytes(plain)[20:] and IP(got[14:]).src == PEER
    assert transparent.tally.in_decrypted == transparent.tally.out_protected == 1


def test_what_cannot_be_protected_is_dropped() -> None:
    transparent = Transparent([sa("outbound", 1, OUT, lifetime=Lifetime(packets_hard=2))])
    assert [len(transparent.outbound(udp())) for _ in range(4)] == [1, 1, 0, 0]
    assert transparent.outbound(udp(size=1460)) == ()
    assert transparent.tally.out_dropped == {"hard_lifetime": 3}


def test_a_fragment_that_a_policy_may_be_about_is_dropped() -> None:
    transparent = Transparent([sa("outbound", 1, Select(proto=17, dport=7))])
    assert transparent.outbound(udp(flags="MF")) == transparent.outbound(udp(frag=3)) == ()
    assert transparent.tally.out_dropped == {"fragment": 2}


def test_a_guest_is_told_what_is_too_big() -> None:
    transparent = both()
    told: list[bytes] = []
    transparent.to_guest = told.append
    fitting = transparent.inner_mtu - 28
    assert len(transparent.outbound(udp(size=fitting, flags="DF"))) == 1
    assert told == []
    assert transparent.outbound(udp(size=fitting + 1, flags="DF")) == ()
    error = Ether(told[0])
    assert error[ICMP].nexthopmtu == transparent.inner_mtu == 1446 and error[IP].dst == GUEST
    assert transparent.outbound(udp(size=fitting + 1)) == ()
    assert len(told) == 1  # without DF nothing is told
    assert transparent.tally.out_dropped == {"too_big": 2}
    assert len(transparent.outbound(udp(dst="10.3.0.1", size=1472, flags="DF"))) == 1


def test_the_mtu_told_is_that_of_the_packets_sa() -> None:
    six = sa("outbound", 2, SIX, tunnel=Tunnel(bytes(15) + b"\1", bytes(15) + b"\2"))
    transparent = Transparent([sa("outbound", 1, OUT), six])
    told: list[bytes] = []
    transparent.to_guest = told.append
    transparent.outbound(udp(size=1472, flags="DF"))
    transparent.outbound(frame(IPv6(src="fd01::1", dst="fd02::1") / UDP() / bytes(1452)))
    assert Ether(told[0])[ICMP].nexthopmtu == 1446
    assert Ether(told[1])[ICMPv6PacketTooBig].mtu == transparent.inner_mtu == 1426


# -- for the guest -----------------------------------------------------------------------------------------------------


def test_what_is_protected_arrives_plain() -> None:
    transparent = both()
    association = far("in", 2)
    for number in range(3):
        plain = IP(src=PEER, dst=GUEST) / UDP(sport=7, dport=5000) / bytes([number])
        got = transparent.inbound(answer(plain.copy(), association=association))
        assert got == bytes(Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01") / plain)
    assert transparent.tally.in_decrypted == 3 and not transparent.tally.in_dropped


def dropped(transparent: Transparent, octets: bytes) -> str:
    """Why the guest does not get a frame: the one count that changes, and the one event that says so."""
    told: list[Event] = []
    transparent.observer = told.append
    before = Counter(transparent.tally.in_dropped)
    assert transparent.inbound(octets) is None
    (why,) = Counter(transparent.tally.in_dropped) - before
    told_why = [e.reason for e in told if isinstance(e, PolicyDropped)]
    told_why += [e.reason.value for e in told if isinstance(e, IpsecFailed)]
    assert told_why == [why]
    return why


def test_what_fails_does_not_arrive() -> None:
    transparent = both()
    association = far("in", 2)
    good = answer(association=association)
    assert transparent.inbound(good) is not None
    assert dropped(transparent, good) == "replayed"
    other = answer(association=association)
    assert dropped(transparent, other[:-1] + bytes((other[-1] ^ 1,))) == "bad_icv"
    assert dropped(transparent, answer(crypt_key=bytes(16) + SALT, seq_num=9)) == "bad_icv"
    assert dropped(transparent, answer(number=3)) == "unknown_spi"
    piece = good[:20] + b"\x20\0" + good[22:]  # more fragments
    assert dropped(transparent, piece) == "fragment"
    assert transparent.inbound(other) is not None


def test_cleartext_that_should_have_been_protected_does_not_arrive() -> None:
    transparent = both()
    forged = udp(src=PEER, dst=GUEST, sport=7, dport=5000)
    for _ in range(2):
        assert dropped(transparent, forged) == "cleartext"
    for _ in range(2):
        assert transparent.inbound(udp(src="10.3.0.1", dst=GUEST)) is not None
    assert dropped(transparent, frame(Dot1Q(vlan=3) / IP(src=PEER, dst=GUEST) / UDP())) == "cleartext"
    assert dropped(transparent, frame(IP(src=PEER, dst=GUEST, options=b"\x94\4\0\0") / UDP())) == "cleartext"
    assert dropped(transparent, frame(IP(src=PEER, dst=GUEST, flags="MF") / UDP())) == "cleartext"
    assert transparent.tally.in_clear == 2


def test_cleartext_of_every_kind_before_an_all_embracing_policy() -> None:
    transparent = Transparent([sa("outbound", 1), sa("inbound", 2)])
    for packet in (IP() / UDP(), IP() / TCP(), IP() / ICMP(), IPv6() / UDP(), IP(proto=89) / bytes(9)):
        assert dropped(transparent, frame(packet)) == "cleartext"
    junk = [b"\x45", b"\x46" + bytes(30), b"\x00" * 40]
    for each in junk:
        assert dropped(transparent, bytes(12) + b"\x08\x00" + each) == "cleartext"
        assert dropped(transparent, bytes(12) + b"\x86\xdd" + each) == "cleartext"
    # What a link needs to work passes, both ways.
    for packet in (ARP(), IPv6(hlim=255) / ICMPv6ND_NS(), IPv6(hlim=255) / ICMPv6ND_NA()):
        assert transparent.inbound(frame(packet)) == frame(packet)
        assert transparent.outbound(frame(packet)) == (frame(packet),)


def test_ike_and_keepalives_on_the_port_of_esp_are_cleartext() -> None:
    """They pass the flow filter's rule and IPsec has nothing to do; then the policies decide."""
    ike = frame(IP(src="10.3.0.1", dst=GUEST) / UDP(sport=4500, dport=4500) / (bytes(4) + b"ike"))
    assert both().inbound(ike) == ike
    assert dropped(Transparent([sa("outbound", 1), sa("inbound", 2)]), ike) == "cleartext"


def test_cleartext_may_be_accepted() -> None:
    transparent = both(accept_cleartext=True)
    forged = udp(src=PEER, dst=GUEST, sport=7, dport=5000)
    assert transparent.inbound(forged) == forged
    assert dropped(transparent, answer(crypt_key=bytes(16) + SALT)) == "bad_icv"


def test_what_an_sa_is_not_for_does_not_come_out_of_it() -> None:
    transparent = both()
    association = far("in", 2)
    inner = IP(src="10.9.0.1", dst=GUEST) / UDP(sport=7, dport=5000)
    for _ in range(2):
        assert dropped(transparent, answer(inner.copy(), association=association)) == "selectors"
    assert transparent.inbound(answer(association=association)) is not None


def test_an_inbound_select() -> None:
    only = Select(src=ip_network("10.2.0.0/16"), proto=17, sport=7)
    transparent = Transparent([sa("inbound", 2, only)])
    association = far("in", 2)
    assert transparent.inbound(answer(association=association)) is not None
    assert dropped(transparent, answer(IP(src=PEER) / UDP(sport=8), association=association)) == "selectors"
    assert dropped(transparent, udp(src=PEER, sport=7)) == "cleartext"
    assert transparent.inbound(udp(src=PEER, sport=8)) is not None
    assert transparent.outbound(udp()) == (udp(),)


def test_one_tunnel_cannot_speak_for_another() -> None:
    """Where the SAs' ends are known, as in what `ip xfrm state` prints."""
    third = bytes((192, 0, 2, 3))
    transparent = Transparent(
        [
            sa("outbound", 1, OUT),
            sa("inbound", 2, tunnel=Tunnel(THERE, HERE)),
            sa("outbound", 3, Select(dst=ip_network("10.3.0.0/16")), tunnel=Tunnel(HERE, third)),
            sa("inbound", 4, tunnel=Tunnel(third, HERE)),
        ]
    )
    second, fourth = far("in", 2), far("in", 4)
    claimed = IP(src=PEER, dst=GUEST) / UDP(sport=7, dport=5000)
    assert transparent.inbound(answer(claimed.copy(), association=second)) is not None
    assert dropped(transparent, answer(claimed.copy(), association=fourth)) == "selectors"
    assert transparent.inbound(answer(IP(src="10.3.0.9", dst=GUEST) / UDP(), association=fourth)) is not None


def test_an_sa_that_takes_an_id_over_has_ends_of_its_own() -> None:
    """Those of the file's SA with this id are not its; what they are is not known."""
    third = bytes((192, 0, 2, 3))
    transparent = Transparent([sa("outbound", 1, OUT), sa("inbound", 4, tunnel=Tunnel(third, HERE))])
    association = far("in", 4)
    assert dropped(transparent, answer(association=association)) == "selectors"
    client = AdminClient(transparent)
    client.destroy(ResourceType.IPSEC_INB_SA, 4)
    client.create(ResourceType.IPSEC_INB_SA, 4, sa_object(sa("inbound", 4).params, 4, Profile.VIRTIO_1_4))
    assert transparent.inbound(answer(association=association)) is not None


def test_dummy_packets_are_swallowed() -> None:
    """Next header 59 (RFC 4303 2.6), which scapy does not send."""
    transparent = both()
    head, iv = (0x1002).to_bytes(4, "big") + (1).to_bytes(4, "big"), bytes(8)
    sealed = AESGCM(KEY).encrypt(SALT + iv, b"\1\2\2\x3b", head)
    dummy = bytes(Ether() / IP(src=REMOTE, dst=LOCAL, proto=50) / (head + iv + sealed))
    assert transparent.inbound(dummy) is None
    assert transparent.tally.in_dropped == {"dummy": 1}


# -- without anything to do --------------------------------------------------------------------------------------------


def test_without_sas_everything_passes() -> None:
    transparent = Transparent()
    assert transparent.idle and transparent.inner_mtu == 1500
    for each in (udp(), answer(), b"", frame(ARP())):
        assert transparent.outbound(each) == (each,)
        assert transparent.inbound(each) is each


def test_with_policies_esp_that_belongs_to_no_sa_does_not_arrive() -> None:
    transparent = Transparent([sa("outbound", 1, OUT)])
    assert not transparent.idle
    assert dropped(transparent, answer()) == "unknown_spi"


# -- changes while it runs ---------------------------------------------------------------------------------------------


def test_sas_and_policies_take_effect_at_once() -> None:
    transparent = Transparent()
    client = AdminClient(transparent)
    assert transparent.outbound(udp()) == (udp(),) and transparent.inbound(answer()) is not None
    entry = sa("outbound", 1)
    client.create(ResourceType.IPSEC_OUTB_SA, 1, sa_object(entry.params, 1, Profile.VIRTIO_1_4))
    assert transparent.outbound(udp()) == (udp(),)
    policy = transparent.add_policy(Direction.OUTBOUND, 1, OUT)
    assert Ether(transparent.outbound(udp())[0])[ESP].spi == 0x1001
    assert dropped(transparent, udp(src=PEER, dst=GUEST)) == "cleartext"
    client.create(ResourceType.IPSEC_INB_SA, 2, sa_object(sa("inbound", 2).params, 2, Profile.VIRTIO_1_4))
    association = far("in", 2)
    assert transparent.inbound(answer(association=association)) is not None
    client.destroy(ResourceType.IPSEC_INB_SA, 2)
    assert dropped(transparent, answer(association=association)) == "unknown_spi"
    assert transparent.remove_policy(policy.id)
    assert transparent.outbound(udp()) == (udp(),)
    assert transparent.inbound(udp(src=PEER, dst=GUEST)) is not None
    assert not transparent.remove_policy(policy.id)


def test_an_sa_that_is_removed_leaves_its_policy() -> None:
    """Its packets are dropped, not sent in the clear."""
    transparent = both()
    assert len(transparent.outbound(udp())) == 1
    AdminClient(transparent).destroy(ResourceType.IPSEC_OUTB_SA, 1)
    assert transparent.outbound(udp()) == ()
    assert transparent.tally.out_dropped == {"unknown_sa": 1}
    AdminClient(transparent).create(
        ResourceType.IPSEC_OUTB_SA, 1, sa_object(sa("outbound", 1, spi=7).params, 1, Profile.VIRTIO_1_4)
    )
    assert Ether(transparent.outbound(udp())[0])[ESP].spi == 7


def test_a_port_for_esp_in_udp_is_steered_when_its_sa_is_created() -> None:
    transparent = both()
    theirs = {"nat_t_header": UDP(sport=4500, dport=7777)}
    association = far("in", 5, **theirs)
    assert dropped(Transparent([sa("outbound", 1), sa("inbound", 2)]), answer(association=association)) == "cleartext"
    entry = sa("inbound", 5, udp=UdpEncap(4500, 7777))
    AdminClient(transparent).create(ResourceType.IPSEC_INB_SA, 5, sa_object(entry.params, 5, Profile.VIRTIO_1_4))
    assert transparent.inbound(answer(association=association)) is not None
    assert transparent.last_refusal == ""


def test_more_ports_than_rules() -> None:
    entries = [sa("inbound", n, udp=UdpEncap(1, 10000 + n)) for n in range(1, 200)]
    with pytest.raises(InputError, match="no more than 125 different UDP ports"):
        Transparent(entries)
    transparent = Transparent(entries[:124])
    client = AdminClient(transparent)
    for entry in entries[124:126]:
        number = entry.id
        client.create(ResourceType.IPSEC_INB_SA, number, sa_object(entry.params, number, Profile.VIRTIO_1_4))
    assert "gets no packets" in transparent.last_refusal and 126 in transparent.device.inbound


def test_the_owners_rules_are_obeyed() -> None:
    """And removed again they are forgotten; the ids are the owner's from 0 up."""
    transparent = both()
    client = AdminClient(transparent)
    udp_to_7 = (
        flow_rules.Match.fields(SelectorType.ETH, (12, b"\x08\x00")),
        flow_rules.Match.fields(SelectorType.IPV4, (9, b"\x11")),
        flow_rules.Match.fields(SelectorType.UDP, (2, b"\0\7")),
    )
    other = udp(src="10.3.0.1", dst=GUEST, dport=7)
    assert transparent.inbound(other) == other
    client.create(ResourceType.FF_GROUP, 0, flow_rules.group(9))
    client.create(ResourceType.FF_CLASSIFIER, 0, flow_rules.classifier(udp_to_7))
    client.create(ResourceType.FF_RULE, 0, flow_rules.rule(0, 0, 5, Action.DROP, udp_to_7))
    assert transparent.inbound(other) is None and transparent.tally.in_dropped == {"rule_drop": 1}
    assert dropped(transparent, udp(src=PEER, dst=GUEST, dport=8)) == "cleartext"
    assert transparent.inbound(answer()) is not None
    client.destroy(ResourceType.FF_RULE, 0)
    assert transparent.inbound(other) == other


def test_the_owners_rules_may_look_at_what_changes_from_packet_to_packet() -> None:
    transparent = both()
    client = AdminClient(transparent)
    urgent = (
        flow_rules.Match.fields(SelectorType.ETH, (12, b"\x08\x00")),
        flow_rules.Match.fields(SelectorType.IPV4, (1, b"\xb8")),
    )
    client.create(ResourceType.FF_GROUP, 0, flow_rules.group(9))
    client.create(ResourceType.FF_CLASSIFIER, 0, flow_rules.classifier(urgent))
    client.create(ResourceType.FF_RULE, 0, flow_rules.rule(0, 0, 5, Action.DROP, urgent))
    for tos, passes in ((0, True), (0xB8, False), (0, True), (0xB8, False)):
        assert (transparent.inbound(udp(src="10.3.0.1", dst=GUEST, tos=tos)) is not None) is passes


def test_the_hosts_own_objects_are_the_upper_half() -> None:
    transparent = both()
    flows = transparent.device.flow_table
    limits = transparent.driver.limits
    assert min(flows.groups) == limits[ResourceType.FF_GROUP] // 2
    assert min(flows.classifiers) == limits[ResourceType.FF_CLASSIFIER] // 2
    assert min(flows.rules) == limits[ResourceType.FF_RULE] // 2
    with pytest.raises(AdminError, match="EEXIST"):
        AdminClient(transparent).create(ResourceType.FF_GROUP, min(flows.groups), flow_rules.group(77))


def test_what_no_sa_object_carries() -> None:
    transparent = Transparent()
    short = sa("outbound", 1, icv_len=8)
    assert transparent.set_extras(Direction.OUTBOUND, 1, ModelExtras(icv_len=8))
    AdminClient(transparent).create(ResourceType.IPSEC_OUTB_SA, 1, sa_object(short.params, 1, Profile.VIRTIO_1_4))
    assert transparent.device.outbound[1].params.icv_len == 8
    AdminClient(transparent).destroy(ResourceType.IPSEC_OUTB_SA, 1)
    AdminClient(transparent).create(ResourceType.IPSEC_OUTB_SA, 1, sa_object(short.params, 1, Profile.VIRTIO_1_4))
    assert transparent.device.outbound[1].params.icv_len is None


def test_extras_that_wait_are_bounded() -> None:
    transparent = Transparent()
    taken = sum(transparent.set_extras(Direction.INBOUND, number, ModelExtras()) for number in range(5000))
    assert taken == 4096 == len(transparent.device.model_extras)


def test_an_sa_that_the_device_does_not_take() -> None:
    with pytest.raises(SaFileError, match="here:9: the device refuses this SA: IPSEC_INB_SA id"):
        Transparent([sa("inbound", 1 << 20, origin="here:9")])
    with pytest.raises(SaFileError, match=r"here:9 options: no rfc-v1 SA object can carry this"):
        Transparent([sa("inbound", 1, ecn=True, origin="here:9")], profile=Profile.RFC_V1)


def test_the_other_profile() -> None:
    transparent = both(profile=Profile.RFC_V1)
    (out,) = transparent.outbound(udp())
    assert bytes(far().decrypt(Ether(out)[IP])) == udp()[14:]
    association = far("in", 2)
    good = answer(association=association)
    assert transparent.inbound(good) is not None
    assert dropped(transparent, good) == "replayed"


def test_an_observer_costs_nothing_when_it_has_gone() -> None:
    transparent = both()
    seen: list[Event] = []
    transparent.observer = seen.append
    transparent.outbound(udp())
    count = len(seen)
    assert count and transparent.observer is not None
    transparent.observer = None
    transparent.outbound(udp())
    assert len(seen) == count and transparent.device.observer is None


def test_caches_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("virtionet_ipsec.serve.transparent._FLOWS", 8)
    transparent = both()
    association = far("in", 2)
    for port in range(30):
        assert len(transparent.outbound(udp(dport=port))) == 1
        assert transparent.inbound(udp(src="10.3.0.1", dport=port)) is not None
        plain = IP(src=PEER, dst=GUEST) / UDP(sport=7, dport=port)
        assert transparent.inbound(answer(plain, association=association)) is not None
    assert 0 < len(transparent._out) <= 8 and 0 < len(transparent._in) <= 8 and 0 < len(transparent._through) <= 8
