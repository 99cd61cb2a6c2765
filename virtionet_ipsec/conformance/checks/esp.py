"""IP Encapsulating Security Payload, RFC 4303; what AH has too is in admission.py, known_answers.py, sequences.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...driver.sa_object import sa_object
from ...ipsec import Direction, Mode, Protocol, SaParams
from ...ipsec.algorithms import CIPHERS
from ...ipsec.integrity import make_mac
from ...wire.codec import build, parse
from ...wire.enums import AeadAlgo, CipherAlgo, IpsecMode, IpsecOption, MacAlgo
from ...wire.sa import ipsec_sa
from ..check import check
from ..driving import admission, frames, known_answers, sequences
from ..driving.associations import (
    INBOUND,
    OUTBOUND,
    SA_TYPE,
    TUNNEL4,
    TUNNEL6,
    accepted,
    algorithms,
    create,
    mode_cap,
    modes,
    protected,
    rejected,
    sa,
    send,
    sender,
    start,
    tunnel_frame,
)
from ..driving.on_the_wire import IPIP, IPV6, TCP, UDP, Opened, esp, flipped, opened, parted, trailer
from ..driving.rig import Rig
from ..driving.tunnels import living
from ..verdict import NotApplicable

FRAME = frames.udp4_frame()
PACKET = FRAME[14:]
DUMMY = 59
_EXPERIMENT = 253  # RFC 3692
_LENGTHS = (0, 1, 2, 3, 4, 35, 100, 471, 948)  # of what UDP carries, over IPv4 and IPv6

_SUBSPACE = 1 << 32

sequences.enter("esp", Protocol.ESP)
admission.enter("esp", Protocol.ESP)
known_answers.enter("esp", Protocol.ESP)


def _every_sa(rig: Rig, direction: Direction, **parameters: Any) -> Iterator[SaParams]:
    """An SA for every algorithm of the first mode that the device has, each with an SPI of its own."""
    mode = modes(rig, Protocol.ESP)[0]
    for number, choice in enumerate(algorithms(rig, Protocol.ESP, mode)):
        yield sa(rig, direction, mode=mode, spi=0x1000 + number, **choice, **parameters)


def _sent(rig: Rig, params: SaParams, payloads: list[bytes]) -> Iterator[tuple[bytes, Opened]]:
    """What the device makes of UDP datagrams with these payloads: the ESP packet, and what is inside."""
    with living(rig, params) as made:
        for seq, payload in enumerate(payloads, start=1):
            wire = send(rig, made, frames.udp4_frame(payload))
            yield parted(wire, Protocol.ESP)[1], opened(params, wire, seq)


def _arriving(params: SaParams, seq: int, plaintext: bytes) -> bytes:
    """A frame with an ESP packet of the far end's, in tunnel mode or transport mode."""
    body = esp(params, seq, plaintext)
    return tunnel_frame(body) if params.mode is Mode.TUNNEL else frames.ethernet(frames.ipv4(body, frames.ESP))


def _content(params: SaParams, length: int) -> tuple[int, bytes]:
    """Next Header and payload for an SA: an IP packet in tunnel mode, a UDP datagram else; of ``length`` octets."""
    if params.mode is Mode.TUNNEL:
        return IPIP, frames.sized_frame(length)[14:]
    return UDP, frames.udp(bytes(length - 8))


# -- padding and trailer ---------------------------------------------------------------------------------------------


@check
def payload_aligned(rig: Rig) -> None:
    """What is protected begins 4 octets times n behind the ESP header's start over IPv4, 8 times n over IPv6."""
    start(rig)
    for number, (tunnel, align) in enumerate(((TUNNEL4, 4), (TUNNEL6, 8))):
        for index, choice in enumerate(algorithms(rig)):
            params = sa(rig, OUTBOUND, spi=0x1000 + 100 * number + index, tunnel=tunnel, **choice)
            with living(rig, params) as made:
                wire = send(rig, made, FRAME)
            inside, body = opened(params, wire, 1), parted(wire, Protocol.ESP)[1]
            rig.equal(f"the payload with {params.algorithm_name}", PACKET, inside.payload)
            behind = len(PACKET) + inside.pad_length + 2 + params.icv_length
            rig.equal(f"octets beyond the boundary with {params.algorithm_name}", 0, (len(body) - behind) % align)


@check
def pad_needed(rig: Rig) -> None:
    """Payload and trailer fill whole blocks of each block cipher, whatever the packet's length is."""
    start(rig)
    blocks = [params for params in _every_sa(rig, OUTBOUND) if params.cipher and CIPHERS[params.cipher].block > 4]
    if not blocks:
        raise NotApplicable("the device has no block cipher")
    for params in blocks:
        block = params.pad_to
        for body, inside in _sent(rig, params, [bytes(length) for length in range(block)]):
            encrypted = len(body) - 8 - params.iv_length - params.icv_length
            rig.equal(f"octets beyond whole blocks of {params.cipher}", 0, encrypted % block)
            rig.equal("Pad Length", len(inside.padding), inside.pad_length)


@check
def pad_received(rig: Rig) -> None:
    """Padding of 0 to 255 octets is accepted with every algorithm, also more than is needed."""
    start(rig)
    for params in _every_sa(rig, INBOUND):
        with living(rig, params):
            for seq, pad in enumerate((*range(8), 16, 100, *range(252, 256)), start=1):
                next_header, payload = _content(params, 60 + (-60 - pad - 2) % params.pad_to)
                plaintext = payload + bytes(range(1, pad + 1)) + bytes((pad, next_header))
                packet = accepted(rig, _arriving(params, seq, plaintext), f"a packet with {pad} octets of padding")
                rig.expect(packet.frame.endswith(payload), "the frame", "the payload without padding", "something else")


@check
def pad_aligned(rig: Rig) -> None:
    """Pad Length and Next Header end on a 4-octet boundary with every algorithm, stream ciphers and NULL too."""
    start(rig)
    for params in _every_sa(rig, OUTBOUND):
        for body, _ in _sent(rig, params, [bytes(length) for length in range(4)]):
            length = len(body) - params.icv_length
            rig.equal(f"octets beyond a boundary of 4 with {params.algorithm_name}", 0, length % 4)


@check
def pad_values(rig: Rig) -> None:
    """Padding that the device makes reads 1, 2, 3, ... with every algorithm."""
    start(rig)
    for params in _every_sa(rig, OUTBOUND):
        for _, inside in _sent(rig, params, [bytes(length) for length in range(16)]):
            right = bytes(range(1, inside.pad_length + 1))
            rig.equal(f"padding with {params.algorithm_name}", right, inside.padding)


@check
def pad_inspected(rig: Rig) -> None:
    """A packet whose padding is not 1, 2, 3, ... in one octet or all is dropped or has SECURITY_ERR."""
    start(rig)
    for params in _every_sa(rig, INBOUND):
        with living(rig, params):
            next_header, payload = _content(params, 64)  # a multiple of every block
            good = bytes(range(1, 31))
            tail = bytes((len(good), next_header))
            bad = [bytes((good[0] + 1,)) + good[1:], good[:-1] + bytes((good[-1] + 1,)), bytes(len(good))]
            for seq, padding in enumerate(bad, start=1):
                what = f"padding {padding.hex(' ')} with {params.algorithm_name}"
                rejected(rig, _arriving(params, seq, payload + padding + tail), what)
            accepted(rig, _arriving(params, len(bad) + 1, payload + good + tail), "right padding")


@check
def next_header(rig: Rig) -> None:
    """The trailer names what is inside: 4 and 41 in a tunnel, the packet's own protocol in transport mode."""
    start(rig)
    ipv4, ipv6 = frames.udp4_frame(), frames.udp6_frame()
    tcp, other = (frames.ethernet(frames.ipv4(*each)) for each in ((frames.tcp(), TCP), (bytes(20), 253)))
    rows = {
        Mode.TUNNEL: ((ipv4, IPIP), (ipv6, IPV6), (tcp, IPIP)),
        Mode.TRANSPORT: ((ipv4, UDP), (ipv6, UDP), (tcp, TCP), (other, 253)),
    }
    for number, mode in enumerate(modes(rig, Protocol.ESP)):
        params = sa(rig, OUTBOUND, mode=mode, spi=0x1000 + number)
        made = create(rig, params)
        for seq, (frame, expected) in enumerate(rows[mode], start=1):
            inside = opened(params, send(rig, made, frame), seq)
            rig.equal(f"Next Header in {mode.value} mode", expected, inside.next_header)


@check
def dummy_received(rig: Rig) -> None:
    """Of packets with Next Header 59 nothing reaches the driver, whatever they hold; the next packet is accepted."""
    start(rig)
    for number, mode in enumerate(modes(rig, Protocol.ESP)):
        params = sa(rig, INBOUND, mode=mode, spi=0x1000 + number)
        create(rig, params)
        payloads = (b"", bytes(64), b"\xff" * 128, PACKET + bytes(-len(PACKET) % 16))
        for seq, payload in enumerate(payloads, start=1):
            got = rig.receive(_arriving(params, seq, payload + trailer(len(payload), DUMMY, params.pad_to)))
            shown = "nothing" if got is None else str(got)
            rig.expect(got is None, f"a dummy packet in {mode.value} mode", "nothing for the driver", shown)
        accepted(rig, protected(sender(params), FRAME, len(payloads) + 1), "the packet after the dummies")


@check
def tfc_unnegotiated(rig: Rig) -> None:
    """Tunnel mode carries inner packets of 28 to 996 octets, IPv4 and IPv6, and nothing behind their own lengths."""
    start(rig)
    params = sa(rig, OUTBOUND)
    made = create(rig, params)
    packets = [frame(bytes(length)) for length in _LENGTHS for frame in (frames.udp4_frame, frames.udp6_frame)]
    for seq, frame in enumerate(packets, start=1):
        payload = opened(params, send(rig, made, frame), seq).payload
        base, at = (0, 2) if payload[:1] < b"\x60" else (40, 4)
        length = base + int.from_bytes(payload[at : at + 2], "big")
        rig.equal(f"octets behind an inner packet of {len(frame) - 14}", 0, max(len(payload) - length, 0))


@check
def tfc_removed(rig: Rig) -> None:
    """In tunnel mode the driver gets the inner packet alone, without what follows its own length."""
    start(rig)
    params = sa(rig, INBOUND)
    create(rig, params)
    numbers = iter(range(1, 100))
    for frame, number in ((FRAME, IPIP), (frames.udp6_frame(), IPV6)):
        for length in (1, 2, 100, 1000):
            payload = frame[14:] + b"\xa5" * length
            plaintext = payload + trailer(len(payload), number, params.pad_to)
            packet = accepted(rig, _arriving(params, next(numbers), plaintext), f"{length} octets of TFC padding")
            rig.equal(f"the frame after {length} octets of TFC padding", frame, packet.frame)


# -- algorithms ------------------------------------------------------------------------------------------------------


@check
def esn_offered(rig: Rig) -> None:
    """Every ESP mode of VIRTIO_NET_IPSEC_SA_CAP has the option ESN."""
    start(rig)
    for mode in modes(rig, Protocol.ESP):
        options = IpsecOption(mode_cap(rig, IpsecMode[f"ESP_{mode.name}"]).options)
        rig.expect(IpsecOption.ESN in options, f"options of ESP in {mode.value} mode", "ESN among them", str(options))


def _object(rig: Rig, params: SaParams, **fields: Any) -> bytes:
    """The SA object for ``params``, with some fields otherwise."""
    structure = ipsec_sa(rig.profile)
    parsed = parse(structure, sa_object(params, 1, rig.profile))
    return build(structure, **{name: parsed[name] for name in parsed if not name.startswith("_")} | fields)


_NO_KEY = {"length": 0, "data": b""}


@check
def no_null_null(rig: Rig) -> None:
    """An SA with cipher and authentication both none cannot be created, in any ESP mode and direction."""
    start(rig)
    for mode in modes(rig, Protocol.ESP):
        for direction in (OUTBOUND, INBOUND):
            nothing = {"cipher_algo": CipherAlgo.NO_CIPHER, "auth_algo": MacAlgo.NO_MAC, "salt": 0}
            keys = {"cipher_key": _NO_KEY, "auth_key": _NO_KEY}
            data = _object(rig, sa(rig, direction, mode=mode), **nothing, **keys)
            answer = rig.create(SA_TYPE[direction], 1, data)
            rig.refused(answer, f"CREATE of an {direction.value} SA without any algorithm, {mode.value} mode")


@check
def replay_needs_integrity(rig: Rig) -> None:
    """An inbound SA with a replay window and a cipher alone, without authentication, cannot be created."""
    start(rig)
    mode = modes(rig, Protocol.ESP)[0]
    aeads = {int(each) for each in AeadAlgo}  # D01: these ids stand for an AEAD where there is no auth_algo
    tried = False
    for choice in algorithms(rig, Protocol.ESP, mode):
        if choice.get("cipher", "null") == "null":
            continue
        params = sa(rig, INBOUND, mode=mode, replay_window=32, **choice)
        data = _object(rig, params, auth_algo=MacAlgo.NO_MAC, auth_key=_NO_KEY)
        if parse(ipsec_sa(rig.profile), data).cipher_algo in aeads:
            continue
        tried = True
        rig.refused(rig.create(SA_TYPE[INBOUND], 1, data), f"CREATE with {params.cipher}, no MAC and a window")
    if not tried:
        raise NotApplicable("the device has no cipher that could be taken for one without authentication")


def _separate(rig: Rig, direction: Direction, **parameters: Any) -> list[SaParams]:
    """The SAs with a cipher and a MAC of :func:`_every_sa`; GMAC is none of them, whose ICV has a nonce."""
    found = [params for params in _every_sa(rig, direction, **parameters) if params.auth not in (None, "aes-gmac")]
    if not found:
        raise NotApplicable("the device has no cipher with a MAC")
    return found


@check
def icv_covers(rig: Rig) -> None:
    """The ICV of a cipher with a MAC is the MAC of all from the SPI to the end of the encrypted trailer."""
    start(rig)
    for params in _separate(rig, OUTBOUND):
        for body, inside in _sent(rig, params, [bytes(64)]):
            cut = len(body) - params.icv_length
            rig.equal(f"the ICV with {params.algorithm_name}", make_mac(params).compute(body[:cut]), body[cut:])
            length = 8 + params.iv_length + len(inside.payload) + inside.pad_length + 2
            rig.equal(f"octets in front of the ICV with {params.algorithm_name}", length, cut)


@check
def icv_esn(rig: Rig) -> None:
    """With ESN a MAC covers the high half behind the packet, sent and received, and it is not transmitted."""
    start(rig)
    for params in _separate(rig, OUTBOUND, esn=True):
        for body, _ in _sent(rig, params, [bytes(64)]):
            cut = len(body) - params.icv_length
            right = make_mac(params).compute(body[:cut] + bytes(4))
            rig.equal(f"the ICV with ESN and {params.algorithm_name}", right, body[cut:])
    for params in _separate(rig, INBOUND, esn=True, replay_window=32):
        far_end = sender(params)
        with living(rig, params):
            rejected(rig, protected(sender(params, esn=False), FRAME, 1), "an ICV without the high half")
            for seq in (1, 0x7FFFFFFF, _SUBSPACE - 1, _SUBSPACE + 1):
                accepted(rig, protected(far_end, FRAME, seq), f"an ICV over high half {seq >> 32}")
            rejected(rig, protected(far_end, FRAME, 2), "an ICV over the high half before")


def _wrong_octets(rig: Rig, params: SaParams) -> None:
    """One wrong octet after the other, from the sequence number to the end of the ICV; then the packet as it was."""
    wire = protected(sender(params), FRAME)
    first = wire.index(params.spi.to_bytes(4, "big")) + 4
    with living(rig, params):
        for at in range(first, len(wire)):
            what = f"octet {at - first + 4} of the ESP packet changed, {params.algorithm_name}"
            rejected(rig, flipped(wire, at), what)
        accepted(rig, wire, "the packet unchanged")


@check
def icv_wrong(rig: Rig) -> None:
    """A packet of a cipher with a MAC in which any octet was changed is dropped or has SECURITY_ERR."""
    start(rig)
    every = _separate(rig, INBOUND)
    by_mac = {params.auth: params for params in every} | {every[0].auth: every[0]}
    for params in by_mac.values():
        _wrong_octets(rig, params)


@check
def combined_wrong(rig: Rig) -> None:
    """A packet of an AEAD, or of GMAC, in which any octet was changed is dropped or has SECURITY_ERR."""
    start(rig)
    combined = [params for params in _every_sa(rig, INBOUND) if params.aead or params.auth == "aes-gmac"]
    if not combined:
        raise NotApplicable("the device has no combined mode algorithm")
    for params in combined:
        _wrong_octets(rig, params)


@check
def icv_before_release(rig: Rig) -> None:
    """With every algorithm that encrypts, no part of the plaintext of a packet with a wrong ICV reaches the driver."""
    start(rig)
    secret = bytes(range(0x40, 0x60)) * 4
    for params in _every_sa(rig, INBOUND):
        if params.cipher == "null":
            continue
        with living(rig, params):
            wire = protected(sender(params), frames.udp4_frame(secret))
            got = rig.receive(flipped(wire))
            if got is not None:
                shown = secret[32:64] in got.frame
                rig.expect(not shown, f"the plaintext with {params.algorithm_name}", "not in the frame", "in the frame")


# -- what the driver gets --------------------------------------------------------------------------------------------


@check
def rebuilt(rig: Rig) -> None:
    """The driver gets a tunnel's inner packet; in transport mode the packet with length, protocol, checksum right."""
    start(rig)
    udp6 = frames.udp(addresses=frames.SRC6 + frames.DST6)
    hop_by_hop = bytes((UDP, 0, 1, 4, 0, 0, 0, 0))
    packets = (
        FRAME,
        frames.udp4_frame(tos=0xB8, ttl=7, df=True, identification=0xBEEF, options=bytes.fromhex("94040000")),
        frames.udp4_frame(b""),
        frames.udp6_frame(traffic_class=0xB8, flow_label=0x12345, hop_limit=7),
        frames.ethernet(frames.ipv6(hop_by_hop + udp6, 0)),
        frames.ethernet(frames.ipv4(frames.tcp(bytes(99)), TCP)),
    )
    for number, mode in enumerate(modes(rig, Protocol.ESP)):
        params = sa(rig, INBOUND, mode=mode, spi=0x1000 + number)
        create(rig, params)
        far_end = sender(params)
        for frame in packets:
            packet = accepted(rig, protected(far_end, frame), f"a packet in {mode.value} mode")
            rig.equal(f"the frame in {mode.value} mode", frame, packet.frame)


@check
def rebuilt_short(rig: Rig) -> None:
    """In transport mode payloads of 0 to 24 octets come out of every algorithm, one block of each block cipher too."""
    start(rig)
    if Mode.TRANSPORT not in modes(rig, Protocol.ESP):
        raise NotApplicable("the device does not offer ESP_TRANSPORT")
    short = [frames.udp4_frame(bytes(length)) for length in (0, 1, 5, 6, 7, 14)]
    short += [frames.udp6_frame(bytes(length)) for length in (0, 6, 7)]
    short += [frames.ethernet(frames.ipv4(bytes(length), _EXPERIMENT)) for length in (0, 1, 6, 7, 24)]
    for number, choice in enumerate(algorithms(rig, Protocol.ESP, Mode.TRANSPORT)):
        params = sa(rig, INBOUND, mode=Mode.TRANSPORT, spi=0x1000 + number, **choice)
        far_end = sender(params)
        with living(rig, params):
            for frame in short:
                what = f"IPv{frame[14] >> 4} of {len(frame) - 14} octets with {params.algorithm_name}"
                rig.equal(f"{what}: the frame", frame, accepted(rig, protected(far_end, frame), what).frame)
