"""A laboratory: a guest on our device ("near"), a far end that is Linux and nothing else, and the wire between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Self

from virtionet_ipsec.ipsec import Direction
from virtionet_ipsec.safile import dumps_toml

from . import far
from .associations import NAT_T, OUTER_NEAR, Case, entries, octets
from .backend import Backend
from .frames import PROTOCOL, ethernet
from .uml import HERE, PYTHON, Guest
from .wire import Wire, cable

PORT = 5000
NEAR, FAR = "10.0.0.1", "10.0.0.2"
NEAR6, FAR6 = "fd00::1", "fd00::2"
DEVICE = {"near": "eth0", "far": "vec0"}


def link(guest: Guest) -> None:
    """Bring the guest's link up.

    Received packets are taken by a thread: on its interrupt stack, User Mode
    Linux does not survive the depth of TCP in IPsec for long.
    """
    device, end = DEVICE[guest.name], {"near": 1, "far": 2}[guest.name]
    up = (f"link set {device} addrgenmode none", f"link set {device} up")
    version6 = (f"addr add {prefix}::{end}/64 dev {device} nodad" for prefix in ("fd00", "fe80"))
    guest.ip([*up, f"addr add 10.0.0.{end}/24 dev {device}", *version6])
    guest.do(f"echo 1 > /sys/class/net/{device}/threaded")


def addresses(end: str, cases: Iterable[Case]) -> Iterator[str]:
    """The cases' addresses at one end, and the way to the others."""
    device, near = DEVICE[end], end == "near"
    for case in cases:
        own, other = (case.near, case.far) if near else (case.far, case.near)
        length, there = own.max_prefixlen, 2 if near else 1
        gateway = f"10.0.0.{there}" if own.version == 4 else f"fe80::{there}"
        yield f"addr add {own}/{length} dev {device}" + " nodad" * (own.version == 6)
        yield f"route add {other}/{length} via {gateway} dev {device} src {own}"


def outer_neighbours(near_mac: str) -> Iterator[str]:
    """Nobody answers for the outer addresses of the near end: they are the device's, which has no IP stack."""
    for address in OUTER_NEAR.values():
        yield f"neigh replace {address} lladdr {near_mac} dev {DEVICE['far']} nud permanent"


def waiting(command: str) -> str:
    """A script that waits until ``command`` succeeds, ten seconds at most."""
    return f"for i in $(seq 200); do {command} && exit 0; sleep 0.05; done; exit 1"


def write_sas(folder: Path, cases: Iterable[Case]) -> Path:
    """Our side's SA file."""
    path = folder / "sas.toml"
    text, warnings = dumps_toml(entries(cases))
    assert not warnings
    path.write_text(text)
    return path


class Lab:
    """The near guest on a backend with ``options``, the far one, and the wire; up when the constructor returns.

    The near guest has a second virtio-net device that nobody serves: ``spare``
    is its socket.  It is bound later, in place of the first.
    """

    def __init__(self, folder: Path, *options: str, cases: Sequence[Case] = ()) -> None:
        self.folder = folder
        self._marks = 0
        self._stack = ExitStack()
        try:
            self.wire = Wire()
            self._stack.callback(self.wire.close)
            end, theirs = cable()
            self.wire.plug("far", end)
            self.far = self._stack.enter_context(Guest("far", folder, links=[theirs]))
            theirs.close()
            if cases:
                options = (*options, "--sa", str(write_sas(folder, cases)))
            self.backend = Backend(folder, self.wire, *options)
            self._stack.callback(lambda: self.backend.kill())
            self.spare = folder / "spare.sock"
            self.near = self._stack.enter_context(Guest("near", folder, devices=[self.near_socket(folder), self.spare]))
            for guest in (self.far, self.near):
                link(guest)
            if cases:
                self._associate(cases)
            self.far.serve_traffic(PORT)
        except BaseException:
            self.close()
            raise

    def near_socket(self, folder: Path) -> Path:
        """Where the near guest finds its device."""
        return self.backend.socket

    def _associate(self, cases: Sequence[Case]) -> None:
        """Addresses on both sides, and the kernel's half of the SAs on the far one.  The near guest knows nothing."""
        self.near.ip(addresses("near", cases))
        # All modules are there; the kernel would ask for some again for each of its SAs.
        self.far.do("echo > /proc/sys/kernel/modprobe")
        self.far.ip([*addresses("far", cases), *outer_neighbours(self.near_mac), *far.xfrm(cases)])
        if any(case.udp for case in cases):
            self.far.do(f"{PYTHON} -I -S {HERE / 'guest' / 'encapsulation.py'} {NAT_T} >/run/encapsulation.log 2>&1 &")

    def rekey(self, case: Case, *, wrong: bool, sent: int) -> None:
        """Give the kernel the keys of ``case`` anew, or wrong ones.  It goes on behind number ``sent``: not too old."""
        self.far.ip(far.without(case))
        for params in (case.outbound.params, case.inbound.params):
            if wrong:
                keys = (octets("wrong", "key", len(key)) for key in (params.cipher_key, params.auth_key))
                params = replace(params, cipher_key=next(keys), auth_key=next(keys))
            to_near = params.direction is Direction.INBOUND
            self.far.ip([far.state(params, replace(case, sent=sent if to_near else 0))])

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def near_mac(self) -> str:
        return self.near.do("cat /sys/class/net/eth0/address").strip()

    def logs(self) -> dict[str, str]:
        """What everybody has said, by name."""
        logs = [self.near.log, self.far.log, self.backend.log]
        return {log.name: log.read_text(errors="replace") for log in logs}

    def received(self, frame: bytes) -> bool:
        """Whether the near guest gets ``frame``, of the experimental EtherType.

        Another one follows, which it does get, so that no time need be waited for.
        """
        output = "/run/sniffed"
        if not self._marks:
            sniffer = f"{PYTHON} -I -S {HERE / 'guest' / 'sniff.py'} eth0 {PROTOCOL:04x}"
            self.near.do(f"{sniffer} >{output} 2>&1 & {waiting(f'grep -q listening {output}')}")
        self._marks += 1
        mark = ethernet(self.near_mac, payload=b"mark %d" % self._marks)
        before = self.near.do(f"cat {output}").split()
        for each in (frame, mark):
            self.wire.inject("near", each)
        lines = self.near.do(f"({waiting(f'grep -q {mark.hex()} {output}')}) && cat {output}").split()
        return frame.hex() in lines[len(before) :]

    # -- traffic from the near guest -----------------------------------------------------------------------------------

    def ping(self, address: object = FAR, count: int = 3, size: int = 56) -> None:
        """Every echo comes."""
        assert self.near.traffic("ping", address, 0, *[size] * count) == []

    def all_kinds(self, address: object, octets: int, sizes: Iterable[int]) -> None:
        """TCP with ``octets`` each way, echo requests and datagrams of ``sizes``; in one go, for it is done often."""
        assert self.near.traffic("all", address, PORT, octets, *sizes) == []

    def tcp(self, address: object = FAR, up: int = 100_000, down: int = 100_000, streams: int = 1) -> None:
        """Every octet comes, both ways, on each connection."""
        assert self.near.traffic("tcp", address, PORT, up, down, streams, timeout=120) == []

    def udp(self, address: object = FAR, sizes: Iterable[int] = (0, 1, 100, 1200)) -> None:
        """Every datagram comes back."""
        assert self.near.traffic("udp", address, PORT, *sizes, timeout=120) == []
