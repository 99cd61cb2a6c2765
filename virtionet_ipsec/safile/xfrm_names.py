"""The Linux kernel's names of algorithms (net/xfrm/xfrm_algo.c)."""

from __future__ import annotations

AEADS: dict[str, str] = {
    "rfc4106(gcm(aes))": "aes-gcm",
    "rfc4309(ccm(aes))": "aes-ccm",
    "rfc7539esp(chacha20,poly1305)": "chacha20-poly1305",
}

# An AEAD to the kernel, though it encrypts nothing: cipher null with auth aes-gmac (RFC 4543).
GMAC = "rfc4543(gcm(aes))"

CIPHERS: dict[str, str] = {
    "ecb(cipher_null)": "null",
    "cbc(aes)": "aes-cbc",
    "rfc3686(ctr(aes))": "aes-ctr",
    "cbc(des3_ede)": "3des-cbc",
    "cbc(des)": "des-cbc",
}

AUTHS: dict[str, str] = {
    "hmac(md5)": "hmac-md5",
    "hmac(sha1)": "hmac-sha1",
    "hmac(sha256)": "hmac-sha256",
    "hmac(sha384)": "hmac-sha384",
    "hmac(sha512)": "hmac-sha512",
    "xcbc(aes)": "aes-xcbc",
    "cmac(aes)": "aes-cmac",
}

# Without a length, the kernel takes RFC 4868's but for this one, which it cuts at the draft's 96 bits.
UNTRUNCATED_BITS: dict[str, int] = {"hmac-sha256": 96}
