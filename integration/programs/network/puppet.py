"""Does with sockets what it is told, line by line on standard input; answers each line with one of JSON.

A line is the name of one of the functions below, and what it takes, as a JSON list. Sockets have the numbers
in which they were made. A line of several sockets is done for each of them in turn.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

UDP_SEGMENT = 103  # include/uapi/linux/udp.h
TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE = 19, 20, 2  # include/uapi/linux/tcp.h

made: list[socket.socket] = []
listening: list[socket.socket] = []


def _keep(new: socket.socket) -> int:
    made.append(new)
    return len(made) - 1


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def listen(address: str, port: int, backlog: int) -> int:
    """Listen; `::` takes IPv4 too. Returns the port."""
    new = socket.socket(_family(address))
    new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if address == "::":
        new.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    new.bind((address, port))
    new.listen(backlog)
    listening.append(new)
    return int(new.getsockname()[1])


def accept(number: int) -> list[int]:
    return [_keep(listening[-1].accept()[0]) for _ in range(number)]


def connect(address: str, port: int, number: int) -> list[int]:
    found = []
    for _ in range(number):
        new = socket.socket(_family(address))
        new.connect((address, port))
        found.append(_keep(new))
    return found


def attempt(address: str, port: int, seconds: float) -> str:
    """Try to connect, for so long; returns the error's name, and gives the socket up."""
    with socket.socket(_family(address)) as new:
        new.settimeout(seconds or None)
        try:
            new.connect((address, port))
        except TimeoutError as error:
            return "ETIMEDOUT" if error.errno else "gave up"
        except OSError as error:
            return str(error.errno)
    return ""


def send(numbers: list[int], length: int) -> None:
    for number in numbers:
        made[number].sendall(bytes(length))


def say(numbers: list[int], text: str) -> None:
    for number in numbers:
        made[number].sendall(text.encode())


def hear(numbers: list[int], length: int) -> str:
    """Read so many bytes in one call from each; returns the last one's."""
    return [made[number].recv(length, socket.MSG_WAITALL) for number in numbers][-1].decode()


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def receive(numbers: list[int], length: int) -> None:
    for number in numbers:
        left = length
        while left:
            got = made[number].recv(min(left, 1 << 20))
            assert got, f"{left} bytes did not come"
            left -= len(got)


def end(numbers: list[int]) -> None:
    """Read the peer's FIN, or its reset."""
    for number in numbers:
        with contextlib.suppress(ConnectionResetError):
            assert not made[number].recv(1)


def close(numbers: list[int]) -> None:
    for number in numbers:
        made[number].close()


def hang_up() -> None:
    """Listen no more; who waits in the queue is sent away."""
    listening.pop().close()


def reset(numbers: list[int]) -> None:
    for number in numbers:
        made[number].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        made[number].close()


def restore(numbers: list[int], length: int) -> None:
    """Send as a restored socket does: TCP takes the bytes for sent, and has not counted them."""
    for number in numbers:
        made[number].setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        made[number].setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE)
        made[number].sendall(bytes(length))
        made[number].setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 0)


def visit_each(port: int, number: int) -> None:
    """Connect once to so many addresses of the loopback network, send a byte, and close."""
    for index in range(number):
        address = f"127.1.{index >> 8}.{index & 255}"
        with socket.create_connection((address, port)) as one:
            one.sendall(b"x")
            listening[-1].accept()[0].close()


def fork_each(port: int, number: int) -> None:
    """Have so many processes connect once each."""
    for _ in range(number):
        child = os.fork()
        if not child:
            socket.create_connection(("127.0.0.1", port)).close()
            os._exit(0)
        os.waitpid(child, 0)
        listening[-1].accept()[0].close()


def datagrams(address: str, port: int, number: int) -> list[int]:
    """Make UDP sockets, bound unless the port is 0: the first to it, the others to the ports behind it."""
    found = []
    for index in range(number):
        new = socket.socket(_family(address), socket.SOCK_DGRAM)
        if port:
            new.bind((address, port + index))
        found.append(_keep(new))
    return found


def reach(numbers: list[int], address: str, port: int) -> None:
    """Connect sockets of UDP."""
    for number in numbers:
        made[number].connect((address, port))


def throw(numbers: list[int], address: str, port: int, length: int, count: int) -> None:
    """Send so many datagrams; to whom the sockets are connected without an address."""
    for number in numbers:
        for _ in range(count):
            if address:
                made[number].sendto(bytes(length), (address, port))
            else:
                made[number].send(bytes(length))


def throw_at_each(numbers: list[int], address: str, port: int, length: int, count: int) -> None:
    """The same, to so many ports beginning with that."""
    for number in numbers:
        for index in range(count):
            made[number].sendto(bytes(length), (address, port + index))


def throw_in_one(numbers: list[int], segment: int, length: int) -> None:
    """Have the kernel cut what one call sends into datagrams (UDP_SEGMENT)."""
    for number in numbers:
        made[number].setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, segment)
        made[number].send(bytes(length))


def catch(numbers: list[int], count: int, length: int) -> int:
    """Look at so many datagrams and then read them, to this length each; returns the bytes."""
    found = 0
    for number in numbers:
        for _ in range(count):
            made[number].recv(length, socket.MSG_PEEK)
            found += len(made[number].recv(length))
    return found


def look_up(name: str) -> bool:
    """Ask the C library for a name's addresses; say whether it has found some."""
    try:
        return bool(socket.getaddrinfo(name, 80))
    except socket.gaierror:
        return False


def ask_again(address: str, name: str) -> None:
    """Ask a name server, as a program with a resolver of its own, that answers the second question alone."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    message = struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + labels + struct.pack(">BHH", 0, 1, 1)
    with socket.socket(_family(address), socket.SOCK_DGRAM) as new:
        new.connect((address, 53))
        new.send(message)
        new.send(message)
        new.recv(512)


def hold_little(numbers: list[int]) -> None:
    for number in numbers:
        made[number].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)


def main() -> None:
    known: dict[str, Callable[..., Any]] = {
        one.__name__: one
        for one in (
            *(listen, accept, connect, attempt, send, receive, end),
            *(datagrams, reach, throw, throw_at_each, throw_in_one, catch, hold_little),
            *(say, hear, sleep, close, hang_up, reset, restore, visit_each, fork_each, look_up, ask_again),
        )
    }
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(known[name](*arguments)), flush=True)


if __name__ == "__main__":
    main()
