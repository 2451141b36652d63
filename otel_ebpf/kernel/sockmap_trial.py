"""Whether sockets in a map of sockets (BPF_MAP_TYPE_SOCKHASH) behave here as all others do.

Kernels have had faults of which applications pay the price: what is there to be read is not told, pipes are
not filled, kernel TLS sends garbage. No version number tells them, for fixes and faults are carried back. So
real connections over loopback are tried out, a handful of them, each step bounded in time.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import socket
import termios
from collections.abc import Callable, Iterator
from struct import Struct
from typing import Final

from otel_ebpf.kernel.libbpf import libbpf

__all__ = ["find_fault"]

_SECONDS: Final = 2.0
_KEY: Final = 1
_LARGE: Final = bytes(range(256)) * 128  # less than what a connection holds that nobody reads
_REQUEST: Final = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n"
_WRITTEN: Final = _REQUEST[:16] + b"x: try\r\n" + _REQUEST[16:]  # write_trial, bpf/probes/inject.bpf.c

# include/uapi/linux/tls.h
_TCP_ULP: Final = 31
_SOL_TLS: Final = 282
_TLS_TX, _TLS_RX = 1, 2
_AES_GCM_128: Final = Struct("<HH8s16s4s8s").pack(0x0303, 51, b"i" * 8, b"k" * 16, b"salt", bytes(8))

_Ends = tuple[socket.socket, socket.socket]
"""The client's, which is in the map, and the server's."""


class _WrongError(Exception):
    """What the kernel did is not what it does with other sockets."""


def find_fault(sockets: int) -> str:
    """Return the first fault that is found, in words; "" for none. Raises `OSError` where none can be.

    `sockets` is a map of sockets of its own, to which the trial's program is attached.
    """
    for fault, trial in _TRIALS:
        with _connected() as ends:
            _enrol(sockets, ends[0])
            try:
                trial(ends, sockets)
            except (_WrongError, OSError) as error:
                return f"{fault} ({error})"
    return ""


def _intact(ends: _Ends, _: int) -> None:
    """Bytes arrive as they were sent, both ways, and so does the end."""
    client, server = ends
    _exchange(ends, _LARGE)
    client.shutdown(socket.SHUT_WR)
    if server.recv(1):
        raise _WrongError("more arrived than was sent")


def _written(ends: _Ends, _: int) -> None:
    """What a program writes into a message arrives where it was written."""
    client, server = ends
    client.sendall(_REQUEST)
    _expect(server, _WRITTEN)


def _told(ends: _Ends, _: int) -> None:
    """FIONREAD tells how much there is to be read."""
    client, server = ends
    server.sendall(_REQUEST)
    _await(client)
    unread = ctypes.c_int()
    fcntl.ioctl(client, termios.FIONREAD, unread)
    if unread.value != len(_REQUEST):
        raise _WrongError(f"{unread.value} is told of {len(_REQUEST)} bytes unread")
    _expect(client, _REQUEST)


def _spliced(ends: _Ends, _: int) -> None:
    """Bytes pass between the socket and a pipe, both ways."""
    client, server = ends
    receives, sends = os.pipe()
    try:
        server.sendall(_REQUEST)
        _await(client)
        if os.splice(client.fileno(), sends, len(_REQUEST)) != len(_REQUEST):
            raise _WrongError("not all that was there came into the pipe")
        if os.read(receives, len(_REQUEST)) != _REQUEST:
            raise _WrongError("something else came into the pipe")
        os.write(sends, _REQUEST[1:])
        if os.splice(receives, client.fileno(), len(_REQUEST) - 1) != len(_REQUEST) - 1:
            raise _WrongError("not all that was in the pipe was sent")
        _expect(server, _REQUEST[1:])
    finally:
        os.close(receives)
        os.close(sends)


def _encrypted(ends: _Ends, sockets: int) -> None:
    """Kernel TLS works on the socket, also when that is no longer in the map."""
    client, server = ends
    try:
        server.setsockopt(socket.IPPROTO_TCP, _TCP_ULP, b"tls")
    except OSError as error:
        if error.errno == errno.ENOENT:
            return  # this kernel has none
        raise
    client.setsockopt(socket.IPPROTO_TCP, _TCP_ULP, b"tls")
    for sender, receiver in (ends, (server, client)):
        sender.setsockopt(_SOL_TLS, _TLS_TX, _AES_GCM_128)
        receiver.setsockopt(_SOL_TLS, _TLS_RX, _AES_GCM_128)
    _exchange(ends, _REQUEST[1:])
    _dismiss(sockets)
    _exchange(ends, _REQUEST[1:])


def _dismissed(ends: _Ends, sockets: int) -> None:
    """A socket that is taken out of the map is one like all others."""
    client, server = ends
    client.sendall(_REQUEST)
    server.sendall(_REQUEST)
    _dismiss(sockets)
    client.sendall(_REQUEST)
    _expect(server, _WRITTEN + _REQUEST)
    _expect(client, _REQUEST)


_TRIALS: Final[tuple[tuple[str, Callable[[_Ends, int], None]], ...]] = (
    ("bytes are lost or changed", _intact),
    ("what a program writes into a message is not sent so", _written),
    ("FIONREAD is wrong", _told),
    ("splice is broken", _spliced),
    ("kernel TLS is broken", _encrypted),
    ("a socket that was taken out is broken", _dismissed),
)


@contextlib.contextmanager
def _connected() -> Iterator[_Ends]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname(), _SECONDS)
        with client:
            listening.settimeout(_SECONDS)
            server, _ = listening.accept()
            with server:
                server.settimeout(_SECONDS)
                yield client, server


def _enrol(sockets: int, client: socket.socket) -> None:
    key, value = ctypes.c_uint64(_KEY), ctypes.c_uint64(client.fileno())
    libbpf().integer("bpf_map_update_elem", sockets, ctypes.byref(key), ctypes.byref(value), 0)


def _dismiss(sockets: int) -> None:
    libbpf().integer("bpf_map_delete_elem", sockets, ctypes.byref(ctypes.c_uint64(_KEY)))


def _exchange(ends: _Ends, message: bytes) -> None:
    for sender, receiver in (ends, ends[::-1]):
        sender.sendall(message)
        _expect(receiver, message)


def _await(reader: socket.socket) -> None:
    if not select.select([reader], [], [], _SECONDS)[0]:
        raise _WrongError("what was sent did not arrive")


def _expect(receiver: socket.socket, expected: bytes) -> None:
    received = bytearray()
    while len(received) < len(expected) and (piece := receiver.recv(65536)):
        received += piece
    if received != expected:
        raise _WrongError(f"{len(received)} bytes arrived that are not the {len(expected)} sent")
