"""Prints frames in hexadecimal, a line each.  Arguments: an interface, and what.

What is an EtherType (4 hexadecimal digits), of frames that are received, or
"all", of those that are sent too.
"listening" comes first.  Frames with a VLAN tag are seen through the packet
socket of every protocol, with the tag put back (packet(7), PACKET_AUXDATA).
"""

from __future__ import annotations

import socket
import struct
import sys

ALL = 3  # ETH_P_ALL
OUTGOING = 4  # PACKET_OUTGOING
SOL_PACKET, PACKET_AUXDATA, TAGGED = 263, 8, 1 << 4  # TP_STATUS_VLAN_VALID
AUXDATA = struct.Struct("=IIIHHHH")

interface, wanted = sys.argv[1:]
packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
packets.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
packets.bind((interface, ALL))
print("listening", flush=True)
while True:
    frame, auxiliary, _, address = packets.recvmsg(1 << 16, 256)
    for _, kind, data in auxiliary:
        status, *_lengths, tci, tpid = AUXDATA.unpack(data[: AUXDATA.size]) if kind == PACKET_AUXDATA else (0, 0, 0)
        if status & TAGGED:
            frame = frame[:12] + tpid.to_bytes(2, "big") + tci.to_bytes(2, "big") + frame[12:]
    if wanted == "all" or (address[2] != OUTGOING and wanted in (frame[12:14].hex(), frame[16:18].hex())):
        print(frame.hex(), flush=True)
