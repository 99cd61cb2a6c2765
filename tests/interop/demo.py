"""The headline demo: a Linux that knows nothing of IPsec, our device, the wire, and Linux's own IPsec at the far end.

python -m interop.demo FOLDER      with tests/ on the path; FOLDER gets the capture and the logs
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from virtionet_ipsec.control import ControlClient
from virtionet_ipsec.safile import dumps_esp_sa

from . import accounts, needs
from .associations import FAR_SPI, GCM, NEAR_SPI, Case
from .frames import ipsec, spi
from .lab import Lab

CASE = Case(1, GCM)
MEGABYTE = 1_000_000
PINGS = 3
PROGRAMS = (*needs.GUEST, "tshark")
PREFERENCES = ("esp.enable_encryption_decode:TRUE", "esp.enable_authentication_check:TRUE")

PICTURE = f"""
  near: Linux                virtionet-ipsec serve           far: Linux
  virtio_net                 AES-GCM, tunnel mode            ip xfrm state, policy
  {CASE.near!s:14} --------- {CASE.ends[0]} ========== {CASE.ends[1]} = {CASE.far}
             vhost-user, plain          the wire: ESP
"""


def say(text: str = "") -> None:
    print(text, flush=True)


def main(folder: Path) -> int:
    lacking = needs.missing(PROGRAMS)
    if lacking:
        print(f"demo-linux: {lacking}", file=sys.stderr)
        return 2
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    say("Two Linux kernels are booted as ordinary programs (User Mode Linux), and our device between them ...")
    with (
        TemporaryDirectory(prefix="virtionet-") as scratch,
        Lab(Path(scratch), cases=[CASE]) as lab,
        lab.backend.client() as client,
    ):
        say(PICTURE)
        traffic(lab)
        captured(lab, folder)
        counted(lab, client)
        damaged(lab, client)
        for name, text in lab.logs().items():
            (folder / name).write_text(text)
    say(f"{time.monotonic() - began:.0f} seconds; {folder}/ has wire.pcap, esp_sa for Wireshark, and the logs.")
    return 0


def ping(lab: Lab) -> str:
    said = lab.near.run(f"ping -n -q -c {PINGS} -i 0.1 -W 1 {CASE.far}").out
    return next(line for line in said.splitlines() if "transmitted" in line)


def traffic(lab: Lab) -> None:
    say(f"near# ping {CASE.far}")
    say(f"  {ping(lab)}")
    say("near# ip xfrm state")
    say(f"  {lab.near.do('ip xfrm state').strip() or '(nothing: the guest knows of no IPsec)'}")
    say("A megabyte each way over TCP, each octet compared:")
    lab.tcp(CASE.far, MEGABYTE, MEGABYTE)
    say("  every octet arrived")
    say()


def captured(lab: Lab, folder: Path) -> None:
    """The first packet on the wire, as anybody sees it, and as one with the keys does."""
    capture = folder / "wire.pcap"
    count = lab.wire.save(capture, lambda frame: ipsec(frame.data) is not None)
    table = dumps_esp_sa([CASE.inbound, CASE.outbound])[0]
    (folder / "esp_sa").write_text(table)
    rows = [word for line in table.splitlines() if line.startswith('"') for word in ("-o", f"uat:esp_sa:{line}")]
    decode = [word for preference in PREFERENCES for word in ("-o", preference)]
    say(f"The wire carried {count} ESP packets.  tshark of the first, without keys and with them:")
    for words in ([], [*decode, *rows]):
        command = [needs.found("tshark") or "tshark", "-n", "-r", str(capture), "-c", "1", *words]
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        say(f"  {' '.join(said.stdout.split())}")
    say()


def counted(lab: Lab, client: ControlClient) -> None:
    """Both sides' SAs."""
    here, there = accounts.ours(client), accounts.kernels(lab.far, CASE.number)
    say("Packets through each SA, as `virtionet-ipsec ctl` and `ip -s xfrm state` have them:")
    for name, number in (("near to far", NEAR_SPI + CASE.number), ("far to near", FAR_SPI + CASE.number)):
        say(f"  {name}, SPI {number:#010x}:  ours {here[number].packets:5}   Linux {there[number].packets:5}")
    say()


def damaged(lab: Lab, client: ControlClient) -> None:
    """Three things that go wrong, each in both directions."""

    def both(what: str, do: Callable[[], str | None]) -> None:
        here, there = accounts.security_errors(client), accounts.errors(lab.far)
        said = do()
        accounts.eventually(lambda: accounts.since(accounts.errors(lab.far), there), bool)
        ours = accounts.since(accounts.security_errors(client), here)
        theirs = accounts.since(accounts.errors(lab.far), there)
        say(what)
        if said:
            say(f"  {said}")
        say(f"  here, delivered with SECURITY_ERR: {named(ours)}")
        say(f"  there, in /proc/net/xfrm_stat:     {named(theirs)}")
        say()

    def pings() -> str:
        lab.far.run(f"ping -n -q -c {PINGS} -i 0.1 -W 1 {CASE.near}")
        return ping(lab)

    def replay() -> None:
        for number, receiver in ((FAR_SPI + CASE.number, "near"), (NEAR_SPI + CASE.number, "far")):
            latest = next(frame for frame in reversed(lab.wire.frames) if spi(frame.data) == number)
            lab.wire.inject(receiver, latest.data)

    def corrupt() -> str:
        lab.wire.alter = lambda sender, data: (data[:-1] + bytes((data[-1] ^ 1,)) if ipsec(data) else data,)
        said = pings()
        lab.wire.alter = None
        return said

    def wrong_key() -> str:
        lab.rekey(CASE, wrong=True, sent=100_000)
        return pings()

    both("The last packet of each side is sent once more:", replay)
    both("One bit of every packet is changed on the way:", corrupt)
    both("Linux is given another key:", wrong_key)
    lab.rekey(CASE, wrong=False, sent=200_000)
    say("And the right one again:")
    say(f"  {ping(lab)}")
    say()


def named(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "nothing"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
