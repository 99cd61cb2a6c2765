"""Makes specs/ipsec/known-answers.toml: the first packet that `ga` sent in each of the kernel's captures, and its key.

    python pcaps/known_answers.py            writes it there
    python pcaps/known_answers.py --to FILE  writes it to FILE

In tunnel mode the answer is the packet that the first host sent, in the other capture, with its TTL one lower; in
transport mode it is decrypted here.  Needs `cryptography` and nothing of the package.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from recipes.files import Linux
from recipes.packets import ETH, changed, sized, summed

HERE = Path(__file__).parent
FILE = HERE.parent / "specs" / "ipsec" / "known-answers.toml"

# What virtio has no room for: an integrity key of 64 octets (decision D09).
LEFT_OUT = frozenset({"cbc256-sha512-esn-tunnel-v4"})
HOSTS = tuple(bytes.fromhex(each) for each in ("c0a8010a", "fd010000000000000000000000000010"))
ESP, AH, UDP = 50, 51, 17

# The kernel's name: (parameter, name of the algorithm, octets of salt at the end of the key).
AEADS = {
    "rfc4106(gcm(aes))": ("aead", "aes-gcm", 4),
    "rfc4309(ccm(aes))": ("aead", "aes-ccm", 3),
    "rfc7539esp(chacha20,poly1305)": ("aead", "chacha20-poly1305", 4),
    "rfc4543(gcm(aes))": ("auth", "aes-gmac", 4),
}
CIPHERS = {
    "cbc(aes)": ("aes-cbc", 0),
    "cbc(des3_ede)": ("3des-cbc", 0),
    "rfc3686(ctr(aes))": ("aes-ctr", 4),
    "ecb(cipher_null)": ("null", 0),
}
AUTHS = {"hmac(sha1)": "hmac-sha1", "hmac(sha256)": "hmac-sha256"}
HEAD = """\
# Packets that Linux 6.1 sent through its SAs, and what they carry: known answers for a device.
#
# Made by pcaps/known_answers.py from pcaps/linux/, where these keys, which were never in use, and the captures are.
# `wire` and `plain` are IP packets; a key is as it is used, without the salt.
"""

Parameters = dict[str, str | int | bool]


def state(name: str) -> Parameters:
    """The parameters of the SA from `ga`, from what `ip xfrm state` printed."""
    text = (HERE / "linux" / f"{name}.xfrm").read_text(encoding="utf-8")
    (block,) = [part for part in re.split(r"^(?=src )", text, flags=re.MULTILINE) if "spi 0x00001" in part]
    protocol, spi, mode = re.findall(r"proto (\w+) spi (\w+) reqid 1 mode (\w+)", block)[0]
    found: Parameters = {"protocol": protocol, "mode": mode, "spi": int(spi, 16)}
    for kind, algorithm, key in re.findall(r"^\t(aead|enc|auth-trunc) (\S+) (?:0x)?(\w*)", block, re.MULTILINE):
        found |= algorithm_of(kind, algorithm, key)
    if "flag esn" in block:
        found["esn"] = True
    for ports in re.findall(r"espinudp sport (\d+) dport (\d+)", block):
        found["udp_sport"], found["udp_dport"] = map(int, ports)
    return found


def algorithm_of(kind: str, algorithm: str, key: str) -> Parameters:
    if kind == "auth-trunc":
        return {"auth": AUTHS[algorithm], "auth_key": key}
    if kind == "enc":
        (cipher, salted), parameter = CIPHERS[algorithm], "cipher"
    else:
        parameter, cipher, salted = AEADS[algorithm]
    cut = len(key) - 2 * salted
    found: Parameters = {parameter: cipher}
    if parameter == "auth":  # GMAC: what it does not encrypt is under the null cipher
        found = {"cipher": "null", **found, "auth_key": key[:cut]}
    elif key:
        found["cipher_key"] = key[:cut]
    return found | ({"salt": key[cut:]} if salted else {})


def forwarded(packet: bytes) -> bytes:
    """`packet` as `ga` forwarded it."""
    if packet[0] >> 4 == 4:
        return summed(changed(packet, 8, bytes((packet[8] - 1,))))
    return changed(packet, 7, bytes((packet[7] - 1,)))


def from_ga(linux: Linux, name: str, spi: int) -> tuple[int, bytes]:
    """The first packet with this SPI, and its number in the capture."""
    for number, frame in enumerate(linux(f"{name}.wire"), start=1):
        packet = frame.data[ETH:]
        size, protocol = (20, packet[9]) if packet[0] >> 4 == 4 else (40, packet[6])
        at = size + {ESP: 0, AH: 4, UDP: 8}[protocol]
        if int.from_bytes(packet[at : at + 4], "big") == spi:
            return number, packet
    raise ValueError(f"{name}: no packet has SPI {spi:#x}")


def from_host(linux: Linux, name: str) -> bytes:
    """The first packet that the first host sent."""
    packets = (frame.data[ETH:] for frame in linux(f"{name}.plain"))
    return next(packet for packet in packets if (packet[12:16] if packet[0] >> 4 == 4 else packet[8:24]) in HOSTS)


def opened(packet: bytes, sa: Parameters) -> bytes:
    """The packet inside one of transport mode; its header has no options and no extension headers."""
    size, at = (20, 9) if packet[0] >> 4 == 4 else (40, 6)
    header, body = packet[:size], packet[size:]
    if packet[at] == AH:
        return sized(changed(header, at, body[:1]) + body[(body[1] + 2) * 4 :])
    assert packet[at] == ESP
    key, salt = bytes.fromhex(str(sa["cipher_key"])), bytes.fromhex(str(sa.get("salt", "")))
    if sa.get("aead") == "aes-gcm":
        plain = AESGCM(key).decrypt(salt + body[8:16], body[16:], body[:8])
    else:
        assert (sa["cipher"], sa["auth"]) == ("aes-cbc", "hmac-sha1")
        decryptor = Cipher(algorithms.AES(key), modes.CBC(body[8:24])).decryptor()
        plain = decryptor.update(body[24:-12])
    return sized(changed(header, at, plain[-1:]) + plain[: -2 - plain[-2]])


def answers() -> Iterator[str]:
    """The file's tables."""
    linux = Linux(HERE)
    names = {path.name.removesuffix(".wire.pcap") for path in (HERE / "linux").glob("*.wire.pcap")}
    for name in sorted(names - LEFT_OUT):
        sa = state(name)
        number, wire = from_ga(linux, name, int(sa["spi"]))
        plain = forwarded(from_host(linux, name)) if sa["mode"] == "tunnel" else opened(wire, sa)
        rows = {"name": name, "source": f"pcaps/linux/{name}.wire.pcap, packet {number}", **sa}
        lines = [f"{key} = {value(each)}" for key, each in rows.items()]
        yield "\n".join(["[[answer]]", *lines, *octets("wire", wire), *octets("plain", plain)])


def value(each: str | int | bool) -> str:
    if isinstance(each, bool):
        return str(each).lower()
    return f'"{each}"' if isinstance(each, str) else f"{each:#x}" if each > 0xFFF and each != 4500 else str(each)


def octets(key: str, data: bytes) -> list[str]:
    """A string over several lines, 48 octets each."""
    lines = [data[at : at + 48].hex() for at in range(0, len(data), 48)]
    return [f'{key} = """\\', *(f"  {line} \\" for line in lines), '  """']


def main() -> None:
    parser = argparse.ArgumentParser(description="Make specs/ipsec/known-answers.toml.")
    parser.add_argument("--to", type=Path, default=FILE, metavar="FILE", help="where to (default: there)")
    target: Path = parser.parse_args().to
    target.write_text("\n\n".join([HEAD.rstrip(), *answers()]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
