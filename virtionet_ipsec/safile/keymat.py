"""Keys that carry a salt behind them, as the Linux kernel and Wireshark write them."""

from __future__ import annotations

from ..ipsec.algorithms import Aead, Cipher, Integrity


def split_salt(algorithm: Aead | Cipher | Integrity, material: bytes) -> tuple[bytes, bytes]:
    """Key and salt from ``material``, which is one behind the other.

    Raises ValueError, whose message continues "the key ...", when no key length
    of the algorithm fits.
    """
    salt = algorithm.salt_length
    lengths = [length + salt for length in algorithm.key_lengths]
    if len(material) not in lengths:
        sizes = " or ".join(str(length) for length in lengths)
        salted = f", {salt} of them salt" if salt else ""
        raise ValueError(f"has {len(material)} octets; {algorithm.name} takes {sizes}{salted}")
    cut = len(material) - salt
    return material[:cut], material[cut:]
