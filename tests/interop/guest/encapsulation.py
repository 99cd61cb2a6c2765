"""Holds the sockets that take ESP out of UDP, as a key daemon does (udp(7), UDP_ENCAP).  Argument: the port."""

from __future__ import annotations

import signal
import socket
import sys

UDP_ENCAP, UDP_ENCAP_ESPINUDP = 100, 2  # linux/udp.h
sockets = []
for family in (socket.AF_INET, socket.AF_INET6):
    each = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    each.bind(("", int(sys.argv[1])))
    each.setsockopt(socket.IPPROTO_UDP, UDP_ENCAP, UDP_ENCAP_ESPINUDP)
    sockets.append(each)
signal.pause()
