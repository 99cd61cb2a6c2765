"""ctl: the command line over the control socket."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.ipsec import ESP
from scapy.layers.l2 import Ether

from virtionet_ipsec.driver import flow_rules
from virtionet_ipsec.driver.admin import AdminClient
from virtionet_ipsec.safile import Select, dumps_toml
from virtionet_ipsec.wire.codec import build
from virtionet_ipsec.wire.enums import Action, ResourceType, SelectorFlag, SelectorType
from virtionet_ipsec.wire.flow_filter import FfClassifier

from .rig import GUEST, KEY, OUT, PCAPS, PEER, SALT, Served, sa, served, udp

DEMO = PCAPS / "damaged" / "demo.toml"

Command = Callable[..., Any]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "control", [sa("outbound", 1, OUT), sa("inbound", 2)]) as made:
        yield made


@pytest.fixture
def ctl(server: Served, command: Command) -> Command:
    """Run one; nothing that is printed holds a key."""

    def call(*words: object, status: int = 0) -> Any:
        done = command("ctl", server.path, *words)
        assert done.status == status, done
        for text in (done.text, done.error):
            for secret in (KEY, SALT):
                assert secret.decode() not in text and secret.hex() not in text
        if status == 2:
            assert not done.output and done.error.count("\n") == 1
        return done

    return call


def rows(done: Any) -> list[list[str]]:
    """The cells of a table, without its title."""
    return [line.split() for line in done.text.splitlines()[1:]]


# -- looking ----------------------------------------------------------------------------------------------------------


def test_caps(ctl: Command) -> None:
    table = rows(ctl("caps"))
    assert ["inb_sa_limit", "1048576"] in table and ["mode", "ESP_TUNNEL"] in table
    assert ["aead_algo", "aes-gcm,", "aes-ccm,", "chacha20-poly1305"] in table
    told = json.loads(ctl("caps", "--json").text)
    assert told["FF_RESOURCE_CAP"]["last_rule_priority"] == 255
    assert told["FF_ACTION_CAP"] == {"actions": ["DROP", "DIRECT_RX_VQ", "IPSEC", "IPSEC_RECIRCULATE"]}
    assert told["FF_SELECTOR_CAP"]["UDP"] == "ff" * 8
    assert [mode["mode"] for mode in told["IPSEC_SA_CAP"]] == [
        "ESP_TUNNEL",
        "ESP_TRANSPORT",
        "AH_TUNNEL",
        "AH_TRANSPORT",
    ]
    assert told["IPSEC_SA_CAP"][3]["options"] == ["ESN", "SA_LIFETIME"]


def test_sa_list_and_show(server: Served, ctl: Command) -> None:
    server.send(udp(size=10))
    table = rows(ctl("sa", "list"))
    assert ["outbound", "1", "0x00001001", "esp-tunnel", "aes-gcm", "1", "38", "0"] in table
    assert ["inbound", "2", "0x00001002", "esp-tunnel", "aes-gcm", "0", "0", "0"] in table
    shown = rows(ctl("sa", "show", "outbound", 1))
    assert ["last_seq", "1"] in shown and ["tunnel", "src", "192.0.2.1,", "dst", "192.0.2.2"] in shown
    assert ["policies", "1"] in shown and ["failures", "-"] in shown
    listed = json.loads(ctl("sa", "list", "--json").text)
    assert listed[1] == json.loads(ctl("sa", "show", "inbound", 2, "--json").text)
    assert listed[1]["parameters"]["replay_window"] == 64


def test_policies_and_rules(ctl: Command) -> None:
    assert rows(ctl("policy", "list"))[1] == ["1", "outbound", "1", "10.1.0.0/16", "10.2.0.0/16", "any", "any", "any"]
    assert len(json.loads(ctl("policy", "list", "--json").text)) == 1
    table = rows(ctl("rules"))
    assert len(table) == 7
    assert table[-1][2:] == ["1,", "0", "IPSEC", "ETH", "12=0800;", "IPV4", "9=32", "the", "host's"]
    assert all(row["own"] for row in json.loads(ctl("rules", "--json").text))


def test_a_rule_of_the_owners(server: Served, ctl: Command) -> None:
    """With a mask that is not of whole octets; it comes before the host's."""
    match = flow_rules.Match(SelectorType.ETH, bytes(12) + b"\xff\xf0", bytes(12) + b"\x88\x60")
    partly = {"type": match.type, "flags": SelectorFlag.PARTIAL_MASK, "mask": match.mask}
    client = AdminClient(server.transparent)
    for kind, data in (
        (ResourceType.FF_GROUP, flow_rules.group(5)),
        (ResourceType.FF_CLASSIFIER, build(FfClassifier, selectors=[partly])),
        (ResourceType.FF_RULE, flow_rules.rule(3, 3, 1, Action.DROP, (match,))),
    ):
        server.do(client.create, kind, 3, data)
    assert rows(ctl("rules"))[1] == ["3", "3", "5,", "1", "DROP", "ETH", "12=8860/fff0", "yours"]


def test_counters(server: Served, ctl: Command) -> None:
    server.send(udp(size=10), udp(dst="10.3.0.1"))
    server.arrive(udp(src=PEER, dst=GUEST))
    table = rows(ctl("counters"))
    for row in (
        ["guest", "device", "tx_sent", "2"],
        ["host", "packets", "out_protected", "1"],
        ["host", "packets", "out_clear", "1"],
        ["host", "packets", "in_dropped", "cleartext", "1"],
        ["outbound", "SA", "1", "bytes", "38"],
    ):
        assert row in table
    told = json.loads(ctl("counters", "--json").text)
    assert told["host"]["packets"]["in_dropped"] == {"cleartext": 1} and len(told["sas"]) == 2


# -- changing ---------------------------------------------------------------------------------------------------------


def test_policies_are_added_and_removed(server: Served, ctl: Command) -> None:
    assert (
        ctl("policy", "add", "outbound", 1, "--dst", "10.4.0.0/16", "--proto", "udp", "--dport", 9).text
        == "policy 2 added\n"
    )
    assert ctl("policy", "add", "outbound", 1, "--first", "--proto", 47).text == "policy 3 added\n"
    assert [row[0] for row in rows(ctl("policy", "list"))[1:]] == ["3", "1", "2"]
    server.send(udp(dst="10.4.0.1", dport=9), udp(dst="10.4.0.1", dport=10))
    assert server.transparent.tally.out_protected == server.transparent.tally.out_clear == 1
    assert ctl("policy", "remove", 2).text == "policy 2 removed\n"
    server.send(udp(dst="10.4.0.1", dport=9))
    assert server.transparent.tally.out_clear == 2


def test_sas_of_a_file(server: Served, ctl: Command, tmp_path: Path) -> None:
    path = tmp_path / "more.toml"
    entries = [
        sa("outbound", 7, Select(proto=17, dport=53)),
        sa("outbound", 8, OUT, icv_len=12),
        sa("inbound", 9, Select(proto=6)),
        sa("inbound", 10),
    ]
    path.write_text(dumps_toml(entries)[0])
    assert ctl("sa", "add", path, "--first").text == "4 SAs and 3 policies added\n"
    assert [row[1:3] for row in rows(ctl("policy", "list"))[1:]] == [
        ["outbound", "7"],
        ["outbound", "8"],
        ["inbound", "9"],
        ["outbound", "1"],
    ]
    assert server.transparent.device.outbound[8].params.icv_length == 12
    server.send(udp(dport=53), udp())
    assert server.transparent.device.outbound[7].state.packets == 1
    assert server.transparent.device.outbound[8].state.packets == 1


def test_all_sas_of_a_file_or_none(server: Served, ctl: Command, tmp_path: Path) -> None:
    before = ctl("sa", "list", "--json").text, ctl("policy", "list", "--json").text
    path = tmp_path / "more.toml"
    path.write_text(dumps_toml([sa("outbound", 7, OUT), sa("inbound", 8), sa("outbound", 1)])[0])
    done = ctl("sa", "add", path, status=2)
    assert f"{path}:" in done.error and "IPSEC_OUTB_SA 1 exists already" in done.error
    assert (ctl("sa", "list", "--json").text, ctl("policy", "list", "--json").text) == before
    path.write_text(
        dumps_toml(
            [sa("outbound", 7, OUT, auth="hmac-sha512", cipher="aes-cbc", aead=None, salt=b"", auth_key=bytes(64))]
        )[0]
    )
    assert "no virtio-1.4 SA object can carry this" in ctl("sa", "add", path, status=2).error


def test_an_sa_is_removed(server: Served, ctl: Command) -> None:
    done = ctl("sa", "remove", "outbound", 1)
    assert done.text == "outbound SA 1 removed\n"
    assert done.error == "virtionet-ipsec: note: what policy 1 protects is dropped from here on\n"
    server.send(udp())
    assert server.transparent.tally.out_dropped == {"unknown_sa": 1}
    assert ctl("sa", "remove", "inbound", 2).error == ""
    assert len(rows(ctl("sa", "list"))) == 1


def test_a_rekey_by_hand(server: Served, ctl: Command, tmp_path: Path) -> None:
    """What README says: the new one first, then the old policy and SA away; no packet is lost or in the clear."""
    path = tmp_path / "new.toml"
    path.write_text(dumps_toml([sa("outbound", 3, OUT, spi=0x3333)])[0])
    heard: list[bytes] = []
    server.do(server.segment.attach, heard.extend)
    server.send(udp())
    ctl("sa", "add", path, "--first")
    server.send(udp())
    ctl("policy", "remove", 1)
    ctl("sa", "remove", "outbound", 1)
    server.send(udp())
    assert [Ether(each)[ESP].spi for each in heard] == [0x1001, 0x3333, 0x3333]


# -- octets -----------------------------------------------------------------------------------------------------------


def test_an_administration_command(ctl: Command) -> None:
    assert ctl("admin", "00" * 24).text.startswith("0" * 16)
    done = ctl("admin", "ff" * 24, status=1)
    assert done.text == "16000400" + "00" * 4 + "\n"
    assert (
        done.error == "virtionet-ipsec: EINVAL, INVALID_GROUP: group_type 65535: this device has the self group alone\n"
    )
    assert ctl("admin", "ff" * 24, "--room", 4, status=1).text == "16000400\n"
    assert "did not use the buffer" in ctl("admin", "ff" * 24, "--room", 0, status=1).error


# -- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("sa", "show", "outbound", 9), "there is no outbound SA 9; see sa list"),
        (("sa", "remove", "inbound", 1), "there is no inbound SA 1; see sa list"),
        (("sa", "show", "sideways", 1), "'sideways' is not one of 'inbound', 'outbound'"),
        (("sa", "add", "/nowhere"), "/nowhere: cannot be read"),
        (("policy", "remove", 77), "there is no policy 77; list them"),
        (("policy", "add", "outbound", 9), "there is no outbound SA 9; create it first"),
        (("policy", "add", "outbound", 1, "--src", "10.0.0.1/8"), "src has bits set behind its prefix length"),
        (("policy", "add", "outbound", 1, "--dport", 9), "ports need a protocol that has ports"),
        (("policy", "add", "outbound", 1, "--proto", "ospf"), "proto is not in 0 to 255, and none of: icmp"),
        (("admin", "xyz"), "is not hexadecimal"),
        (("nothing",), "No such command 'nothing'"),
    ],
)
def test_bad_input(ctl: Command, words: tuple[object, ...], why: str) -> None:
    assert why in ctl(*words, status=2).error


def test_no_server(command: Command, tmp_path: Path) -> None:
    done = command("ctl", tmp_path / "none", "caps")
    assert (done.status, done.output) == (2, b"")
    assert done.error == (
        f"virtionet-ipsec: {tmp_path}/none: cannot be connected to (No such file or directory); "
        "is a server there that was started with --control?\n"
    )


# -- until Ctrl-C -----------------------------------------------------------------------------------------------------


def begun(server: Served, environment: dict[str, str], *words: str) -> subprocess.Popen[str]:
    call = [sys.executable, "-m", "virtionet_ipsec", "ctl", server.path, *words]
    return subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True)


def listening(server: Served) -> None:
    """Wait until somebody listens."""
    while server.transparent.observer is None:
        pass


@pytest.mark.parametrize("as_json", [False, True])
def test_events_until_ctrl_c(server: Served, environment: dict[str, str], as_json: bool) -> None:
    with begun(server, environment, "events", *(["--json"] if as_json else [])) as process:
        assert process.stdout is not None
        listening(server)
        server.arrive(udp(src=PEER, dst=GUEST))
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (130, "")
    if as_json:
        told = json.loads(line)
        assert (told["event"], told["reason"], told["device"]) == ("PolicyDropped", "cleartext", "host")
    else:
        assert "host  PolicyDropped direction=inbound reason=cleartext detail=" in line


def test_every_event(server: Served, environment: dict[str, str]) -> None:
    with begun(server, environment, "events", "--every", "--json") as process:
        assert process.stdout is not None
        listening(server)
        server.send(udp())
        seen = []
        while "Protected" not in seen:
            seen.append(json.loads(process.stdout.readline())["event"])
        process.kill()
    assert "HeaderRead" in seen


def test_events_end_with_the_server(tmp_path: Path, environment: dict[str, str]) -> None:
    with served(tmp_path / "control") as made:
        process = begun(made, environment, "events")
        listening(made)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 2 and "the connection has ended" in error and error.count("\n") == 1


def test_counters_are_watched(server: Served, environment: dict[str, str]) -> None:
    with begun(server, environment, "counters", "--json", "--watch") as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        server.send(udp())
        for line in process.stdout:
            if json.loads(line)["guest"]["device"]["tx_sent"]:
                break
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
    assert first["guest"]["device"]["tx_sent"] == 0 and (process.returncode, error) == (130, "")
