"""Transparent IPsec against the kernel's: every algorithm, mode and option that both sides have.

The near guest knows nothing of IPsec.  All SAs are there at once, in one
device and one kernel; each case has addresses of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from virtionet_ipsec.control import ControlClient

from . import accounts, needs
from .associations import CASES, FAR_SPI, NEAR_SPI, Case
from .frames import AH, ESP, UDP, is_discovery, protocol, sequence_number, spi
from .lab import Lab

needs.require(*needs.GUEST)

SIZES = (0, 1, 2, 3, 100, 1000, 1200)
MANY = 3_000_000
BY_NAME = {case.name: case for case in CASES}
FAST = ["esp tunnel aes-gcm-128 ipv4", "esp transport aes-cbc-128+hmac-sha256 ipv6", "esp tunnel aes-gcm-128 ipv4 udp"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("ipsec"), cases=CASES) as lab:
        yield lab


@pytest.fixture(scope="module")
def client(lab: Lab) -> Iterator[ControlClient]:
    with lab.backend.client() as client:
        yield client


@pytest.fixture(params=BY_NAME)
def case(request: pytest.FixtureRequest) -> Case:
    return BY_NAME[request.param]


def test_every_algorithm_of_both_is_there() -> None:
    """What the model has and the kernel has not: AES-GMAC in AH; and keys of more than 32 octets (D09)."""
    from virtionet_ipsec.device.algorithm_ids import AEAD_NAMES, CIPHER_NAMES, MAC_NAMES

    params = [case.outbound.params for case in CASES]
    assert {each.aead for each in params if each.aead} == set(AEAD_NAMES.values())
    assert {each.cipher for each in params if each.cipher} == set(CIPHER_NAMES.values())
    in_esp = {each.auth for each in params if each.auth and each.cipher}
    in_ah = {each.auth for each in params if each.auth and not each.cipher}
    assert in_esp == set(MAC_NAMES.values())
    assert in_ah == set(MAC_NAMES.values()) - {"aes-gmac"}


def test_traffic(lab: Lab, client: ControlClient, case: Case) -> None:
    """Ping, TCP and UDP both ways; the wire carries nothing in the clear; both sides count the same; no errors."""
    there, here = accounts.errors(lab.far), accounts.dropped(client)
    lab.wire.forget()
    lab.all_kinds(case.far, 100_000, SIZES)

    expected = (UDP if case.udp else case.protocol.value, NEAR_SPI + case.number, FAR_SPI + case.number)
    for frame in lab.wire.frames:
        if not is_discovery(frame.data):
            assert (protocol(frame.data), spi(frame.data)) == (expected[0], expected[1 + (frame.sender == "far")])
    assert_counted(lab, client, case)
    assert accounts.since(accounts.errors(lab.far), there) == {}
    assert accounts.since(accounts.dropped(client), here) == {}


def assert_counted(lab: Lab, client: ControlClient, case: Case) -> None:
    """Each SA has let the same packets pass on both sides, and refused none."""
    spis = NEAR_SPI + case.number, FAR_SPI + case.number

    def both() -> list[tuple[accounts.Sa, ...]]:
        here, there = accounts.ours(client), accounts.kernels(lab.far, case.number)
        return [(here[spi], there[spi]) for spi in spis]

    for ours, kernels in accounts.eventually(both, lambda found: all(one == other for one, other in found)):
        assert ours == kernels
        assert ours.packets > 30 and ours.refused == 0


def test_fragments(lab: Lab, client: ControlClient) -> None:
    """What the guest sends in fragments arrives, each in a packet of its own.

    The kernel answers with a protected packet in fragments, which the model
    does not put together: they are refused, every one.
    """
    case = BY_NAME["esp tunnel aes-gcm-128 ipv4"]
    here, echoes = accounts.dropped(client), echo_requests(lab)
    lab.near.run(f"ping -c 1 -W 1 -s 3000 {case.far}")
    assert echo_requests(lab) == echoes + 1
    assert accounts.since(accounts.dropped(client), here) == {"fragment": 3}


def echo_requests(lab: Lab) -> int:
    return int(lab.far.do("nstat -azs IcmpInEchos | awk '/IcmpInEchos/ {print $2}'"))


@pytest.mark.parametrize("name", FAST)
def test_many_octets(lab: Lab, name: str) -> None:
    """Megabytes both ways, segmented by the device; every packet has the next sequence number, each way."""
    case = BY_NAME[name]
    lab.wire.forget()
    lab.tcp(case.far, MANY, MANY)
    lab.tcp(case.far, MANY // 8, MANY // 8, streams=4)
    lab.udp(case.far, [1200] * 500)
    protected = {"near": [], "far": []}  # type: dict[str, list[int]]
    for frame in lab.wire.frames:
        if protocol(frame.data) in (ESP, AH, UDP):
            protected[frame.sender].append(sequence_number(frame.data))
            assert len(frame.data) <= 1514
    for numbers in protected.values():
        assert len(numbers) > 2 * MANY / 1500
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
