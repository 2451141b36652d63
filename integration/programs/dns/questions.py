"""Asks a name server in a way of its own: questions.py WAY NAME..., and waits for each answer.

The ways: `connected` and `unconnected` datagrams, `messages` (sendmsg, recvmsg), `both` (IPv4 and IPv6 at
once), `repeated` (asks again until there is an answer), `stream` (TCP, the length first), `forgotten` (waits
for no answer), `several` (sendmmsg with two questions, by the C library), `garbage` (what is no message).
"""

from __future__ import annotations

import ctypes
import itertools
import socket
import struct
import sys

SERVER = ("127.0.0.1", 53)
A, AAAA = 1, 28
_numbers = itertools.count(1000)


def question(name: str, kind: int = A) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return (
        struct.pack(">HHHHHH", next(_numbers), 0x0100, 1, 0, 0, 0) + labels + struct.pack(">BHH", 0, kind, 1)
    )


def datagrams() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def connected(name: str) -> None:
    with datagrams() as asking:
        asking.connect(SERVER)
        asking.send(question(name))
        asking.recv(512)


def unconnected(name: str) -> None:
    with datagrams() as asking:
        asking.sendto(question(name), SERVER)
        asking.recvfrom(512)


def messages(name: str) -> None:
    with datagrams() as asking:
        asking.sendmsg([question(name)], [], 0, SERVER)
        asking.recvmsg(512)


def both(name: str) -> None:
    with datagrams() as asking:
        asking.connect(SERVER)
        for kind in (A, AAAA):
            asking.send(question(name, kind))
        for _ in range(2):
            asking.recv(512)


def repeated(name: str) -> None:
    with datagrams() as asking:
        asking.connect(SERVER)
        asking.settimeout(0.2)
        while True:
            asking.send(question(name))
            try:
                asking.recv(512)
            except TimeoutError:
                continue
            return


def stream(name: str) -> None:
    with socket.create_connection(SERVER) as asking:
        message = question(name)
        asking.sendmsg([struct.pack(">H", len(message)), message])
        (size,) = struct.unpack(">H", asking.recv(2))
        asking.recv(size)


def forgotten(name: str) -> None:
    with datagrams() as asking:
        asking.sendto(question(name), SERVER)


def garbage(name: str) -> None:
    with datagrams() as asking:
        asking.sendto(name.encode(), SERVER)


class Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_char_p), ("length", ctypes.c_size_t))


class Header(ctypes.Structure):
    _fields_ = (
        *(("name", ctypes.c_void_p), ("name_length", ctypes.c_uint32), ("vector", ctypes.POINTER(Vector))),
        *(
            ("vector_length", ctypes.c_size_t),
            ("control", ctypes.c_void_p),
            ("control_length", ctypes.c_size_t),
        ),
        *(("flags", ctypes.c_int), ("pad", ctypes.c_int), ("moved", ctypes.c_uint64)),
    )


def several(name: str) -> None:
    parts = [Vector(message, len(message)) for message in (question(name), question(name, AAAA))]
    headers = (Header * 2)(*(Header(vector=ctypes.pointer(one), vector_length=1) for one in parts))
    with datagrams() as asking:
        asking.connect(SERVER)
        assert ctypes.CDLL(None).sendmmsg(asking.fileno(), headers, 2, 0) == 2


if __name__ == "__main__":
    way = globals()[sys.argv[1]]
    for one in sys.argv[2:]:
        way(one)
