"""The project's own SA files: what is refused, with the place and the mend."""

from __future__ import annotations

import pytest

from virtionet_ipsec.safile import SaFileError, loads

from .examples import GCM, changed

REFUSED = {
    # What TOML itself refuses.
    "syntax": (changed("id = 1", "id = "), "sa.toml:2: this is not valid TOML (column 6)"),
    "a key twice": (GCM + "id = 2\n", "sa.toml:10: this is not valid TOML"),
    "an open string": (changed('"10111213"', '"10111213'), "sa.toml:8: this is not valid TOML"),
    "deep": ("[[sa]]\nx = " + "[" * 5000, "this is not valid TOML"),
    "a number without end": ("[[sa]]\nid = " + "9" * 5000, "this is not valid TOML"),
    # What is no list of SAs.
    "nothing": ("", "sa.toml: there is no SA in it; write an [[sa]] table"),
    "comments alone": ("# later\n", "sa.toml: there is no SA in it"),
    "an empty array": ("sa = []\n", "there is no SA in it"),
    "one table": ("[sa]\nid = 1\n", "sa: is not an array of tables; write each SA under a [[sa]] header"),
    "numbers": ("sa = [1, 2]\n", "is not an array of tables"),
    "a key on top": ("version = 1\n" + GCM, "version: is not a key of an SA file"),
    "another table": (GCM + "[[esp]]\nid = 1\n", "esp: is not a key of an SA file"),
    # Keys.
    "unknown key": (
        changed("cipher_key", "cypher_key"),
        "sa.toml:7: [[sa]] 1 cypher_key: is not a key of this table; did you mean cipher_key?",
    ),
    "unknown subkey": (changed("src =", "source ="), "sa.toml:9: [[sa]] 1 tunnel.source: is not a key"),
    "unknown model key": (GCM + "[sa.model]\nivc_len = 8\n", "one of: icv_len, iv, first_seq, ah_align"),
    "a key that may be a secret": (
        changed("salt =", "000102030405060708090a0b0c0d0e0f ="),
        "(not shown): is not a key",
    ),
    "no id": (changed("id = 1\n", ""), "sa.toml:1: [[sa]] 1 id: is missing; give each SA of a direction a number"),
    "no direction": (changed('direction = "outbound"\n', ""), "direction: is missing; write direction = "),
    "no mode": (
        changed('mode = "esp-tunnel"\n', ""),
        "mode: is missing; one of: esp-tunnel, esp-transport, ah-tunnel, ah-transport",
    ),
    "no spi": (changed("spi = 0x1001\n", ""), "spi: is missing"),
    "no algorithm": (
        changed('aead = "aes-gcm"\n', ""),
        "cipher: ESP takes an aead, or a cipher and an auth; give either",
    ),
    "no key": (
        changed('cipher_key = "000102030405060708090a0b0c0d0e0f"\n', ""),
        "cipher_key: aes-gcm takes a key of 16 or 24 or 32 octets, not 0",
    ),
    "no salt": (changed('salt = "10111213"\n', ""), "salt: aes-gcm takes a salt of 4 octets, not 0"),
    "no tunnel": (
        changed('tunnel = {src = "fd00::1", dst = "fd00::2"}\n', ""),
        "tunnel: an outbound tunnel mode SA needs the outer addresses; write tunnel = {",
    ),
    "no dst": (changed(', dst = "fd00::2"', ""), "tunnel.dst: is missing"),
    "no port": (GCM + "udp = {sport = 4500}\n", "udp.dport: is missing"),
    # Kinds.
    "id": (changed("id = 1", 'id = "one"'), "sa.toml:2: [[sa]] 1 id: is a string that holds no integer"),
    "boolean id": (changed("id = 1", "id = true"), "id: is a boolean, not an integer"),
    "float id": (changed("id = 1", "id = 1.0"), "id: is a float, not an integer"),
    "date": (changed("id = 1", "id = 2026-01-01"), "id: is a date or time, not an integer"),
    "negative id": (changed("id = 1", "id = -1"), "id: is out of range; give an integer in 0 to 0xffffffff"),
    "spi": (changed("0x1001", "1.5"), "spi: is a float"),
    "spi 0": (changed("0x1001", "0"), "spi: is out of range"),
    "wide spi": (changed("0x1001", "0x100000000"), "spi: is out of range; give an integer in 1 to 0xffffffff"),
    "spi text": (changed("0x1001", '"SPI"'), "spi: is a string that holds no integer"),
    "long text": (changed("0x1001", '"0x' + "0" * 5000 + '1"'), "spi: is a string that holds no integer"),
    "direction": (
        changed('"outbound"', '"out"'),
        "direction: is not a name that belongs here; one of: outbound, inbound",
    ),
    "direction's kind": (changed('"outbound"', "2"), "direction: is an integer, not a string"),
    "mode": (changed('"esp-tunnel"', '"tunnel"'), "one of: esp-tunnel, esp-transport, ah-tunnel"),
    "auth": (
        changed('aead = "aes-gcm"', 'auth = "sha256"'),
        "auth: is not a name that belongs here; did you mean hmac-sha256?",
    ),
    "aead": (changed('"aes-gcm"', '"aes_gcm"'), "aead: is not a name that belongs here; one of: aes-gcm, aes-ccm"),
    "nothing like it": (changed('"aes-gcm"', '"?"'), "one of: aes-gcm, aes-ccm, chacha20-poly1305"),
    "cipher for aead": (changed('"aes-gcm"', '"aes-cbc"'), "aead: is not a name that belongs here"),
    "key's kind": (changed('"10111213"', "10111213"), "salt: is an integer, not a string"),
    "esn": (GCM + 'esn = "yes"\n', "sa.toml:10: [[sa]] 1 esn: is a string, not a boolean; write true or false"),
    "replay_window": (GCM + "replay_window = 4097\n", "replay_window: 4097 is not in 0 to 4096"),
    "udp": (GCM + "udp = 4500\n", "udp: is an integer, not a table; write udp = {...} with keys of: sport, dport"),
    "port 0": (GCM + "udp = {sport = 0, dport = 1}\n", "udp.sport: is out of range; give an integer in 1 to 65535"),
    "options": (GCM + 'options = "esn"\n', "options: is a string, not an array"),
    "an option": (GCM + 'options = ["copy_df"]\n', "options: copy_df is not an option; did you mean copy-df?"),
    "an option's kind": (GCM + "options = [1]\n", "options: is an integer, not a name"),
    "lifetime": (GCM + "lifetime = {packets = 1}\n", "lifetime.packets: is not a key of this table; one of: packets_"),
    "limit": (GCM + "lifetime = {packets_hard = -1}\n", "lifetime.packets_hard: is out of range"),
    "dscp": (
        changed('dst = "fd00::2"', 'dst = "fd00::2", dscp = 64'),
        "tunnel.dscp: is out of range; give an integer in 0 to 63",
    ),
    "ttl": (changed('dst = "fd00::2"', 'dst = "fd00::2", ttl = 0'), "tunnel.ttl: is out of range"),
    "df": (
        changed('dst = "fd00::2"', 'dst = "fd00::2", df = "no"'),
        "tunnel.df: is not a name that belongs here; one of: clear, set, copy",
    ),
    "df's kind": (changed('dst = "fd00::2"', 'dst = "fd00::2", df = 1'), "tunnel.df: is an integer, not a boolean"),
    "address": (changed("fd00::1", "fd00::1::2"), "sa.toml:9: [[sa]] 1 tunnel.src: is not an IPv4 or IPv6 address"),
    "address's kind": (changed('"fd00::1"', "1"), "tunnel.src: is an integer, not a string"),
    "network": (
        GCM + 'select = {src = "10.0.0.1/8"}\n',
        "select.src: has bits set behind its prefix length (the network is 10.0.0.0/8)",
    ),
    "no network": (GCM + 'select = {src = "10.0.0.0/33"}\n', "select.src: is not an IPv4 or IPv6 network"),
    "proto": (GCM + 'select = {proto = "ospf"}\n', "select.proto: is not a name that belongs here"),
    "proto number": (GCM + "select = {proto = 256}\n", "select.proto: is out of range"),
    "icv_len": (
        GCM + "[sa.model]\nicv_len = 10\n",
        "sa.toml:11: [[sa]] 1 model.icv_len: aes-gcm has an ICV of 8 or 12 or 16 octets",
    ),
    "iv": (GCM + '[sa.model]\niv = "00"\n', "sa.toml:11: [[sa]] 1 model.iv: has to be 8 octets, not 1"),
    "first_seq": (
        GCM + "[sa.model]\nfirst_seq = 0x100000000\n",
        "model.first_seq: 4294967296 is not in 1 to 0xffffffff",
    ),
    "ah_align": (GCM + "[sa.model]\nah_align = 5\n", "model.ah_align: 5 is not 4 or 8"),
    # Hex.
    "bad hex": (changed("0001020304", "000102030g"), "sa.toml:7: [[sa]] 1 cipher_key: is not hexadecimal"),
    "odd hex": (changed("10111213", "1011121"), "salt: has an odd number of hex digits (7)"),
    "key size": (
        changed("0c0d0e0f", "0c0d0e"),
        "cipher_key: aes-gcm takes a key of 16 or 24 or 32 octets, not 15; give the key alone",
    ),
    "key with salt": (
        changed("0c0d0e0f", "0c0d0e0f10111213"),
        "not 20; give the key alone, in hex: a salt goes under salt",
    ),
    "salt size": (changed("10111213", "101112"), "salt: aes-gcm takes a salt of 4 octets, not 3"),
    # Contradictions.
    "aead and cipher": (GCM + 'cipher = "null"\n', "aead: an AEAD takes no cipher and no auth beside it"),
    "auth_key alone": (GCM + 'auth_key = "00"\n', "auth_key: there is no algorithm for this key"),
    "ah with aead": (changed("esp-tunnel", "ah-tunnel"), "auth: AH takes an integrity algorithm and nothing else"),
    "esn and not": (GCM + 'esn = false\noptions = ["esn"]\n', "esn: is false, and options has it"),
    "udp-encap": (GCM + 'options = ["udp-encap"]\n', "options: has udp-encap without ports; add udp = {"),
    "lifetime option": (GCM + 'options = ["lifetime"]\n', "options: has lifetime, and no limit is given"),
    "transport with tunnel": (
        changed("esp-tunnel", "esp-transport"),
        "tunnel: a transport mode SA has no outer header",
    ),
    "mixed tunnel": (changed("fd00::1", "10.0.0.1"), "tunnel: src and dst have to be two IPv4 or two IPv6 addresses"),
    "mixed select": (
        GCM + 'select = {src = "10.0.0.0/8", dst = "fd00::/8"}\n',
        "select.dst: is not of the same IP version as src",
    ),
    "ports of nothing": (GCM + "select = {sport = 1}\n", "select.sport: needs a protocol that has ports"),
    "ports of icmp": (GCM + 'select = {proto = "icmp", dport = 1}\n', "select.dport: needs a protocol that has ports"),
    "udp with ah": (
        '[[sa]]\nid = 1\ndirection = "inbound"\nmode = "ah-transport"\nspi = 1\nauth = "hmac-md5"\n'
        'auth_key = "000102030405060708090a0b0c0d0e0f"\nudp = {sport = 1, dport = 1}\n',
        "sa.toml:8: [[sa]] 1 udp: RFC 3948 encapsulates ESP, not AH; leave udp out",
    ),
    # More than one.
    "the second one": (
        GCM + "\n" + GCM.replace("id = 1", "id = 2").replace("aes-gcm", "gcm"),
        "sa.toml:16: [[sa]] 2 aead:",
    ),
    "one id twice": (
        GCM + GCM.replace("0x1001", "0x1002"),
        "sa.toml:10 id: outbound SA 1 is given already at sa.toml:1; give each",
    ),
    "one SPI twice": (
        changed("outbound", "inbound") + changed("outbound", "inbound").replace("id = 1", "id = 2"),
        "sa.toml:10 spi: inbound SPI 0x00001001 is given already at sa.toml:1",
    ),
    # Without lines to point at.
    "inline": ('sa = [{id = 1, direction = "inbound"}]\n', "sa.toml: [[sa]] 1 mode: is missing"),
    "long form": (
        GCM + "[sa.lifetime]\npackets_hard = 1\npackets_hrad = 1\n",
        "sa.toml:12: [[sa]] 1 lifetime.packets_hrad",
    ),
    "long form's kind": (
        GCM + "[sa.lifetime]\n\npackets_hard = true\n",
        "sa.toml:12: [[sa]] 1 lifetime.packets_hard: is a boolean",
    ),
    "dotted": (GCM + "lifetime.packets_hard = true\n", "sa.toml:10: [[sa]] 1 lifetime.packets_hard: is a boolean"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    text, says = REFUSED[name]
    with pytest.raises(SaFileError) as caught:
        loads(text, "sa.toml")
    line = str(caught.value)
    assert says in line
    assert line.startswith("sa.toml")
    assert line.endswith("; " + caught.value.mend)
    assert "\n" not in line
    assert "0001020304" not in line
