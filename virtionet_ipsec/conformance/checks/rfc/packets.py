"""The RFC's way of a packet: transmit, receive."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from ....ipsec import Mode, Protocol
from ....ipsec.ip import checksum
from ...check import check
from ...driving import associations, frames, rfc_v1
from ...driving.associations import INBOUND, OUTBOUND, SPI, TUNNEL4, TUNNEL6
from ...driving.on_the_wire import flipped, spi_of
from ...driving.rfc_rig import (
    FRAME,
    FRAME6,
    aead_and_cipher,
    arrived,
    device_sends,
    every_mode,
    flag_names,
    not_plain,
    not_plain_nor_trusted,
    sent_and_opened,
    several,
    start,
)
from ...driving.rfc_v1 import created
from ...driving.rig import Rig
from ...driving.sa_objects import any_sa
from ...verdict import NotApplicable, NotObservable

TEXT = b"what the driver sends"


@check
def tx_lookup(rig: Rig) -> None:
    """Of several outbound SAs, a packet goes through the one whose id is in resource_id."""
    start(rig)
    for number, params in sorted(several(rig, OUTBOUND).items()):
        wire = associations.send(rig, number, FRAME)
        rig.equal(f"SPI of a packet with resource_id {number}", params.spi, spi_of(wire))
        rig.equal(
            "the packet that the far end finds", FRAME[14:], associations.inside(associations.receiver(params), wire)
        )


@check
def tx_header(rig: Rig) -> None:
    """A packet leaves with an ESP or AH header behind its IP header, which has the SPI and the sequence number."""
    start(rig)
    for params in every_mode(rig, OUTBOUND):
        created(rig, params, 0)
        for seq in (1, 2):
            wire = associations.send(rig, 0, FRAME)
            rig.equal("IP protocol", params.protocol.value, wire[23])
            at = 34 if params.protocol is Protocol.ESP else 38  # AH has next header and length first
            expected = params.spi.to_bytes(4, "big") + seq.to_bytes(4, "big")
            rig.equal(f"SPI and sequence number of {params.protocol.name}", expected, wire[at : at + 8])
        rig.ok(rfc_v1.delete(rig, rfc_v1.OUTB_SA, 0), "DELETE")


@check
def tx_trailer(rig: Rig) -> None:
    """Behind the payload of ESP there are padding 1, 2, 3, ..., its length and the next header, aligned to 4."""
    start(rig)
    created(rig, associations.null_sa(rig, OUTBOUND))
    for length in range(4):
        frame = frames.udp4_frame(TEXT + bytes(length))
        plain = associations.send(rig, 1, frame)[34 + 8 : -16]
        rig.equal("the payload of ESP", frame[14:], plain[: len(frame) - 14])
        pad, next_header = plain[-2], plain[-1]
        rig.equal("next header", 4, next_header)
        rig.equal("octets of payload and trailer, modulo 4", 0, len(plain) % 4)
        rig.equal(f"{pad} octets of padding", bytes(range(1, pad + 1)), plain[-2 - pad : -2])


@check
def tx_encrypt_authenticate(rig: Rig) -> None:
    """What leaves verifies and decrypts to the packet at the far end, and ESP hides the packet."""
    start(rig)
    for params in every_mode(rig, OUTBOUND):
        created(rig, params, 0)
        wire = sent_and_opened(rig, params, resource_id=0)
        if params.protocol is Protocol.ESP and params.cipher != "null":
            rig.expect(TEXT not in wire, "an encrypted packet", "without the text that was sent", "the text in clear")
        rig.ok(rfc_v1.delete(rig, rfc_v1.OUTB_SA, 0), "DELETE")


@check
def tx_icv(rig: Rig) -> None:
    """Behind ESP with cipher null and HMAC-SHA-256 there is the ICV: HMAC over SPI to next header, 16 octets of it."""
    start(rig)
    params = created(rig, associations.null_sa(rig, OUTBOUND))
    wire = associations.send(rig, 1, FRAME)
    rig.equal("ESP on the wire", associations.null_esp(params, 1, wire[34 + 8 : -16]), wire[34:])


@check
def tx_outer_header(rig: Rig) -> None:
    """In tunnel mode the packet leaves behind an outer header of either family, in transport mode behind its own."""
    start(rig)
    for number, (tunnel, frame) in enumerate(((TUNNEL4, FRAME), (TUNNEL4, FRAME6), (TUNNEL6, FRAME))):
        params = created(rig, associations.sa(rig, OUTBOUND, tunnel=tunnel, spi=SPI + number), 0)
        packet = device_sends(rig, params, frame, 0)[12:]
        kind, packet = packet[:2], packet[2:]
        if tunnel is TUNNEL4:
            rig.equal("EtherType and version", b"\x08\x00\x45", kind + packet[:1])
            rig.equal("outer total length", len(packet), int.from_bytes(packet[2:4], "big"))
            rig.equal("sum over the outer header", 0, checksum(packet[:20]))
            rig.equal("outer protocol and addresses", (50, tunnel.src + tunnel.dst), (packet[9], packet[12:20]))
        else:
            rig.equal("EtherType and version", b"\x86\xdd\x60", kind + packet[:1])
            rig.equal("outer payload length", len(packet) - 40, int.from_bytes(packet[4:6], "big"))
            rig.equal("outer next header and addresses", (50, tunnel.src + tunnel.dst), (packet[6], packet[8:40]))
        rig.ok(rfc_v1.delete(rig, rfc_v1.OUTB_SA, 0), "DELETE")
    with suppress(NotApplicable):
        created(rig, associations.sa(rig, OUTBOUND, mode=Mode.TRANSPORT), 1)
        wire = associations.send(rig, 1, FRAME)
        rig.equal("addresses in transport mode", frames.SRC4 + frames.DST4, wire[26:34])


@check
def tx_send(rig: Rig) -> None:
    """Every transmit buffer with VIRTIO_NET_HDR_F_SECURITY puts one frame on the wire."""
    start(rig)
    params = created(rig, any_sa(rig, OUTBOUND))
    for length in (64, 65, 300):
        wire = rig.sent(rig.driver.header(1) + frames.sized_frame(length))
        rig.equal("SPI of the frame on the wire", params.spi, spi_of(wire))


@check
def rx_lookup(rig: Rig) -> None:
    """Of several inbound SAs, a packet goes through the one with its SPI; a packet of no SA is not passed as plain."""
    start(rig)
    sas = several(rig, INBOUND)
    for params in sas.values():
        arrived(rig, params)
    stranger = replace(next(iter(sas.values())), spi=0x7FFFFFFF)
    not_plain(rig, associations.protected(associations.sender(stranger), FRAME), "a packet with the SPI of no SA")


@check
def rx_decrypt_authenticate(rig: Rig) -> None:
    """In every mode a packet is verified and decrypted, and one with a wrong ICV or key does not pass as plain."""
    start(rig)
    for params in (*aead_and_cipher(rig, INBOUND), *every_mode(rig, INBOUND)):
        created(rig, params, 0)
        arrived(rig, params)
        name = f"{params.algorithm_name}, {params.mode.value} mode"
        wire = associations.protected(associations.sender(params), FRAME, 2)
        not_plain_nor_trusted(rig, flipped(wire), f"a packet with a wrong ICV: {name}")
        key = "auth_key" if params.auth else "cipher_key"
        wrong = replace(params, **{key: bytes(len(getattr(params, key)))})  # type: ignore[arg-type]
        wire = associations.protected(associations.sender(wrong), FRAME, 3)
        not_plain_nor_trusted(rig, wire, f"a packet under another key: {name}")
        rig.ok(rfc_v1.delete(rig, rfc_v1.INB_SA, 0), "DELETE")


@check
def rx_tunnel_header(rig: Rig) -> None:
    """In tunnel mode the driver gets the inner packet alone, with its EtherType, whatever the families are."""
    start(rig)
    params = created(rig, associations.sa(rig, INBOUND, replay_window=0))
    cases = ((TUNNEL4, FRAME), (TUNNEL4, FRAME6), (TUNNEL6, FRAME), (TUNNEL6, FRAME6))
    for seq, (tunnel, frame) in enumerate(cases, 1):
        wire = associations.protected(associations.sender(params, tunnel=tunnel), frame, seq)
        rig.equal("EtherType and packet that the driver gets", frame[12:], rig.delivered(wire).frame[12:])


@check
def rx_header(rig: Rig) -> None:
    """In every mode the driver gets the packet without the ESP or AH header."""
    start(rig)
    for params in every_mode(rig, INBOUND):
        arrived(rig, created(rig, params, 0))
        rig.ok(rfc_v1.delete(rig, rfc_v1.INB_SA, 0), "DELETE")


@check
def rx_trailer(rig: Rig) -> None:
    """In every ESP mode the driver gets the packet without the ESP trailer, however long the padding is."""
    start(rig)
    for params in every_mode(rig, INBOUND):
        if params.protocol is Protocol.AH:
            continue
        created(rig, params, 0)
        far_end = associations.sender(params)
        for length in range(4):
            frame = frames.udp4_frame(TEXT + bytes(length))
            packet = rig.delivered(associations.protected(far_end, frame))
            rig.equal("the packet that the driver gets", frame[14:], packet.frame[14:])
        rig.ok(rfc_v1.delete(rig, rfc_v1.INB_SA, 0), "DELETE")


@check
def rx_security(rig: Rig) -> None:
    """A processed packet has VIRTIO_NET_HDR_F_SECURITY; a plain one, and IKE behind the non-ESP marker, have not."""
    start(rig)
    packet = arrived(rig, created(rig, any_sa(rig, INBOUND)))
    rig.expect("SECURITY" in packet.flag_names, "flags of a processed packet", "SECURITY", flag_names(packet))
    ike = frames.ethernet(frames.ipv4(frames.udp(bytes(4) + TEXT, 4500, 4500)))
    for what, frame in (("a plain packet", FRAME), ("IKE on UDP port 4500", ike)):
        packet = rig.delivered(frame)
        rig.expect("SECURITY" not in packet.flag_names, f"flags of {what}", "no SECURITY", flag_names(packet))


@check
def rx_security_err(rig: Rig) -> None:
    """A packet with a wrong ICV and one with an unknown SPI have VIRTIO_NET_HDR_F_SECURITY_ERR; a good one has not."""
    start(rig)
    params = created(rig, any_sa(rig, INBOUND))
    packet = arrived(rig, params)
    rig.expect("SECURITY_ERR" not in packet.flag_names, "a good packet", "no SECURITY_ERR", flag_names(packet))
    wrong_icv = flipped(associations.protected(associations.sender(params), FRAME, 2))
    unknown = associations.protected(associations.sender(replace(params, spi=0x7FFFFFFF)), FRAME)
    delivered = False
    for what, wire in (("a packet with a wrong ICV", wrong_icv), ("a packet with an unknown SPI", unknown)):
        failed = rig.receive(wire)
        if failed is not None:
            delivered = True
            rig.expect("SECURITY_ERR" in failed.flag_names, f"flags of {what}", "SECURITY_ERR", flag_names(failed))
    if not delivered:
        raise NotObservable("the device delivers no packet that failed IPsec processing")


@check
def rx_resource_id(rig: Rig) -> None:
    """The driver finds the id of the SA in resource_id of a processed packet."""
    start(rig)
    for number, params in several(rig, INBOUND).items():
        rig.equal(f"resource_id of a packet of SA {number}", number, arrived(rig, params).resource_id)
