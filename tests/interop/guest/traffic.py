"""Traffic between guests, every octet compared.  Needs nothing but Python.

    traffic.py serve PORT                     answers the two below until it is killed, over IPv4 and IPv6
    traffic.py tcp ADDRESS PORT UP DOWN [N]   N connections at once; UP octets there and DOWN back on each
    traffic.py udp ADDRESS PORT SIZE...       a datagram of each size, and its echo
    traffic.py ping ADDRESS 0 SIZE...         an echo request of each size, one after the other
    traffic.py all ADDRESS PORT OCTETS SIZE...  all of these: a connection with OCTETS each way, and SIZE... twice
    traffic.py plain PORT LENGTH              for clients such as nc: on PORT the SHA-256 of what they send is
                                              the answer, on PORT + 1 they get LENGTH octets

The clients print one line of JSON; status 1 when something was not as it was
sent.  What is sent is a function of the number of the connection, so both ends
know it.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

CHUNK = 1 << 16
PATIENCE = 20.0  # seconds without any octet
WINDOW = 16  # datagrams on their way


def content(seed: int, length: int) -> Iterator[bytes]:
    numbers = random.Random(seed)
    for at in range(0, length, CHUNK):
        yield numbers.randbytes(min(CHUNK, length - at))


def digest(seed: int, length: int) -> str:
    total = hashlib.sha256()
    for chunk in content(seed, length):
        total.update(chunk)
    return total.hexdigest()


def digest_of(connection: socket.socket, length: int) -> str:
    total = hashlib.sha256()
    while length:
        data = connection.recv(min(length, CHUNK))
        if not data:
            raise OSError(f"{length} octets are missing")
        total.update(data)
        length -= len(data)
    return total.hexdigest()


def line_of(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        octet = connection.recv(1)
        if not octet:
            raise OSError("no line")
        line += octet
    return line


# -- the server ------------------------------------------------------------------------------------------------------


def answer(connection: socket.socket) -> None:
    with connection, suppress(OSError):
        connection.settimeout(PATIENCE)
        seed, up, down = map(int, line_of(connection).split())
        connection.sendall(digest_of(connection, up).encode() + b"\n")
        for chunk in content(seed + 1, down):
            connection.sendall(chunk)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)


def serve(port: int) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("::", port))
        threading.Thread(target=echo, args=(datagrams,), daemon=True).start()
        with socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64) as listener:
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()


def echo(datagrams: socket.socket) -> None:
    while True:
        data, sender = datagrams.recvfrom(1 << 16)
        datagrams.sendto(data, sender)


def plain(port: int, length: int) -> None:
    def digests(connection: socket.socket) -> None:
        total = hashlib.sha256()
        while data := connection.recv(CHUNK):
            total.update(data)
        connection.sendall(total.hexdigest().encode())

    def octets(connection: socket.socket) -> None:
        for chunk in content(0, length):
            connection.sendall(chunk)

    def listen(number: int, answer: Callable[[socket.socket], None]) -> None:
        with socket.create_server(("::", number), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
            while True:
                connection = listener.accept()[0]
                with connection, suppress(OSError):
                    answer(connection)

    threading.Thread(target=listen, args=(port + 1, octets), daemon=True).start()
    listen(port, digests)


# -- the clients -----------------------------------------------------------------------------------------------------


def tcp(address: str, port: int, up: int, down: int, streams: int = 1) -> list[str]:
    """What was wrong with each connection."""
    wrong: list[str] = []

    def one(seed: int) -> None:
        try:
            with socket.create_connection((address, port), PATIENCE) as connection:
                connection.sendall(f"{seed} {up} {down}\n".encode())
                for chunk in content(seed, up):
                    connection.sendall(chunk)
                if line_of(connection).decode().strip() != digest(seed, up):
                    wrong.append(f"connection {seed}: other octets arrived there")
                if digest_of(connection, down) != digest(seed + 1, down):
                    wrong.append(f"connection {seed}: other octets arrived here")
        except OSError as error:
            wrong.append(f"connection {seed}: {error}")

    threads = [threading.Thread(target=one, args=(number * 2,)) for number in range(streams)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


def udp(address: str, port: int, sizes: list[int]) -> list[str]:
    """What was wrong: datagrams without an echo, or with another."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    waiting: dict[bytes, int] = {}
    wrong = []
    with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
        datagrams.connect((address, port))
        datagrams.settimeout(PATIENCE / 4)

        def receive() -> None:
            data = datagrams.recv(1 << 16)
            if waiting.pop(data, None) is None:
                wrong.append(f"a datagram of {len(data)} octets that was not sent")

        try:
            for number, size in enumerate(sizes):
                data = random.Random(number).randbytes(size)
                waiting[data] = number
                datagrams.send(data)
                while len(waiting) >= WINDOW:
                    receive()
            while waiting:
                receive()
        except OSError as error:
            wrong.append(f"{len(waiting)} without an echo, the first number {min(waiting.values())}: {error}")
    return wrong


def ping(address: str, sizes: list[int]) -> list[str]:
    """What was wrong: echo requests without a reply, or with another.

    ping(8) waits for the last one as long as two of the others took, which on a busy machine is too short.
    """
    version6 = ":" in address
    request, reply, start = (128, 129, 0) if version6 else (8, 0, 20)
    family, protocol = (socket.AF_INET6, socket.IPPROTO_ICMPV6) if version6 else (socket.AF_INET, socket.IPPROTO_ICMP)
    wrong = []
    identifier = os.getpid() & 0xFFFF
    with socket.socket(family, socket.SOCK_RAW, protocol) as packets:
        packets.connect((address, 0))
        packets.settimeout(PATIENCE / 4)
        for number, size in enumerate(sizes):
            content = random.Random(number).randbytes(size)
            message = struct.pack("!BBHHH", request, 0, 0, identifier, number) + content
            if not version6:
                message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
            packets.send(message)
            try:
                while (got := packets.recv(1 << 16)[start:])[0] != reply or got[4:8] != message[4:8]:
                    pass
            except OSError as error:
                wrong.append(f"echo request {number} of {size} octets: {error}")
                continue
            if got[8:] != content:
                wrong.append(f"the reply to echo request {number} has other content")
    return wrong


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def main(what: str, *words: str) -> None:
    if what == "serve":
        serve(int(words[0]))
    if what == "plain":
        plain(int(words[0]), int(words[1]))
    address, *rest = words
    port, *numbers = map(int, rest)
    wrong = []
    if what == "tcp":
        wrong = tcp(address, port, *numbers)
    if what == "all":
        octets, *numbers = numbers
        wrong = tcp(address, port, octets, octets)
    if what in ("ping", "all"):
        wrong += ping(address, numbers)
    if what in ("udp", "all"):
        wrong += udp(address, port, numbers)
    print(json.dumps({"wrong": wrong}))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main(*sys.argv[1:])
