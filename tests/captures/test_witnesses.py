"""What the outbound replays put on the wire, decrypted by scapy and by tshark.

The digests in the manifest say that the bytes stay the same; that they are
right is said here by two implementations that share nothing with the model.
Each gives back what was inside a packet, which has to be what the driver sent.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections import Counter
from functools import cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import AH, ESP, SecurityAssociation

from virtionet_ipsec.ipsec import Protocol, SaParams
from virtionet_ipsec.replay.capture import open_capture
from virtionet_ipsec.replay.linktypes import ETHERNET
from virtionet_ipsec.replay.session import Options, Session
from virtionet_ipsec.safile import SaEntry, Select, dumps_esp_sa, load_all

from .corpus import PCAPS, addresses, forwarded, manifest

OUTBOUND = {entry["name"]: entry for entry in manifest()["replay"] if "sha256" in entry and "profile" not in entry}


class Sent(NamedTuple):
    """A protected packet, its SA, and the packet that has to be inside: what the driver sent, as it was forwarded."""

    wire: bytes
    params: SaParams
    inner: bytes
    seq: int


@cache
def sent_by(name: str) -> tuple[Sent, ...]:
    entry = OUTBOUND[name]
    direction = entry.get("direction", "auto")
    files = [PCAPS / file for file in entry["sa"]]
    entries = load_all(files, direction, local_addresses=entry.get("local", ()))
    session = Session(entries, Options(direction, seed=entry["seed"], mtu=entry.get("mtu", 65535)))
    outbound = {each.id: each.params for each in entries if each.params.direction.value == "outbound"}
    counts: Counter[int] = Counter()
    sent = []
    with open_capture(PCAPS / entry["capture"]) as capture:
        for packet in capture:
            outcome = session.process(packet.data, packet.linktype)
            if outcome.direction == "outbound" and outcome.data and outcome.resource_type:
                params = outbound[outcome.resource_id]
                plain, wire = (ip_packet(data, packet.linktype) for data in (packet.data, outcome.data))
                inner = forwarded(plain) if params.dec_ttl else plain
                sent.append(Sent(wire, params, inner, params.first_seq + counts[outcome.resource_id]))
                counts[outcome.resource_id] += 1
    return tuple(sent)


def ip_packet(data: bytes, linktype: int) -> bytes:
    """The IP packet in a frame with up to two VLAN tags, without Ethernet padding."""
    if linktype == ETHERNET:
        at = 12
        while data[at : at + 2] in (b"\x81\x00", b"\x88\xa8"):
            at += 4
        data = data[at + 2 :]
    length = int.from_bytes(data[2:4], "big") if data[0] >> 4 == 4 else 40 + int.from_bytes(data[4:6], "big")
    return data[:length]


# --- scapy --------------------------------------------------------------------------------------------------------

_CRYPT = {
    "aes-gcm": "AES-GCM",
    "aes-ccm": "AES-CCM",
    "chacha20-poly1305": "CHACHA20-POLY1305",
    "aes-cbc": "AES-CBC",
    "aes-ctr": "AES-CTR",
    "3des-cbc": "3DES",
    "des-cbc": "DES",
    "null": "NULL",
}
_AUTH = {
    "hmac-md5": "HMAC-MD5-96",
    "hmac-sha1": "HMAC-SHA1-96",
    "hmac-sha256": "SHA2-256-128",
    "aes-cmac": "AES-CMAC-96",
}


def scapy_sa(params: SaParams, seq: int) -> Any:
    """scapy's SA; None for what it has not: AES-XCBC, and AES-GMAC in AH."""
    more: dict[str, Any] = {}
    if params.auth == "aes-gmac" and params.protocol is Protocol.ESP:
        more = {"crypt_algo": "AES-NULL-GMAC", "crypt_key": params.auth_key + params.salt}
    elif params.auth is not None and params.auth not in _AUTH:
        return None
    else:
        if (encryption := params.aead or params.cipher) is not None:
            more = {"crypt_algo": _CRYPT[encryption], "crypt_key": params.cipher_key + params.salt or None}
            more |= {"crypt_icv_size": params.icv_len} if params.icv_len else {}
        if params.auth is not None:
            more |= {"auth_algo": _AUTH[params.auth], "auth_key": params.auth_key}
    if params.tunnel is not None:
        source, destination = (str(ip_address(end)) for end in (params.tunnel.src, params.tunnel.dst))
        more["tunnel_header"] = (IP if len(params.tunnel.src) == 4 else IPv6)(src=source, dst=destination)
    if params.udp is not None:
        more["nat_t_header"] = UDP(sport=params.udp.sport, dport=params.udp.dport)
    make: Any = SecurityAssociation
    proto = ESP if params.protocol is Protocol.ESP else AH
    return make(proto, spi=params.spi, esn_en=params.esn, esn=seq >> 32, **more)


def parsed(packet: bytes) -> Any:
    return (IP if packet[0] >> 4 == 4 else IPv6)(packet)


def with_esp(wire: bytes, params: SaParams) -> Any:
    """``wire`` with its ESP layer; scapy itself looks for it behind UDP port 4500 alone."""
    packet = parsed(wire)
    if params.udp is not None and ESP not in packet:
        packet[UDP].remove_payload()
        packet = packet / ESP(wire[len(packet) :])
    return packet


@pytest.mark.parametrize("name", OUTBOUND)
def test_scapy_finds_the_packet_inside(name: str) -> None:
    """scapy verifies each ICV (it raises when one is bad), and gives back the packet, to the octet."""
    known = [(each, sa) for each in sent_by(name) if (sa := scapy_sa(each.params, each.seq)) is not None]
    for sent, sa in known:
        assert bytes(sa.decrypt(with_esp(sent.wire, sent.params))).hex() == sent.inner.hex()
    unknown = Counter(each.params.auth for each in sent_by(name)) & Counter(NOT_IN_SCAPY.get(name))
    assert len(known) + unknown.total() == len(sent_by(name)) > 0


# How many packets of a replay went through what scapy has not.
NOT_IN_SCAPY = {"policies, IPv4": {"aes-xcbc": 6}, "aes-gmac, IPv6": {"aes-gmac": 56}}


# --- tshark -------------------------------------------------------------------------------------------------------

_FIELDS = ("esp.spi", "esp.sequence", "esp.icv_good", "esp.icv_bad", "esp.protocol", "esp.contained_data")

# What tshark 4.0 does not know, and extended sequence numbers, with which it finds every ICV bad.
_NOT_IN_TSHARK = {"aes-ccm", "chacha20-poly1305", "aes-xcbc", "aes-cmac", "aes-gmac"}


IN_TSHARK = {
    "aes-gcm",
    "aes-cbc+hmac-sha1",
    "aes-cbc+hmac-sha256",
    "aes-ctr+hmac-sha1",
    "3des-cbc+hmac-sha1",
    "des-cbc+hmac-md5",
    "null+hmac-sha256",
}


def tshark_knows(params: SaParams) -> bool:
    return params.protocol is Protocol.ESP and not params.esn and not {params.aead, params.auth} & _NOT_IN_TSHARK


def tshark() -> str:
    """tshark's path.  Skips where it is not installed, but not where CI says that everything is."""
    path = shutil.which("tshark")
    if path is None:
        reason = "tshark is not installed (Debian package: tshark)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def test_tshark_finds_the_packets_inside(tmp_path: Path) -> None:
    """Every ICV is good, and what was encrypted is the packet, or in transport mode what followed its header."""
    program = tshark()
    sent = [each for name in OUTBOUND for each in sent_by(name) if tshark_knows(each.params)]
    assert len(sent) > 700 and {each.params.algorithm_name for each in sent} == IN_TSHARK
    capture = tmp_path / "sent.pcap"
    with capture.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, 101))
        for each in sent:
            file.write(struct.pack("<IIII", 0, 0, len(each.wire), len(each.wire)) + each.wire)
    (tmp_path / "esp_sa").write_text(table(sent))
    preferences = ("esp.enable_encryption_decode:TRUE", "esp.enable_authentication_check:TRUE")
    command = [program, "-r", str(capture), "-T", "fields", *(word for field in _FIELDS for word in ("-e", field))]
    command += [*(word for preference in preferences for word in ("-o", preference)), "-d", "udp.port==4501,udpencap"]
    environment = {**os.environ, "WIRESHARK_CONFIG_DIR": str(tmp_path)}
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, env=environment)
    found = [line.split("\t") for line in run.stdout.splitlines()]
    for each, row in zip(sent, found, strict=True):
        next_header, content = inside(each)
        good = [f"{each.params.spi:#010x}", str(each.seq), "1", "0", f"{next_header:#04x}"]
        assert [*good, content.hex()] == row


def table(sent: list[Sent]) -> str:
    """Wireshark's table, by the package; with a key that it wrote wrongly, no ICV would be good."""
    entries = {}
    for number, each in enumerate(sent, 1):
        select = Select(*(ip_network(end) for end in addresses(each.wire)))
        entries.setdefault(each.params.spi, SaEntry(number, each.params, select))
    return dumps_esp_sa(list(entries.values()))[0]


def inside(sent: Sent) -> tuple[int, bytes]:
    """Next header and payload of the ESP packet."""
    if sent.params.tunnel is not None:
        return 4 if sent.inner[0] >> 4 == 4 else 41, sent.inner
    offset = sent.wire.index(struct.pack("!II", sent.params.spi, sent.seq))
    if sent.inner[0] >> 4 == 4:
        return sent.inner[9], sent.inner[offset:]
    # The Next Header octet that named what is now inside ESP: the fixed header's, or that of the last in front.
    named_at = 6 if offset == 40 else next(at for at in EXTENSIONS_OF_HEADERS_PCAP[offset] if sent.wire[at] == 50)
    return sent.inner[named_at], sent.inner[offset:]


# Where extension headers start in outbound/headers.pcap, by where ESP starts behind them.
EXTENSIONS_OF_HEADERS_PCAP = {48: (40,), 72: (48,)}
