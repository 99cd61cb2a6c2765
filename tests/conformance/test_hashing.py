"""The checks' own hash is Microsoft's: the results that "Verifying the RSS hash calculation" lists."""

from __future__ import annotations

import pytest

from virtionet_ipsec.conformance.driving.frames import TCP
from virtionet_ipsec.conformance.driving.hashing import ENDS, KEY, packets, toeplitz

RESULTS = (  # of the addresses, and of addresses and ports
    (0x323E8FC2, 0x51CCC178),
    (0xD718262A, 0xC626B0EA),
    (0xD2D0A5DE, 0x5C2B394A),
    (0x82989176, 0xAFC7327F),
    (0x5D1809C5, 0x10E828A2),
    (0x2CC18CD5, 0x40207D3D),
    (0x0F0C461C, 0xDDE51BBF),
    (0x4B61E985, 0x02D1FEEF),
)
PACKETS = (*packets(TCP, 4), *packets(TCP, 6))


@pytest.mark.parametrize(("number", "results"), list(enumerate(RESULTS)), ids=[source for source, *_ in ENDS])
def test_published(number: int, results: tuple[int, int]) -> None:
    packet = PACKETS[number]
    assert toeplitz(KEY, packet.addresses) == results[0]
    assert toeplitz(KEY, packet.addresses + packet.ports) == results[1]
