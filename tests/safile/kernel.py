"""What Linux 6.1 and iproute2 6.1 printed for ``ip xfrm state``, line for line.  The keys were never in use."""

# ruff: noqa: E101, E501, W291

from __future__ import annotations

GCM_PAIR = """\
src 10.0.0.2 dst 10.0.0.1
	proto esp spi 0x00002010 reqid 1 mode tunnel
	replay-window 32 
	aead rfc4106(gcm(aes)) 0x7c98e54cc4c1eccf58d48c58107d6ae39cdca9ae 128
	anti-replay context: seq 0x0, oseq 0x0, bitmap 0x00000000
	sel src 0.0.0.0/0 dst 0.0.0.0/0 
src 10.0.0.1 dst 10.0.0.2
	proto esp spi 0x00001010 reqid 1 mode tunnel
	replay-window 32 
	aead rfc4106(gcm(aes)) 0x1fc0d074035f258f7fbda8e470cf0325afa96fb3 128
	anti-replay context: seq 0x0, oseq 0x0, bitmap 0x00000000
	sel src 0.0.0.0/0 dst 0.0.0.0/0 
"""

TRIPLE_DES = """\
src 10.0.0.2 dst 10.0.0.1
	proto esp spi 0x00002013 reqid 1 mode tunnel
	replay-window 32 
	auth-trunc hmac(sha1) 0x70fe122eca8234dc41e0878df7a8d3a7b869941d 96
	enc cbc(des3_ede) 0xc9c747f5b977cedf430b23a1c807ae97180a988a11451086
	anti-replay context: seq 0x0, oseq 0x0, bitmap 0x00000000
	sel src 0.0.0.0/0 dst 0.0.0.0/0 
"""

AH_TRANSPORT_V4 = """\
src 10.0.0.2 dst 10.0.0.1
	proto ah spi 0x00002014 reqid 1 mode transport
	replay-window 32 
	auth-trunc hmac(sha1) 0x88c2627ed8c16e15cc47871b863041cf26c1d680 96
	anti-replay context: seq 0x0, oseq 0x0, bitmap 0x00000000
	sel src 0.0.0.0/0 dst 0.0.0.0/0 
"""

AH_TRANSPORT_V6 = """\
src fd00::2 dst fd00::1
	proto ah spi 0x00002016 reqid 1 mode transport
	replay-window 32 
	auth-trunc hmac(sha256) 0xfbfa0184d8f9698226d6c76a2e6c5177d88ca64318a2930fb861d045d37faae3 128
	anti-replay context: seq 0x0, oseq 0x0, bitmap 0x00000000
	sel src ::/0 dst ::/0 
"""

CBC_TRANSPORT_V6 = """\
src fd00::2 dst fd00::1
	proto esp spi 0x00002018 reqid 1 mode transport
	replay-window 32 
	auth-trunc hmac(sha1) 0x93587745e0ece74b7e3ed31493f0343dfef23069 96
	enc cbc(aes) 0x979cc7f2d990e008f1c86a2087693e29
	anti-replay context: seq 0x0, oseq 0x0, bitmap 0x00000000
	sel src ::/0 dst ::/0 
"""

CBC_SHA512_ESN = """\
src 10.0.0.2 dst 10.0.0.1
	proto esp spi 0x0000201b reqid 1 mode tunnel
	replay-window 0 flag esn
	auth-trunc hmac(sha512) 0x5edb303b1a0ed5dec21fc436ebd4fbda299fc15b2d8f900a517b5576cfcaa6bc1005db87ae587b7e36c2e43bc80a8f428c7d66c05cf69d165fe617441b2b5c60 256
	enc cbc(aes) 0x32f20aaa101221d8fac3591a7f177356b116f98ba9e26e0056d5bafa4fb8f94d
	anti-replay esn context:
	 seq-hi 0x0, seq 0x0, oseq-hi 0x0, oseq 0x0
	 replay_window 64, bitmap-length 2
	 00000000 00000000 
	sel src 0.0.0.0/0 dst 0.0.0.0/0 
"""

CCM_V6 = """\
src fd00::2 dst fd00::1
	proto esp spi 0x00002010 reqid 1 mode tunnel
	replay-window 32 
	aead rfc4309(ccm(aes)) 0xa39dbc29a52c2b366c3ac20f6fd4bc59358de9 128
	anti-replay context: seq 0x0, oseq 0x0, bitmap 0x00000000
	sel src ::/0 dst ::/0 
"""

CHACHA20 = """\
src 10.0.0.2 dst 10.0.0.1
	proto esp spi 0x00002012 reqid 1 mode tunnel
	replay-window 32 
	aead rfc7539esp(chacha20,poly1305) 0xb354ca8455353b11d709db4ed02de322c6918c0e9b330a1518db09141578344b10d41371 128
	anti-replay context: seq 0x0, oseq 0x0, bitmap 0x00000000
	sel src 0.0.0.0/0 dst 0.0.0.0/0 
"""

CTR = """\
src 10.0.0.2 dst 10.0.0.1
	proto esp spi 0x00002015 reqid 1 mode tunnel
	replay-window 32 
	auth-trunc hmac(sha1) 0xca674ad4fc5382f98ba0b0f31e78ce068fe3ea27 96
	enc rfc3686(ctr(aes)) 0x7e340ed20e2e780e3b2a5c34cb53320f96b0bb3d
	anti-replay context: seq 0x0, oseq 0x0, bitmap 0x00000000
	sel src 0.0.0.0/0 dst 0.0.0.0/0 
"""

UDP_ENCAPSULATED = """\
src 10.0.0.2 dst 10.0.0.1
	proto esp spi 0x00002019 reqid 1 mode tunnel
	replay-window 32 
	aead rfc4106(gcm(aes)) 0x70558ff3f8e5e51c7e48ed0e82c5a8f8c2d5baeb 128
	encap type espinudp sport 4500 dport 4500 addr 0.0.0.0
	anti-replay context: seq 0x0, oseq 0x0, bitmap 0x00000000
	sel src 0.0.0.0/0 dst 0.0.0.0/0 
"""

GMAC = """\
src 10.0.0.2 dst 10.0.0.1
	proto esp spi 0x00002011 reqid 1 mode tunnel
	replay-window 32 
	aead rfc4543(gcm(aes)) 0x12c3e17ca5f7aa2511ca00b6613e2211d496ead6 128
	anti-replay context: seq 0x0, oseq 0x0, bitmap 0x00000000
	sel src 0.0.0.0/0 dst 0.0.0.0/0 
"""

NULL_SHA256 = """\
src 10.0.0.2 dst 10.0.0.1
	proto esp spi 0x00002015 reqid 1 mode tunnel
	replay-window 32 
	auth-trunc hmac(sha256) 0xfe7737f4d9dba438244640a17a5b43bedf41265034a31d60f2e2e14b67c7b9b7 128
	enc ecb(cipher_null) 
	anti-replay context: seq 0x0, oseq 0x0, bitmap 0x00000000
	sel src 0.0.0.0/0 dst 0.0.0.0/0 
"""

FROM_CAPTURES = {
    "gcm": GCM_PAIR,
    "3des": TRIPLE_DES,
    "ah transport v4": AH_TRANSPORT_V4,
    "ah transport v6": AH_TRANSPORT_V6,
    "cbc transport v6": CBC_TRANSPORT_V6,
    "cbc sha512 esn": CBC_SHA512_ESN,
    "ccm v6": CCM_V6,
    "chacha20": CHACHA20,
    "ctr": CTR,
    "udp": UDP_ENCAPSULATED,
    "gmac": GMAC,
    "null": NULL_SHA256,
}

# ip -s xfrm state
WITH_STATISTICS = """\
src 10.0.0.2 dst 10.0.0.1
	proto esp spi 0x00001008(4104) reqid 0(0x00000000) mode tunnel
	replay-window 0 seq 0x00000000 flag esn (0x10000000)
	aead rfc4106(gcm(aes)) 0x000102030405060708090a0b0c0d0e0f10111213 (160 bits) 128
	anti-replay esn context:
	 seq-hi 0x1, seq 0x5, oseq-hi 0x2, oseq 0x7
	 replay_window 64, bitmap-length 2
	 00000000 00000000 
	sel src 0.0.0.0/0 dst 0.0.0.0/0 uid 0
	lifetime config:
	  limit: soft (INF)(bytes), hard (INF)(bytes)
	  limit: soft (INF)(packets), hard (INF)(packets)
	  expire add: soft 0(sec), hard 0(sec)
	  expire use: soft 0(sec), hard 0(sec)
	lifetime current:
	  0(bytes), 0(packets)
	  add 2026-11-21 11:58:38 use -
	stats:
	  replay-window 0 replay 0 failed 0
src 10.0.0.2 dst 10.0.0.1
	proto ah spi 0x00001005(4101) reqid 0(0x00000000) mode transport
	replay-window 0 seq 0x00000000 flag align4 (0x01000000)
	auth-trunc xcbc(aes) 0x000102030405060708090a0b0c0d0e0f (128 bits) 96
	anti-replay context: seq 0x0, oseq 0x0, bitmap 0x00000000
	sel src 0.0.0.0/0 dst 0.0.0.0/0 uid 0
	lifetime config:
	  limit: soft (INF)(bytes), hard (INF)(bytes)
	  limit: soft (INF)(packets), hard (INF)(packets)
	  expire add: soft 0(sec), hard 0(sec)
	  expire use: soft 0(sec), hard 0(sec)
	lifetime current:
	  0(bytes), 0(packets)
	  add 2026-11-21 11:58:36 use -
	stats:
	  replay-window 0 replay 0 failed 0
src 10.0.0.1 dst 10.0.0.2
	proto esp spi 0x00001001(4097) reqid 1(0x00000001) mode tunnel
	replay-window 32 seq 0x00000000 flag noecn decap-dscp nopmtudisc (0x00000111)
	aead rfc4106(gcm(aes)) 0x000102030405060708090a0b0c0d0e0f10111213 (160 bits) 96
	anti-replay context: seq 0x0, oseq 0x0, bitmap 0x00000000
	sel src 0.0.0.0/0 dst 0.0.0.0/0 uid 0
	lifetime config:
	  limit: soft 1000(bytes), hard 2000(bytes)
	  limit: soft 10(packets), hard 20(packets)
	  expire add: soft 0(sec), hard 1000(sec)
	  expire use: soft 0(sec), hard 0(sec)
	lifetime current:
	  0(bytes), 0(packets)
	  add 2026-11-21 11:58:32 use -
	stats:
	  replay-window 0 replay 0 failed 0
src 10.0.0.2 dst 10.0.0.1
	proto esp spi 0x0000100d(4109) reqid 0(0x00000000) mode tunnel
	replay-window 0 seq 0x00000000 flag esnextra_flag dont-encap-dscp oseq-may-wrap (0x10000000)
	auth-trunc hmac(md5) 0x000102030405060708090a0b0c0d0e0f (128 bits) 96
	enc cbc(des) 0x0123456789abcdef (64 bits)
	anti-replay esn context:
	 seq-hi 0x0, seq 0x0, oseq-hi 0x0, oseq 0x0
	 replay_window 256, bitmap-length 8
	 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 
	sel src 0.0.0.0/0 dst 0.0.0.0/0 uid 0
"""

# ip -o xfrm state
ON_ONE_LINE = (
    "src 10.0.0.2 dst 10.0.0.1\\\tproto esp spi 0x0000100d reqid 0 mode tunnel\\\treplay-window 0 flag esn\\"
    "\tauth-trunc hmac(md5) 0x000102030405060708090a0b0c0d0e0f 96\\\tenc cbc(des) 0x0123456789abcdef\\"
    "\tanti-replay esn context:\\\t seq-hi 0x0, seq 0x0, oseq-hi 0x0, oseq 0x0\\\t replay_window 256, bitmap-length 8\\"
    "\t 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 \\\tsel src 0.0.0.0/0 dst 0.0.0.0/0 \\\n"
)

# Attributes that the model has no use for, and a selector; the last four lines only newer versions print.
ATTRIBUTES = """\
src 10.0.0.2 dst 10.0.0.1
	proto esp spi 0x00001003 reqid 0 mode transport
	replay-window 0 
	mark 0x5/0xff output-mark 0x10/0xffffffff
	auth-trunc hmac(sha1) 0x000102030405060708090a0b0c0d0e0f10111213 96
	enc cbc(aes) 0x000102030405060708090a0b0c0d0e0f
	coa 10.1.1.1
	lastused 2026-11-21 11:58:35
	anti-replay context: seq 0x0, oseq 0x0, bitmap 0x00000000
	sel src 10.0.0.2/32 dst 10.0.0.1/32 proto tcp sport 5 dport 80 dev eth0 
	security context system_u:object_r:unlabeled_t:s0 
	crypto offload parameters: dev eth0 mode crypto
	if_id 0x7
	tfcpad 100
	pcpu-num 3
"""
