"""The algorithm ids of the SA object, and what the engine calls them.

virtio 1.4, 5.9 Crypto Device: CIPHER, MAC and AEAD services give the ids.
HMAC-SHA-384 and -512 need keys of 48 and 64 octets, the object holds 32 (D09);
HMAC-SHA-224 has no use in IPsec.
"""

from __future__ import annotations

from ..wire.enums import AeadAlgo, CipherAlgo, MacAlgo

CIPHER_NAMES: dict[int, str] = {
    CipherAlgo.NO_CIPHER: "null",
    CipherAlgo.AES_CBC: "aes-cbc",
    CipherAlgo.AES_CTR: "aes-ctr",
    CipherAlgo.DES_CBC: "des-cbc",
    CipherAlgo.TDES_CBC: "3des-cbc",
}

MAC_NAMES: dict[int, str] = {
    MacAlgo.HMAC_MD5: "hmac-md5",
    MacAlgo.HMAC_SHA1: "hmac-sha1",
    MacAlgo.HMAC_SHA_256: "hmac-sha256",
    MacAlgo.CMAC_AES: "aes-cmac",
    MacAlgo.GMAC_AES: "aes-gmac",
    MacAlgo.XCBC_AES: "aes-xcbc",
}

AEAD_NAMES: dict[int, str] = {
    AeadAlgo.GCM: "aes-gcm",
    AeadAlgo.CCM: "aes-ccm",
    AeadAlgo.CHACHA20_POLY1305: "chacha20-poly1305",
}


def algorithm_mask(names: dict[int, str]) -> int:
    """A capability's mask with the bits of all these ids."""
    return sum(1 << algorithm for algorithm in names)
