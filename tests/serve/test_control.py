"""The control socket: what its requests do, through a real connection."""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.ipsec import ESP
from scapy.layers.l2 import Ether

from virtionet_ipsec.control import ControlClient, ControlError, GuestSide
from virtionet_ipsec.control.messages import Kind, Result, pack, pack_admin
from virtionet_ipsec.driver import AdminError
from virtionet_ipsec.driver.admin import AdminClient
from virtionet_ipsec.driver.sa_object import sa_object
from virtionet_ipsec.input_error import InputError
from virtionet_ipsec.serve.wires import open_wire
from virtionet_ipsec.wire.enums import CapId, Feature, ResourceType
from virtionet_ipsec.wire.profile import Profile

from .rig import GUEST, OUT, PEER, Served, frame, sa, served, udp
from .test_transparent import answer, far

SECRETS = [b"abcdefghijklmnop", b"abcdefghijklmnop".hex().encode(), b"salt", b"salt".hex().encode()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control"


@pytest.fixture
def server(path: Path) -> Iterator[Served]:
    with served(path, [sa("outbound", 1, OUT), sa("inbound", 2)]) as made:
        yield made


@pytest.fixture
def client(server: Served) -> Iterator[ControlClient]:
    with ControlClient(server.path, timeout=20) as made:
        yield made


def refused(client: ControlClient, kind: Kind, **values: Any) -> ControlError:
    with pytest.raises(ControlError) as caught:
        client.ask(kind, **values)
    return caught.value


# -- what there is ----------------------------------------------------------------------------------------------------


def test_info(client: ControlClient) -> None:
    told = client.ask(Kind.INFO)
    assert (told["profile"], told["mtu"], told["inner_mtu"]) == ("virtio-1.4", 1500, 1446)
    assert told["accept_cleartext"] is False and told["guest"]["status"] == 15


def test_counters(server: Served, client: ControlClient, tmp_path: Path) -> None:
    name = f"pcap:{tmp_path}/out.pcap"
    server.do(server.segment.plug, open_wire(name))
    server.send(udp())
    server.arrive(udp(src=PEER, dst=GUEST), udp(src="10.3.0.1"))
    told = client.ask(Kind.COUNTERS)
    assert told["guest"]["device"]["tx_sent"] == 1 and told["guest"]["settled"] == 0
    packets = told["host"]["packets"]
    assert (packets["out_protected"], packets["in_clear"], packets["in_dropped"]) == (1, 1, {"cleartext": 1})
    assert told["host"]["device"]["tx_sent"] == 1
    (wire,) = told["wires"]
    assert wire == {"name": name, "sent": 1, "received": 0, "dropped": 0, "failed": ""}


def test_sas(server: Served, client: ControlClient) -> None:
    server.send(udp(size=10))
    server.arrive(answer(crypt_key=bytes(20)))
    out, inbound = client.pages(Kind.SAS)
    assert out == {
        "direction": "outbound",
        "resource_id": 1,
        "spi": "0x00001001",
        "mode": "esp-tunnel",
        "algorithm": "aes-gcm",
        "policies": [1],
        "parameters": {
            "key_bits": 128,
            "icv_len": 16,
            "replay_window": 0,
            "options": [],
            "lifetime": {},
            "tunnel": {"src": "192.0.2.1", "dst": "192.0.2.2"},
        },
        "packets": 1,
        "bytes": 38,
        "failures": {},
        "soft_expired": False,
        "last_seq": 1,
    }
    assert (inbound["resource_id"], inbound["failures"], inbound["highest_seq"]) == (2, {"bad_icv": 1}, 0)


def test_pages(path: Path) -> None:
    entries = [sa("outbound", n, OUT) for n in range(100)] + [sa("inbound", n) for n in range(100)]
    with served(path, entries) as made, ControlClient(made.path) as client:
        rows = [(row["direction"], row["resource_id"]) for row in client.pages(Kind.SAS)]
        assert rows == [("outbound", n) for n in range(100)] + [("inbound", n) for n in range(100)]
        assert [row["id"] for row in client.pages(Kind.POLICIES)] == list(range(1, 101))
        first = client.ask(Kind.SAS, start=0)
        assert len(first["rows"]) == 64 and first["next"] == 64
        assert client.ask(Kind.SAS, start=64 * 3) == {"rows": client.ask(Kind.SAS, start=192)["rows"], "next": None}
        assert client.ask(Kind.SAS, start=10**9) == {"rows": [], "next": None}


def test_rules(client: ControlClient) -> None:
    rows = list(client.pages(Kind.RULES))
    assert {row["action"] for row in rows} == {"IPSEC"} and all(row["own"] for row in rows) and len(rows) == 6
    assert [row["rule_priority"] for row in rows] == [5, 4, 3, 2, 1, 0]
    esp = rows[-1]["selectors"][1]
    assert (esp["type"], esp["mask"][18:20], esp["key"][18:20]) == ("IPV4", "ff", "32")


def test_no_answer_holds_a_key(server: Served, client: ControlClient) -> None:
    """Nor the event of a failure."""
    with ControlClient(server.path) as listener:
        listener.subscribe(every=True)
        server.send(udp())
        server.arrive(answer())
        answers = [client.request(kind) for kind in (Kind.INFO, Kind.COUNTERS, Kind.SAS, Kind.RULES, Kind.POLICIES)]
        events = []
        while (event := listener.event(0.2)) is not None:
            events.append(json.dumps(event).encode())
    assert len(events) > 10
    for octets in answers + events:
        assert not any(secret in octets for secret in SECRETS)


# -- changes ----------------------------------------------------------------------------------------------------------


def test_an_administration_command(client: ControlClient) -> None:
    admin = AdminClient(client)
    assert CapId.IPSEC_SA_CAP in admin.cap_ids()
    with pytest.raises(AdminError, match=r"IPSEC_OUTB_SA 1: EEXIST.* exists already"):
        admin.create(ResourceType.IPSEC_OUTB_SA, 1, sa_object(sa("outbound", 1).params, 1, Profile.VIRTIO_1_4))
    assert client.admin(b"", 3) == b"\0\0\0"
    assert client.admin(b"", 0) == b""


def test_an_sa_and_a_policy_are_made_and_used(server: Served, client: ControlClient) -> None:
    admin = AdminClient(client)
    admin.create(ResourceType.IPSEC_OUTB_SA, 9, sa_object(sa("outbound", 9).params, 9, Profile.VIRTIO_1_4))
    made = client.ask(
        Kind.POLICY_ADD,
        direction="outbound",
        sa=9,
        select={"dst": "10.2.0.0/16", "proto": "udp", "dport": 53},
        first=True,
    )
    assert [row["id"] for row in client.pages(Kind.POLICIES)] == [made["id"], 1]
    assert next(iter(client.pages(Kind.POLICIES))) == {
        "id": made["id"],
        "direction": "outbound",
        "sa": 9,
        "select": {"dst": "10.2.0.0/16", "proto": "udp", "dport": 53},
    }
    with ControlClient(server.path) as ear:
        ear.plug()
        server.send(udp(dport=53))
        server.send(udp(dport=54))
        ear.sync()
        assert [Ether(each)[ESP].spi for each in ear.frames()] == [0x1009, 0x1001]
    client.ask(Kind.POLICY_REMOVE, id=made["id"])
    assert refused(client, Kind.POLICY_REMOVE, id=made["id"]).status == Result.REFUSED


def test_extras_are_for_the_sa_that_is_created_next(server: Served, client: ControlClient) -> None:
    params = sa("inbound", 7, icv_len=8).params
    client.ask(Kind.EXTRAS, direction="inbound", id=7, icv_len=8, iv=None, first_seq=1, ah_align=None)
    AdminClient(client).create(ResourceType.IPSEC_INB_SA, 7, sa_object(params, 7, Profile.VIRTIO_1_4))
    assert server.transparent.device.inbound[7].params == params


@pytest.mark.parametrize(
    "extras", [{"icv_len": 3}, {"iv": "00"}, {"first_seq": 0}, {"first_seq": 1 << 40}, {"ah_align": 5}, {"icv_len": 0}]
)
def test_extras_that_no_sa_can_have(client: ControlClient, extras: dict[str, Any]) -> None:
    client.ask(Kind.EXTRAS, direction="inbound", id=7, **extras)
    with pytest.raises(AdminError, match="EINVAL"):
        AdminClient(client).create(
            ResourceType.IPSEC_INB_SA, 7, sa_object(sa("inbound", 7).params, 7, Profile.VIRTIO_1_4)
        )


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({}, "direction is neither"),
        ({"direction": "up", "sa": 1}, "direction is neither"),
        ({"direction": "outbound"}, "sa is no number"),
        ({"direction": "outbound", "sa": -1}, "sa is no number"),
        ({"direction": "outbound", "sa": True}, "sa is no number"),
        ({"direction": "outbound", "sa": 2}, "there is no outbound SA 2"),
        ({"direction": "inbound", "sa": 1}, "there is no inbound SA 1"),
        ({"direction": "outbound", "sa": 1, "select": 3}, "select is no JSON object"),
        ({"direction": "outbound", "sa": 1, "select": {"srcc": "x"}}, "a select has no srcc"),
        ({"direction": "outbound", "sa": 1, "select": {"src": "x"}}, "src is not an IPv4 or IPv6 network"),
        ({"direction": "outbound", "sa": 1, "select": {"src": 7}}, "src is no network"),
        ({"direction": "outbound", "sa": 1, "select": {"src": "10.0.0.1/8"}}, "src has bits set"),
        ({"direction": "outbound", "sa": 1, "select": {"src": "::/0", "dst": "0.0.0.0/0"}}, "different IP versions"),
        ({"direction": "outbound", "sa": 1, "select": {"proto": "ospf"}}, "proto is not in"),
        ({"direction": "outbound", "sa": 1, "select": {"proto": 256}}, "proto is not in"),
        ({"direction": "outbound", "sa": 1, "select": {"proto": True}}, "proto is not in"),
        ({"direction": "outbound", "sa": 1, "select": {"dport": 1}}, "ports need a protocol"),
        ({"direction": "outbound", "sa": 1, "select": {"proto": 6, "dport": 65536}}, "dport is not in"),
        ({"direction": "outbound", "sa": 1, "first": 1}, "first is neither"),
        ({"direction": "outbound", "sa": 1, "frist": True}, "there is no 'frist' here"),
    ],
)
def test_a_policy_that_cannot_be(client: ControlClient, values: dict[str, Any], why: str) -> None:
    assert why in str(refused(client, Kind.POLICY_ADD, **values))
    assert len(list(client.pages(Kind.POLICIES))) == 1


# -- events -----------------------------------------------------------------------------------------------------------


def test_events_of_failures_and_changes(server: Served, client: ControlClient) -> None:
    client.subscribe()
    with ControlClient(server.path) as other:
        other.admin(b"")
    server.arrive(answer(association=far("in", 2)), answer(crypt_key=bytes(20)), udp(src=PEER, dst=GUEST))
    told = [client.event(20) for _ in range(3)]
    assert [(e["device"], e["event"], e.get("reason")) for e in told] == [
        ("host", "AdminCompleted", None),
        ("host", "IpsecFailed", "replayed"),
        ("host", "PolicyDropped", "cleartext"),
    ]
    assert all(abs(e["time"] - time.time()) < 60 for e in told)


def test_every_step(server: Served, client: ControlClient) -> None:
    client.subscribe(every=True)
    server.send(udp())
    names = []
    while not names or names[-1] != ("host", "Sent"):
        event = client.event(20)
        assert event is not None
        names.append((event["device"], event["event"]))
    assert ("guest", "HeaderRead") in names and ("host", "Protected") in names


def test_who_does_not_listen_costs_nothing(server: Served, client: ControlClient) -> None:
    assert server.transparent.observer is None
    client.subscribe()
    with ControlClient(server.path) as other:
        other.subscribe()
    client.ask(Kind.INFO)
    assert server.transparent.observer is not None and server.guest.device.observer is not None
    client.ask(Kind.EVENTS, on=False)
    assert server.transparent.observer is None and server.guest.device.observer is None
    server.arrive(udp(src=PEER, dst=GUEST))
    assert client.event(0.1) is None


def test_a_listener_that_does_not_read_misses_events_and_is_told(server: Served, client: ControlClient) -> None:
    client.subscribe()
    forged = udp(src=PEER, dst=GUEST)
    for _ in range(40):
        server.arrive(*[forged] * 1000)
    told, missed = 0, 0
    while (event := client.event(0.5)) is not None:
        told += 1
        if event["event"] == "Missed":
            missed += event["count"]
    server.arrive(forged)
    while (event := client.event(0.5)) is not None:
        missed += event.get("count", 0)
        told += event["event"] == "PolicyDropped"
    assert missed > 0 and told < 40000


# -- the guest's driver -----------------------------------------------------------------------------------------------


@pytest.fixture
def side(server: Served) -> Iterator[GuestSide]:
    made = GuestSide(server.path, timeout=20)
    yield made
    made.close()


def test_features_that_the_connection_does_not_carry(server: Served, side: GuestSide) -> None:
    offered = server.guest.device.features
    assert side.features() == offered >> 64 << 64 | 1 << Feature.ADMIN_VQ
    assert side.features() >> Feature.IPSEC & 1
    accepted = 1 << Feature.IPSEC | 1 << Feature.ADMIN_VQ
    assert side.accept(accepted) and server.guest.accepted == accepted
    assert not side.accept(1 << 127) and server.guest.accepted == accepted


def test_commands_to_the_guests_device(server: Served, side: GuestSide) -> None:
    class Port:
        admin = staticmethod(side.admin)
        last_refusal = property(lambda self: side.last_refusal())

    client = AdminClient(Port())
    guests = sa("inbound", 3)
    client.create(ResourceType.IPSEC_INB_SA, 3, sa_object(guests.params, 3, Profile.VIRTIO_1_4))
    assert 3 in server.guest.device.inbound and 3 not in server.transparent.device.inbound
    with pytest.raises(AdminError, match="exists already"):
        client.create(ResourceType.IPSEC_INB_SA, 3, sa_object(guests.params, 3, Profile.VIRTIO_1_4))
    server.guest.device.set_status(0)
    assert side.admin(bytes(24)) == b"" and side.last_refusal() == "DRIVER_OK is not set"


def test_the_wire_of_a_front_end(server: Served, side: GuestSide) -> None:
    coming = udp(src="10.3.0.1", dst=GUEST)
    side.arrive(coming)
    assert side.sync()
    assert server.guest.got == [coming]
    leaving = [udp(dst="10.3.0.1", size=size) for size in range(3)]
    server.guest.waiting += leaving  # made available, and not looked at before SYNC asks
    assert side.frames() == tuple(leaving) and side.frames() == ()
    assert server.guest.settled == 3
    side.reopen()
    server.guest.waiting += leaving[:1]
    assert side.frames() == tuple(leaving[:1])


# -- the segment ------------------------------------------------------------------------------------------------------


def test_clients_are_ports(server: Served, client: ControlClient) -> None:
    with ControlClient(server.path) as other:
        client.plug()
        client.plug()  # once more changes nothing
        other.plug()
        frames = [udp(src="10.3.0.1", dst=GUEST, size=size) for size in range(50)]
        client.send(frames)
        client.sync()
        other.sync()
        assert other.frames() == frames == server.guest.got and client.frames() == []
        client.unplug()
        other.send(frames[:1])
        other.sync()
        client.sync()
        assert client.frames() == []
    client.ask(Kind.INFO)
    assert server.segment._ports == [server.guest._port]


def test_frames_are_decrypted_on_their_way(server: Served, client: ControlClient) -> None:
    client.plug()
    client.send([answer()])
    client.sync()
    assert server.guest.got == [
        bytes(
            Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01")
            / IP(src=PEER, dst=GUEST)
            / UDP(sport=7, dport=5000)
            / b"back"
        )
    ]


def test_sync_waits_for_what_comes_back(server: Served, client: ControlClient) -> None:
    """Through a loopback: the guest gets its own frame, and the client sees it leave."""
    server.do(server.segment.plug, open_wire("loopback"))
    client.plug()
    leaving = udp(dst="10.3.0.1")
    server.guest.waiting.append(leaving)
    client.sync()
    assert client.frames() == [leaving, leaving] and server.guest.got == [leaving]


def test_frames_of_a_size_that_none_has(client: ControlClient) -> None:
    client.plug()
    for size in (0, 13, 65558):
        client.send([bytes(size)])
        with pytest.raises(ControlError, match=f"{size} octets are no frame"):
            client.sync()
        client.sync()
    client.unplug()
    client.send([bytes(60)])
    with pytest.raises(ControlError, match="is not plugged in"):
        client.sync()


def test_a_client_that_does_not_read_loses_frames_and_holds_nobody_up(server: Served) -> None:
    with ControlClient(server.path) as slow, ControlClient(server.path) as quick:
        slow.plug()
        frame_of_9k = frame(IP(dst="10.3.0.1") / UDP() / bytes(9000))
        for _ in range(1000):
            server.do(server.segment._ports[0].send, [frame_of_9k])
        quick.ask(Kind.INFO)
        slow.sync()
        assert 0 < len(slow.frames()) < 1000


# -- the file ---------------------------------------------------------------------------------------------------------


def test_the_socket_is_its_owners_alone(server: Served) -> None:
    assert stat.S_IMODE(os.lstat(server.path).st_mode) == 0o600


def test_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        made = Served(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.lstat(path).st_mode) == 0o600
    made.close()
    assert not path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_nobody_else_can_connect() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        made = Served(Path(folder) / "control")
        child = os.fork()
        if not child:
            os.setgid(65534)
            os.setuid(65534)
            with socket.socket(socket.AF_UNIX) as other:
                os._exit(other.connect_ex(made.path))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == errno.EACCES
        made.close()


def test_the_socket_of_a_process_that_has_ended_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with served(path) as made, ControlClient(made.path) as client:
        assert client.ask(Kind.INFO)["profile"] == "virtio-1.4"
    assert not path.exists()


def test_a_socket_where_somebody_listens_is_not(server: Served, path: Path, client: ControlClient) -> None:
    with pytest.raises(InputError, match="another process listens here"):
        Served(path)
    assert client.ask(Kind.INFO)


@pytest.mark.parametrize("kind", ["file", "link", "dangling link", "folder"])
def test_what_is_no_socket_stays(path: Path, kind: str) -> None:
    target = path.with_name("target")
    if kind == "file":
        path.write_bytes(b"precious")
    elif kind == "folder":
        path.mkdir()
    else:
        if kind == "link":
            target.write_bytes(b"precious")
        path.symlink_to(target)
    before = os.lstat(path)
    with pytest.raises(InputError, match="is there already, and no socket"):
        Served(path)
    assert os.lstat(path) == before and (kind != "dangling link" or not target.exists())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_somebody_elses_socket_stays(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    os.chown(path, 65534, 65534)
    with pytest.raises(InputError, match="is a socket of another user"):
        Served(path)
    assert path.exists()


def test_closing_leaves_another_ones_socket_alone(path: Path) -> None:
    first = Served(path)
    path.unlink()
    second = Served(path)
    first.close()
    assert path.exists()
    second.close()
    assert not path.exists()


# -- the client -------------------------------------------------------------------------------------------------------


def test_no_server(path: Path) -> None:
    with pytest.raises(ControlError, match=r"cannot be connected to .*; is a server there"):
        ControlClient(str(path))
    with pytest.raises(ControlError, match="cannot be connected to"):
        ControlClient("x" * 200)


def test_a_server_that_goes(path: Path) -> None:
    with served(path) as made:
        client = ControlClient(made.path)
        client.ask(Kind.INFO)
    with pytest.raises(ControlError, match="the connection has ended"):
        client.ask(Kind.INFO)
    client.close()


def mock(path: Path, octets: bytes) -> tuple[socket.socket, ControlClient, socket.socket]:
    """A server that says ``octets`` whatever it is asked."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    client = ControlClient(str(path), timeout=0.2)
    peer, _ = listener.accept()
    peer.send(octets)
    return listener, client, peer


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"", "no answer within 0.2 seconds"),
        (b"HTTP/1.1 400 Bad Request\r\n", "speaks something else"),
        (pack(Kind.INFO, 1, b"{"), "the answer is no JSON object"),
        (pack(Kind.INFO, 1, b"[" * 10000), "the answer is no JSON object"),
        (pack(Kind.INFO, 1, b"[]"), "the answer is no JSON object"),
        (pack(Kind.INFO, 1, b"{}", 3), "the request failed"),
        (pack(Kind.INFO, 2, b"{}"), "no answer within"),
        (pack(Kind.EVENT, 0, b"\xff"), "the answer is no JSON object"),
    ],
)
def test_a_server_that_makes_no_sense(path: Path, octets: bytes, why: str) -> None:
    held = mock(path, octets)
    with pytest.raises(ControlError, match=why):
        held[1].ask(Kind.INFO)
    for each in held:
        each.close()


@pytest.mark.parametrize("body", [b"", b"\5\0\0\0abcd"])
def test_an_answer_to_a_command_that_ends_early(path: Path, body: bytes) -> None:
    held = mock(path, pack(Kind.ADMIN, 1, body))
    with pytest.raises(ControlError, match="the answer ends early"):
        held[1].admin(b"")
    for each in held:
        each.close()


def test_lengths_that_are_too_long_are_not_asked_for(client: ControlClient) -> None:
    with pytest.raises(ValueError, match="a body of"):
        client.request(Kind.ADMIN, bytes(1 << 18))
    assert pack_admin(b"", 1 << 40)[:4] == b"\0\0\1\0"
