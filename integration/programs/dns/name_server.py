"""A name server for tests, on port 53 of addresses, over UDP and TCP. What it does is in the name asked for.

The first label says it: `plain` is answered at once, `slow` after 0.3 s, `none` does not exist, `broken`
fails, `empty` has no address, `silent` gets no answer, `once` none to the first question, `large` none that
fits into a datagram. A name with an address has a TXT record too. Each question is a line on standard output:
transport, type, name, client's port.
"""

from __future__ import annotations

import socket
import struct
import sys
import threading
import time

ADDRESSES = {1: socket.inet_aton("10.231.8.1"), 28: socket.inet_pton(socket.AF_INET6, "fd00::1")}
SERVFAIL, NXDOMAIN = 2, 3
PTR, TXT = 12, 16
RECORDS = {**ADDRESSES, PTR: b"\4host\4test\0", TXT: b"\5words"}
TTL = 30
SLOW = 0.3
_asked: set[tuple[str, int]] = set()


def question(message: bytes) -> tuple[str, int, int]:
    """Return name, type and where the question ends."""
    labels, at = [], 12
    while message[at]:
        labels.append(message[at + 1 : at + 1 + message[at]].decode())
        at += 1 + message[at]
    return ".".join(labels), struct.unpack_from(">H", message, at + 1)[0], at + 5


def answer(message: bytes, transport: str, port: int) -> bytes | None:
    name, kind, end = question(message)
    sys.stdout.write(f"{transport} {kind} {name} {port}\n")  # at once: there are other threads
    sys.stdout.flush()
    what = name.partition(".")[0].lower()
    if what == "silent":
        return None
    if what == "once" and (name, kind) not in _asked:
        _asked.add((name, kind))
        return None
    if what == "slow":
        time.sleep(SLOW)
    code = {"none": NXDOMAIN, "broken": SERVFAIL}.get(what, 0)
    records, flags = b"", 0x8180 | code
    count = 0
    if what == "large" and transport == "udp":
        flags |= 0x0200
    elif not code and what != "empty" and kind in RECORDS:
        data = RECORDS[kind]
        records = b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, TTL, len(data)) + data
        count = 1
    header = message[:2] + struct.pack(">HHHHH", flags, 1, count, 0, 0)
    return header + message[12:end] + records


def serve_datagrams(listener: socket.socket) -> None:
    def reply(message: bytes, client: tuple[str, int]) -> None:
        found = answer(message, "udp", client[1])
        if found is not None:
            listener.sendto(found, client)

    while True:
        message, client = listener.recvfrom(4096)
        threading.Thread(target=reply, args=(message, client), daemon=True).start()


def serve_stream(connection: socket.socket, port: int) -> None:
    with connection, connection.makefile("rb") as stream:
        while len(head := stream.read(2)) == 2:
            found = answer(stream.read(struct.unpack(">H", head)[0]), "tcp", port)
            if found is not None:
                connection.sendall(struct.pack(">H", len(found)) + found)


def accept_streams(listener: socket.socket) -> None:
    while True:
        connection, client = listener.accept()
        threading.Thread(target=serve_stream, args=(connection, client[1]), daemon=True).start()


def main() -> None:
    for address in sys.argv[1:]:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        datagrams = socket.socket(family, socket.SOCK_DGRAM)
        datagrams.bind((address, 53))
        streams = socket.create_server((address, 53), family=family)
        for serve, listener in ((serve_datagrams, datagrams), (accept_streams, streams)):
            threading.Thread(target=serve, args=(listener,), daemon=True).start()
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
