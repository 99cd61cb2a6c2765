"""Data requests for the crypto device's IPsec service (virtio 1.4, 5.9.9.3 and 5.9.9.9.3).

A request is :data:`CryptoOpDataReq` and ``src_data`` in its device-readable
part, then ``dst_data`` and :data:`CryptoInhdr` in its device-writable part.
Both data arrays are plain octets, as long as the request says, and not declared
here: 32 bits of length from the other side are nothing to allocate by.
"""

from __future__ import annotations

from construct import Struct

from .fields import le32, le64, u8

CRYPTO_FLAG_SESSION_MODE = 1
"""VIRTIO_CRYPTO_FLAG_SESSION_MODE, of ``flag``: the IPsec service has no stateless mode."""

CryptoOpHeader = Struct(
    "opcode" / le32,
    "algo" / le32,
    "session_id" / le64,
    "flag" / le32,
    "padding" / le32,
)
"""struct virtio_crypto_op_header, 24 octets.

For the IPsec service ``algo`` is ignored and ``session_id`` is the id of the SA
object, outbound or inbound as the opcode.
"""

CryptoIpsecDataFlf = Struct(
    "src_data_len" / le32,
    "dst_data_len" / le32,
)
"""struct virtio_crypto_ipsec_data_flf: the lengths of both data arrays, in octets."""

CryptoOpDataReq = Struct(
    "header" / CryptoOpHeader,
    "op_flf" / CryptoIpsecDataFlf,
)
"""struct virtio_crypto_op_data_req up to ``op_vlf``, for the IPsec service: 32 octets."""

CryptoInhdr = Struct(
    "status" / u8,
)
"""struct virtio_crypto_inhdr, the last octet of the device-writable part."""
