"""Sends and receives that leave a tracer without something: the bytes, the call, or TCP's own counters."""

from __future__ import annotations

import ctypes
import fcntl
import json
import mmap
import platform
import socket
import struct
import termios
import threading
import time
from collections.abc import Callable

_REPAIR, _REPAIR_QUEUE, _SEND_QUEUE = 19, 20, 2  # linux/tcp.h
_ZEROCOPY_RECEIVE = 35
_IO_SETUP, _IO_SUBMIT = (206, 209) if platform.machine() == "x86_64" else (0, 2)
_AIO_PWRITE = 1  # linux/aio_abi.h
_LIBC = ctypes.CDLL(None, use_errno=True)


class _Receive(ctypes.Structure):
    """struct tcp_zerocopy_receive: with a buffer to copy to, what fits there is copied (5.11)."""

    _fields_ = (
        ("address", ctypes.c_uint64),
        ("length", ctypes.c_uint32),
        ("skip", ctypes.c_uint32),
        ("queued", ctypes.c_uint32),
        ("error", ctypes.c_int32),
        ("copy_address", ctypes.c_uint64),
        ("copy_length", ctypes.c_int32),
        ("flags", ctypes.c_uint32),
    )


def receive_by_option(connection: socket.socket) -> bytes:
    """Receive by getsockopt, which no hook for receiving sees; b"" while there is nothing."""
    room = ctypes.create_string_buffer(65536)
    asked = _Receive(copy_address=ctypes.addressof(room), copy_length=len(room))
    size = ctypes.c_uint32(ctypes.sizeof(asked))
    failed = _LIBC.getsockopt(
        connection.fileno(), socket.IPPROTO_TCP, _ZEROCOPY_RECEIVE, ctypes.byref(asked), ctypes.byref(size)
    )
    assert not failed, f"getsockopt failed: {ctypes.get_errno()}"
    return room.raw[: asked.copy_length]


class _Message(ctypes.Structure):
    """struct msghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vector", ctypes.c_void_p),
        ("vector_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


def send_padded(connection: socket.socket, data: bytes) -> None:
    """Send in one call."""
    connection.sendall(data)


def send_by_aio(connection: socket.socket, data: bytes) -> None:
    """Send by io_submit, whose arguments do not say what is sent."""
    context = ctypes.c_ulong()
    assert not _LIBC.syscall(_IO_SETUP, 1, ctypes.byref(context))
    kept = ctypes.create_string_buffer(data, len(data))
    where = (ctypes.addressof(kept), len(data))
    block = ctypes.create_string_buffer(
        struct.pack("=QIIHhIQQqQII", 0, 0, 0, _AIO_PWRITE, 0, connection.fileno(), *where, 0, 0, 0, 0)
    )
    blocks = (ctypes.c_void_p * 1)(ctypes.addressof(block))
    assert _LIBC.syscall(_IO_SUBMIT, context, ctypes.c_long(1), blocks) == 1, ctypes.get_errno()


def send_in_repair(connection: socket.socket, data: bytes) -> None:
    """Send as a restored socket does: TCP takes the bytes for sent, and has not counted them."""
    connection.setsockopt(socket.IPPROTO_TCP, _REPAIR, 1)
    connection.setsockopt(socket.IPPROTO_TCP, _REPAIR_QUEUE, _SEND_QUEUE)
    connection.sendall(data)
    connection.setsockopt(socket.IPPROTO_TCP, _REPAIR, 0)


def _address(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def _wait_blocked(connection: socket.socket) -> None:
    """Wait until the queue of unsent bytes is not empty and has stood still for a while."""
    before, since = 0, time.monotonic()
    while time.monotonic() - since < 0.1:
        queued = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0]
        if queued != before or not queued:
            before, since = queued, time.monotonic()
        time.sleep(0.01)


def _send_and_lose(connection: socket.socket, send: Callable[[], int], memory: mmap.mmap) -> None:
    """Call `send`; while it blocks, drop the first page of `memory`, and say that the peer may read."""
    sent: list[int] = []
    thread = threading.Thread(target=lambda: sent.append(send()))
    thread.start()
    _wait_blocked(connection)
    memory.madvise(mmap.MADV_DONTNEED, 0, mmap.PAGESIZE)
    print(json.dumps({"waiting": threading.get_native_id()}), flush=True)
    thread.join()
    assert sent and sent[0] > 0, f"send failed: {ctypes.get_errno()}"  # noqa: PT018


def send_then_lose_bytes(connection: socket.socket, data: bytes) -> None:
    """Send from memory that is no longer there when the call returns."""
    memory = mmap.mmap(-1, len(data))
    memory.write(data)
    _send_and_lose(connection, lambda: connection.send(memory), memory)


def send_then_lose_message(connection: socket.socket, data: bytes) -> None:
    """Send by a `struct msghdr` that is no longer there when the call returns."""
    kept = ctypes.create_string_buffer(data, len(data))
    vector = (ctypes.c_uint64 * 2)(ctypes.addressof(kept), len(data))
    memory = mmap.mmap(-1, mmap.PAGESIZE)
    message = _Message(vector=ctypes.addressof(vector), vector_length=1)
    memory.write(bytes(message))
    at = ctypes.c_void_p(_address(memory))
    _send_and_lose(connection, lambda: int(_LIBC.sendmsg(connection.fileno(), at, 0)), memory)
