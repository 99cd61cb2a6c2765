"""Makes the captures in pcaps/interop/, anew each time: needs User Mode Linux.

    python -m interop.record FOLDER      with tests/ on the path; prints how many packets went which way

Our device with transparent IPsec on one side, the kernel's IPsec on the other.
Segmentation and checksum offload are off in the near guest, so that what it
sends is, packet for packet, what is inside the protected packets.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from virtionet_ipsec.ipsec import Direction
from virtionet_ipsec.safile import SaEntry, dumps_toml

from . import accounts
from .associations import CASES, FAR_SPI, NEAR_SPI, Case
from .frames import spi
from .lab import Lab
from .uml import HERE, PYTHON
from .wire import Frame, write_pcap

# What the captures of the kernel with itself, in pcaps/linux/, have not.
NAMES = {
    "gcm128-esn-crossing-tunnel-v4": "esp tunnel aes-gcm-128 ipv4 esn from-0xfffffff8",
    "gcm128-v4-in-v6": "esp tunnel aes-gcm-128 ipv4 in-ipv6",
    "gcm128-v6-in-v4": "esp tunnel aes-gcm-128 ipv6 in-ipv4",
    "gcm128-icv8-tunnel-v4": "esp tunnel aes-gcm-128-icv8 ipv4",
    "ccm192-tunnel-v4": "esp tunnel aes-ccm-192 ipv4",
    "cbc128-xcbc-tunnel-v4": "esp tunnel aes-cbc-128+aes-xcbc ipv4",
    "des-md5-tunnel-v4": "esp tunnel des-cbc+hmac-md5 ipv4",
    "cbc128-udpencap-transport-v4": "esp transport aes-cbc-128+hmac-sha256 ipv4 udp",
    "gcm128-udpencap-tunnel-v6": "esp tunnel aes-gcm-128 ipv6 udp",
    "ah-cmac-tunnel-v4": "ah tunnel aes-cmac ipv4 align4",
    "ah-sha256-esn-tunnel-v4": "ah tunnel hmac-sha256 ipv4 esn align4",
}
PLAIN = "/run/plain"


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    by_name = {case.name: case for case in CASES}
    with TemporaryDirectory(prefix="virtionet-") as scratch, Lab(Path(scratch), cases=CASES) as lab:
        lab.near.do("ethtool -K eth0 tx off tso off gso off gro off")
        for name, case in NAMES.items():
            record(lab, folder, name, by_name[case])
        assert accounts.errors(lab.far) == {}


def record(lab: Lab, folder: Path, name: str, case: Case) -> None:
    """Pings, a small TCP transfer both ways, and a few datagrams."""
    state = lab.far.do(f"ip xfrm state list reqid {case.number}")
    if case.sent:  # the kernel's text does not say which number is expected first
        received = replace(case.outbound.params, direction=Direction.INBOUND)
        both = [SaEntry(1, case.inbound.params), SaEntry(2, received)]
        (folder / f"{name}.inbound.toml").write_text(dumps_toml(both)[0])
    else:
        (folder / f"{name}.xfrm").write_text(state)
    (folder / f"{name}.toml").write_text(dumps_toml([case.outbound, case.inbound])[0])
    lab.wire.forget()
    lab.near.do(f"{PYTHON} -I -S {HERE / 'guest' / 'sniff.py'} eth0 all >{PLAIN} 2>&1 & echo $! > {PLAIN}.pid")
    lab.near.do(f"while ! grep -q listening {PLAIN}; do sleep 0.05; done")
    lab.ping(case.far, count=2)
    lab.tcp(case.far, 2500, 2500)
    lab.udp(case.far, (0, 1, 2, 500))
    time.sleep(0.3)  # the last acknowledgement
    lab.near.do(f"kill $(cat {PLAIN}.pid)")
    inside = [bytes.fromhex(line) for line in lab.near.do(f"cat {PLAIN}").split()[1:]]
    ends = case.near.packed, case.far.packed
    plain = [frame for frame in inside if all(end in frame[14:54] for end in ends)]
    wire = [frame for frame in lab.wire.frames if spi(frame.data) in (NEAR_SPI + case.number, FAR_SPI + case.number)]
    write_pcap(folder / f"{name}.wire.pcap", wire)
    write_pcap(folder / f"{name}.plain.pcap", [Frame(wire[0].at, "", frame) for frame in plain])
    sent = sum(frame.sender == "near" for frame in wire)
    assert len(plain) == len(wire)
    print(f"{name}: {sent} sent, {len(wire) - sent} received", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
