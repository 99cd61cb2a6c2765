"""The far end: what ``ip`` is told there, so that the kernel's IPsec is the other half of our SAs.

The names are the kernel's (ip-xfrm(8), net/xfrm/xfrm_algo.c), written down
here once more, so that the package's tables are not their own witness.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from virtionet_ipsec.ipsec import Direction, Mode, SaParams

from .associations import NAT_T, Case

AEAD = {
    "aes-gcm": "rfc4106(gcm(aes))",
    "aes-ccm": "rfc4309(ccm(aes))",
    "chacha20-poly1305": "rfc7539esp(chacha20,poly1305)",
}
GMAC = "rfc4543(gcm(aes))"
ENC = {
    "null": "ecb(cipher_null)",
    "aes-cbc": "cbc(aes)",
    "aes-ctr": "rfc3686(ctr(aes))",
    "3des-cbc": "cbc(des3_ede)",
    "des-cbc": "cbc(des)",
}
AUTH = {  # and the ICV in bits: RFC 2403, 2404, 4868, 3566, 4494
    "hmac-md5": ("hmac(md5)", 96),
    "hmac-sha1": ("hmac(sha1)", 96),
    "hmac-sha256": ("hmac(sha256)", 128),
    "aes-xcbc": ("xcbc(aes)", 96),
    "aes-cmac": ("cmac(aes)", 96),
}


def algorithm(params: SaParams) -> str:
    key = "0x" + (params.cipher_key + params.salt).hex() if params.cipher_key or params.salt else '""'
    if params.aead is not None:
        return f"aead {AEAD[params.aead]} {key} {params.icv_length * 8}"
    if params.auth == "aes-gmac":
        return f"aead {GMAC} 0x{(params.auth_key + params.salt).hex()} 128"
    assert params.auth is not None
    name, bits = AUTH[params.auth]
    auth = f"auth-trunc {name} 0x{params.auth_key.hex()} {bits}"
    return auth if params.cipher is None else f"enc {ENC[params.cipher]} {key} {auth}"


def state(params: SaParams, case: Case) -> str:
    """``ip xfrm state add`` for what is our ``params``; our outbound SA is the kernel's inbound one."""
    near, far = case.ends
    to_far = params.direction is Direction.OUTBOUND
    source, destination = (near, far) if to_far else (far, near)
    flags = list(case.far_flags) + ["esn"] * params.esn + ["af-unspec"] * (params.mode is Mode.TUNNEL)
    words = [
        f"xfrm state add src {source} dst {destination}",
        f"proto {params.protocol.name.lower()} spi {params.spi:#x} reqid {case.number} mode {params.mode.value}",
        f"replay-window {128 if params.esn else 32}",
        *([f"flag {' '.join(flags)}"] if flags else []),
        algorithm(params),
    ]
    if case.sent:
        words.append(f"{'replay-seq' if to_far else 'replay-oseq'} {case.sent:#x}")
    if params.udp is not None:
        anywhere = "::" if source.version == 6 else "0.0.0.0"
        words.append(f"encap espinudp {params.udp.sport} {params.udp.dport} {anywhere}")
    return " ".join(words)


def without(case: Case) -> Iterator[str]:
    """``ip xfrm state delete`` for the SAs of ``case``."""
    near, far = case.ends
    for params, (source, destination) in ((case.outbound.params, (near, far)), (case.inbound.params, (far, near))):
        protocol = params.protocol.name.lower()
        yield f"xfrm state delete src {source} dst {destination} proto {protocol} spi {params.spi:#x}"


def policies(case: Case) -> Iterator[str]:
    """``ip xfrm policy add``, one each way.  What is not protected is refused."""
    near, far = case.ends
    protocol, mode = case.protocol.name.lower(), case.mode.value
    ways = (("in", (case.near, case.far), (near, far)), ("out", (case.far, case.near), (far, near)))
    for way, inner, outer in ways:
        template = f"tmpl src {outer[0]} dst {outer[1]} proto {protocol} reqid {case.number} mode {mode}"
        yield f"xfrm policy add src {inner[0]} dst {inner[1]} dir {way} priority 2 {template}"
    if case.udp and case.mode is Mode.TRANSPORT:
        # The datagrams around the ESP packets have the same addresses: key daemons exempt their socket from policies.
        ports = f"proto udp sport {NAT_T} dport {NAT_T}"
        yield f"xfrm policy add src {case.near} dst {case.far} {ports} dir in priority 1 action allow"


def xfrm(cases: Iterable[Case]) -> Iterator[str]:
    for case in cases:
        yield state(case.outbound.params, case)
        yield state(case.inbound.params, case)
        yield from policies(case)
