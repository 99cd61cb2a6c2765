"""Packets that are wrong: SECURITY_ERR here, and in /proc/net/xfrm_stat there."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from virtionet_ipsec.control import ControlClient
from virtionet_ipsec.control.messages import Kind
from virtionet_ipsec.wire.enums import HdrFlag

from . import accounts, far, needs
from .associations import AH, ALIGN4, CBC_SHA256, FAR_SPI, GCM, NEAR_SPI, SHA256, TRANSPORT, Case
from .frames import ipsec, spi
from .lab import Lab

needs.require(*needs.GUEST)

CASES = [
    Case(1, GCM),
    Case(2, CBC_SHA256, inner=6, outer=6, mode=TRANSPORT),
    Case(3, SHA256, protocol=AH, **ALIGN4),
    Case(4, GCM, udp=True, esn=True),
]
PINGS = 5


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("damage"), cases=CASES) as lab:
        yield lab


@pytest.fixture(scope="module")
def client(lab: Lab) -> Iterator[ControlClient]:
    with lab.backend.client() as client:
        yield client


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


Count = Callable[[], dict[str, int]]


@pytest.fixture
def ours(client: ControlClient) -> Count:
    """What came with SECURITY_ERR here since the test began, by reason."""
    before = accounts.security_errors(client)
    return lambda: accounts.since(accounts.security_errors(client), before)


@pytest.fixture
def theirs(lab: Lab) -> Count:
    """What the kernel has counted as wrong since the test began."""
    before = accounts.errors(lab.far)
    return lambda: accounts.since(accounts.errors(lab.far), before)


def delivered_flags(client: ControlClient, count: int) -> list[int]:
    """``flags`` of virtio_net_hdr in the next ``count`` deliveries of our IPsec device."""
    flags: list[int] = []
    while len(flags) < count:
        event = client.event(10)
        assert event is not None, flags
        if event["event"] == "Delivered" and event["device"] == "host":
            flags.append(bytes.fromhex(event["header"])[0])
    return flags


def captured(lab: Lab, case: Case, sender: str) -> bytes:
    """A good frame of ``sender``, which has been received."""
    number = (NEAR_SPI if sender == "near" else FAR_SPI) + case.number
    lab.wire.forget()
    lab.ping(case.far, count=2)
    return lab.wire.wait_for(lambda frame: frame.sender == sender and spi(frame.data) == number).data


def test_replayed(lab: Lab, case: Case, ours: Count, theirs: Count) -> None:
    """The same frame once more, to each end."""
    for sender, receiver in (("far", "near"), ("near", "far")):
        frame = captured(lab, case, sender)
        for _ in range(3):
            lab.wire.inject(receiver, frame)
    assert accounts.eventually(theirs, bool) == {"XfrmInStateSeqError": 3}
    assert accounts.eventually(ours, bool) == {"replayed": 3}
    lab.ping(case.far)


def test_replayed_from_the_control_socket(lab: Lab, client: ControlClient, case: Case, ours: Count) -> None:
    """A client of the control socket is a station on the wire too."""
    frame = captured(lab, case, "far")
    client.plug()
    client.send([frame])
    client.sync()
    client.unplug()
    assert ours() == {"replayed": 1}


def test_corrupted(lab: Lab, case: Case, ours: Count, theirs: Count) -> None:
    """The last octet of every frame, one way and the other: the ICV for ESP, for AH what it covers."""
    for sender, count, wanted in (("far", ours, "bad_icv"), ("near", theirs, "XfrmInStateProtoError")):

        def corrupt(name: str, data: bytes, sender: str = sender) -> tuple[bytes]:
            return (data[:-1] + bytes((data[-1] ^ 1,)) if name == sender and ipsec(data) else data,)

        lab.wire.alter = corrupt
        said = lab.near.run(f"ping -n -q -c {PINGS} -i 0.02 -W 1 {case.far}").out
        lab.wire.alter = None
        assert f"{PINGS} packets transmitted, 0 received" in said
        due = {wanted: PINGS}
        assert accounts.eventually(count, due.__eq__) == due
    lab.ping(case.far)


def test_lost_and_corrupted_in_a_transfer(lab: Lab, case: Case, ours: Count, theirs: Count) -> None:
    """TCP makes up for it: every octet arrives, though each 29th frame is corrupted."""
    seen = 0

    def corrupt(name: str, data: bytes) -> tuple[bytes]:
        nonlocal seen
        seen += 1
        wrong = seen % 29 == 0 and ipsec(data)
        return (data[:-1] + bytes((data[-1] ^ 0x80,)) if wrong else data,)

    lab.wire.alter = corrupt
    lab.tcp(case.far, 200_000, 200_000)
    lab.wire.alter = None
    assert ours().keys() == {"bad_icv"} and theirs().keys() == {"XfrmInStateProtoError"}


def test_unknown_spi(lab: Lab, case: Case, ours: Count, theirs: Count) -> None:
    for sender, receiver in (("far", "near"), ("near", "far")):
        frame = captured(lab, case, sender)
        number = (NEAR_SPI if sender == "near" else FAR_SPI) + case.number
        lab.wire.inject(receiver, frame.replace(number.to_bytes(4, "big"), b"\x00\x00\x99\x99", 1))
    assert accounts.eventually(theirs, bool) == {"XfrmInNoStates": 1}
    assert accounts.eventually(ours, bool) == {"unknown_spi": 1}


def test_in_the_clear(lab: Lab, client: ControlClient, case: Case, ours: Count, theirs: Count) -> None:
    """What a policy protects is taken in the clear by neither side; no SA is to blame."""
    before = accounts.dropped(client)
    lab.far.do("ip xfrm policy flush")  # now the far end sends in the clear
    lab.far.run(f"ping -n -c 1 -W 1 {case.near}")
    refused = accounts.eventually(lambda: accounts.since(accounts.dropped(client), before), bool)
    assert refused == {"cleartext": 1} and ours() == {}
    lab.far.ip(line for each in CASES for line in far.policies(each))
    (policy,) = [row for row in client.pages(Kind.POLICIES) if row["sa"] == case.number]
    client.ask(Kind.POLICY_REMOVE, id=policy["id"])  # and now we do
    lab.near.run(f"ping -n -c 1 -W 1 {case.far}")
    assert accounts.eventually(theirs, bool) == {"XfrmInTmplMismatch": 1}
    client.ask(Kind.POLICY_ADD, direction="outbound", sa=case.number, select=policy["select"])
    lab.ping(case.far)


def test_wrong_key(lab: Lab, client: ControlClient, case: Case, ours: Count, theirs: Count) -> None:
    """The kernel has another key than we, both ways: neither side lets anything pass."""
    lab.rekey(case, wrong=True, sent=100_000)
    client.subscribe(every=True)
    for ping, guest in ((case.far, lab.near), (case.near, lab.far)):
        said = guest.run(f"ping -n -q -c {PINGS} -i 0.02 -W 1 {ping}").out
        assert f"{PINGS} packets transmitted, 0 received" in said
    assert accounts.eventually(theirs, bool) == {"XfrmInStateProtoError": PINGS}
    assert accounts.eventually(ours, bool) == {"bad_icv": PINGS}
    sas = accounts.kernels(lab.far, case.number)
    assert sas[NEAR_SPI + case.number] == accounts.Sa(0, PINGS)
    assert delivered_flags(client, PINGS) == [HdrFlag.SECURITY | HdrFlag.SECURITY_ERR] * PINGS
    lab.rekey(case, wrong=False, sent=200_000)
    lab.ping(case.far)
    assert delivered_flags(client, 3) == [HdrFlag.SECURITY] * 3
    client.ask(Kind.EVENTS, on=False)
