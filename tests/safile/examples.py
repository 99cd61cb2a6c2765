"""SA files of the project's own that several tests use."""

from __future__ import annotations

EVERYTHING = """\
# An outbound SA with every key.
[[sa]]
id = 7
direction = "outbound"
mode = "esp-tunnel"
spi = "0x1001"
cipher = "aes-ctr"
auth = "hmac-sha256"
cipher_key = "0x00010203 04050607 08090a0b 0c0d0e0f"
auth_key = "00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:10:11:12:13:14:15:16:17:18:19:1a:1b:1c:1d:1e:1f"
salt = "DEADBEEF"
esn = true
replay_window = 64
udp = {sport = 4500, dport = 4501}
tunnel = {src = "192.0.2.1", dst = "192.0.2.2", dscp = 46, df = "set", ttl = 32, flow_label = 7}
options = ["copy-dscp", "dec-ttl", "ecn", "udp-encap", "lifetime", "esn"]
lifetime = {packets_soft = 1, bytes_soft = 2, packets_hard = 3, bytes_hard = "0xffffffffffffffff"}
select = {src = "198.51.100.0/24", dst = "203.0.113.9", proto = "udp", sport = 53, dport = 0}

[sa.model]
icv_len = 16
iv = "0102030405060708"
first_seq = 4294967297
ah_align = 8

[[sa]]
id = 7
direction = "inbound"
mode = "ah-transport"
spi = 0x2002
auth = "aes-gmac"
auth_key = "000102030405060708090a0b0c0d0e0f"
salt = "00000001"
"""


GCM = """\
[[sa]]
id = 1
direction = "outbound"
mode = "esp-tunnel"
spi = 0x1001
aead = "aes-gcm"
cipher_key = "000102030405060708090a0b0c0d0e0f"
salt = "10111213"
tunnel = {src = "fd00::1", dst = "fd00::2"}
"""


def changed(line, to):
    assert line in GCM, line
    return GCM.replace(line, to)


def plain(entries):
    return [(entry.id, entry.params, entry.select) for entry in entries]
