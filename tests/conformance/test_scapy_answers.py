"""Known answers with algorithms that no capture of the kernel has: scapy makes the same packets, and opens them."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from scapy.layers.inet import IP
from scapy.layers.ipsec import AH, ESP, SecurityAssociation

from virtionet_ipsec.conformance.driving.known_answers import SCAPY_FILE

ANSWERS: dict[str, dict[str, Any]] = {row["name"]: row for row in tomllib.loads(SCAPY_FILE.read_text())["answer"]}
AUTH = {"aes-cmac": "AES-CMAC-96", "hmac-md5": "HMAC-MD5-96"}


def scapys(row: dict[str, Any]) -> Any:
    """scapy's SA of a row, about to send its first packet."""
    make: Any = SecurityAssociation
    encryption = {"crypt_algo": "NULL", "crypt_key": b""} if row["protocol"] == "esp" else {}
    return make(
        {"esp": ESP, "ah": AH}[row["protocol"]],
        spi=row["spi"],
        seq_num=1,
        auth_algo=AUTH[row["auth"]],
        auth_key=bytes.fromhex(row["auth_key"]),
        tunnel_header=IP(src="192.0.2.2", dst="192.0.2.1", id=0x5151),
        **encryption,
    )


@pytest.mark.parametrize("name", ANSWERS)
def test_scapy_makes_the_packet(name: str) -> None:
    row = ANSWERS[name]
    wire, plain = bytes.fromhex(row["wire"]), bytes.fromhex(row["plain"])
    assert bytes(scapys(row).encrypt(IP(plain))) == wire


@pytest.mark.parametrize("name", ANSWERS)
def test_scapy_opens_the_packet(name: str) -> None:
    row = ANSWERS[name]
    wire, plain = bytes.fromhex(row["wire"]), bytes.fromhex(row["plain"])
    assert bytes(scapys(row).decrypt(IP(wire))) == plain
