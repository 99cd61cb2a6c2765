"""Wireshark's dissector as a witness: it decrypts what the engine sent and finds the ICVs good.

One capture holds every SA's packets, one run of tshark reads it.  tshark 4.0
reports every ICV with an extended sequence number as bad and does not know
AES-CCM, ChaCha20-Poly1305, AES-XCBC, AES-CMAC or GMAC: other witnesses cover
those.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from virtionet_ipsec.ipsec import Mode

from .builders import ALL, FAMILIES, NATT, ip, octets, outbound, udp

_ENCRYPTION = {
    "aes-cbc": "AES-CBC [RFC3602]",
    "aes-ctr": "AES-CTR [RFC3686]",
    "3des-cbc": "TripleDES-CBC [RFC2451]",
    "des-cbc": "DES-CBC [RFC2405]",
    "null": "NULL",
}
_AUTHENTICATION = {
    "hmac-md5": "HMAC-MD5-96 [RFC2403]",
    "hmac-sha1": "HMAC-SHA-1-96 [RFC2404]",
    "hmac-sha256": "HMAC-SHA-256-128 [RFC4868]",
    "hmac-sha384": "HMAC-SHA-384-192 [RFC4868]",
    "hmac-sha512": "HMAC-SHA-512-256 [RFC4868]",
}
NAMES = [
    "gcm128",
    "gcm192",
    "gcm256",
    "gcm128-icv8",
    "gcm256-icv12",
    "cbc128-sha1",
    "cbc192-sha384",
    "cbc256-sha512",
    "ctr128-sha256",
    "ctr192-md5",
    "ctr256-sha1",
    "3des-sha1",
    "des-md5",
    "null-sha256",
    "null-md5",
]
SIZES = (0, 1, 2, 3, 100, 1201)

# (algorithms, mode, inner family, outer family, UDP encapsulation), one SA each.
CASES = [(name, Mode.TUNNEL, 4, 4, False) for name in NAMES]
CASES += [("gcm128", Mode.TUNNEL, inner, outer, False) for inner, outer in FAMILIES[1:]]
CASES += [("cbc128-sha1", Mode.TRANSPORT, family, family, False) for family in (4, 6)]
CASES += [("gcm256", Mode.TUNNEL, 4, 4, True), ("ctr128-sha256", Mode.TRANSPORT, 4, 4, True)]


def _uat(name: str, spi: int, family: int) -> str:
    given = ALL[name]
    key = given["cipher_key"] + given["salt"]
    if "aead" in given:
        encryption, auth, auth_key = f"AES-GCM with {given['icv_len'] or 16} octet ICV [RFC4106]", "NULL", ""
    else:
        encryption, auth = _ENCRYPTION[given["cipher"]], _AUTHENTICATION[given["auth"]]
        auth_key = "0x" + given["auth_key"].hex()
    columns = (f"IPv{family}", "*", "*", hex(spi), encryption, "0x" + key.hex() if key else "", auth, auth_key)
    return "uat:esp_sa:" + ",".join(f'"{column}"' for column in columns)


def _payload(case: int, size: int) -> bytes:
    return octets(size, f"tshark {case}")


@pytest.fixture(scope="module")
def dissected(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[tuple[str, str, str]]]:
    """By SPI: (sequence number, esp.icv_good, UDP payload in hex) of each packet, in order."""
    tshark = shutil.which("tshark")
    if tshark is None:
        reason = "tshark is not installed (Debian package: tshark)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    capture: Path = tmp_path_factory.mktemp("tshark") / "esp.pcap"
    with capture.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))  # LINKTYPE_RAW
        for case, (name, mode, inner, outer, encapsulated) in enumerate(CASES):
            sa = outbound(name, mode, outer, spi=0x100 + case, udp=NATT if encapsulated else None)
            for size in SIZES:
                packet = sa.protect(ip(inner, udp(_payload(case, size), 7000, 7001)))
                file.write(struct.pack("<IIII", 0, 0, len(packet), len(packet)) + packet)
    command = [tshark, "-r", str(capture), "-o", "esp.enable_encryption_decode:TRUE"]
    command += [
        "-o",
        "esp.enable_authentication_check:TRUE",
        "-T",
        "fields",
        "-E",
        "separator=/t",
        "-E",
        "occurrence=l",
    ]
    for case, (name, _, _, outer, _) in enumerate(CASES):
        command += ["-o", _uat(name, 0x100 + case, outer)]
    for column in ("esp.spi", "esp.sequence", "esp.icv_good", "esp.icv_bad", "udp.payload"):
        command += ["-e", column]
    env = {**os.environ, "HOME": str(capture.parent)}
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, env=env)
    rows: dict[int, list[tuple[str, str, str]]] = {}
    for line in run.stdout.splitlines():
        spi, seq, good, bad, payload = line.split("\t")
        assert bad in ("", "0", "False"), line
        rows.setdefault(int(spi, 16), []).append((seq, good, payload))
    return rows


@pytest.mark.parametrize("case", range(len(CASES)), ids=["-".join(map(str, (c[0], c[1].value, *c[2:]))) for c in CASES])
def test_tshark_decrypts_and_verifies(case: int, dissected: dict[int, list[tuple[str, str, str]]]) -> None:
    rows = dissected[0x100 + case]
    assert [row[0] for row in rows] == [str(n + 1) for n in range(len(SIZES))]
    for (_, good, payload), size in zip(rows, SIZES, strict=True):
        assert good in ("1", "True")
        if size or not CASES[case][4]:  # the last UDP payload of an empty datagram in UDP is the outer one
            assert payload == _payload(case, size).hex()
