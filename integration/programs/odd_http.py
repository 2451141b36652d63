"""Plays one side of a conversation over a plain socket, word for word.

    odd_http.py serve SCRIPT    listens on a free port of loopback, prints {"port": N}, plays SCRIPT
    odd_http.py call PORT SCRIPT

SCRIPT is a file, as command lines are exported: {"steps": [...], "connections": 1, "repeat": 1,
"local_port": 0, "port": 0} in JSON. Each of `connections` at once is played by a thread of its own,
`repeat` of them one after another. A step is a list: its name and its arguments (the `do_` methods).
Text is Latin-1, a character for each byte.

A line on standard input releases every `wait`. At the end {"took": {name: seconds}} is printed, of
the steps `mark`, and the status is 0 unless a step failed.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import odd_sends
import odd_tls

Step = list[Any]
_BLOCK = 1 << 20


class Player:
    """One connection and what is left to be done on it."""

    released = threading.Event()
    marks: ClassVar[dict[str, float]] = {}
    courier: socket.socket | None = None  # to the child that takes over connections

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pending = b""

    def play(self, steps: list[Step]) -> None:
        for name, *arguments in steps:
            getattr(self, f"do_{name}")(*arguments)

    def do_send(self, text: str) -> None:
        """Send the text in one call."""
        self.connection.sendall(text.encode("latin-1"))

    def do_send_bytewise(self, text: str) -> None:
        """Send the text a byte a call."""
        for byte in text.encode("latin-1"):
            self.connection.send(bytes([byte]))

    def do_send_zeros(self, count: int) -> None:
        """Send so many bytes of nothing."""
        block = memoryview(bytes(8 * _BLOCK))
        while count:
            count -= self.connection.send(block[:count] if count < len(block) else block)

    def do_send_odd(self, how: str, text: str, size: int = 0) -> None:
        """Send the text, followed by zeros up to `size`, by one of the functions of `odd_sends`."""
        getattr(odd_sends, how)(self.connection, text.encode("latin-1").ljust(size, b"\0"))

    def do_tls(self, how: str, *arguments: str) -> None:
        """Go on over what one of the functions of `odd_tls` makes of the connection."""
        self.connection = getattr(odd_tls, how)(self.connection, *arguments)

    def do_narrow(self) -> None:
        """Make the socket's buffers small, so that large sends block."""
        for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            self.connection.setsockopt(socket.SOL_SOCKET, buffer, 65536)

    def do_until(self, text: str, at_most: int = 65536) -> None:
        """Receive, at most so many bytes a call, up to and with this text."""
        wanted = text.encode("latin-1")
        while wanted not in self._pending:
            received = self.connection.recv(at_most)
            if not received:
                raise ConnectionError(f"the peer left before {text!r}, after {self._pending[-200:]!r}")
            self._pending += received
        self._pending = self._pending.partition(wanted)[2]

    def do_until_unseen(self, text: str) -> None:
        """Receive up to and with this text by a call that no hook for receiving sees."""
        received = b""
        while not received.endswith(text.encode("latin-1")):
            received += odd_sends.receive_by_option(self.connection)
            time.sleep(0.005)

    def do_count(self, count: int) -> None:
        """Receive so many bytes."""
        count -= len(self._pending)
        self._pending = b""
        block = bytearray(8 * _BLOCK)
        view = memoryview(block)
        while count > 0:
            received = self.connection.recv_into(view, min(count, len(block)))
            if not received:
                raise ConnectionError(f"the peer left {count} bytes early")
            count -= received

    def do_eof(self) -> None:
        """Receive until the peer has closed, or has reset the connection."""
        try:
            while self.connection.recv(_BLOCK):
                pass
        except ConnectionResetError:
            return

    def do_timeout(self, seconds: float) -> None:
        """Wait that long for a byte that must not come."""
        self.connection.settimeout(seconds)
        try:
            received = self.connection.recv(1)
        except TimeoutError:
            return
        finally:
            self.connection.settimeout(None)
        raise ConnectionError(f"unexpected: {received!r}")

    def do_sleep(self, seconds: float) -> None:
        """Pause."""
        time.sleep(seconds)

    def do_wait(self) -> None:
        """Pause until a line comes in on standard input."""
        print(json.dumps({"waiting": threading.get_native_id()}), flush=True)
        released = self.released.wait(120 * float(os.environ.get("OTEL_EBPF_TEST_SLACK", "1")))
        assert released, "nobody released it"

    def do_shutdown(self) -> None:
        """Say that nothing more will be sent."""
        self.connection.shutdown(socket.SHUT_WR)

    def do_close(self) -> None:
        """Close."""
        self.connection.close()

    def do_reset(self) -> None:
        """Close by a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def do_thread(self, steps: list[Step]) -> None:
        """Play steps on the same socket in another thread, to their end."""
        failed: list[BaseException] = []

        def run() -> None:
            try:
                self.play(steps)
            except OSError as error:
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]

    def do_mark(self, name: str) -> None:
        """Note the time under this name; the second note of a name ends its measurement."""
        now = time.monotonic()
        self.marks[name] = now - self.marks[name] if name in self.marks else now

    def do_pass_on(self, steps: list[Step]) -> None:
        """Hand the connection to the child process that was forked at the start; it plays the steps."""
        assert self.courier is not None
        message = json.dumps(steps).encode()
        socket.send_fds(self.courier, [message], [self.connection.fileno()])
        self.connection.close()
        assert self.courier.recv(1) == b".", "the child failed"


def fork_courier() -> socket.socket:
    """Fork a child that plays what it is handed, as servers do whose acceptor does not serve."""
    ours, theirs = socket.socketpair()
    if os.fork():
        theirs.close()
        return ours
    ours.close()
    while True:
        message, descriptors, _, _ = socket.recv_fds(theirs, 65536, 1)
        if not descriptors:
            os._exit(0)
        player = Player(socket.socket(fileno=descriptors[0]))
        player.play(json.loads(message))
        player.connection.close()
        theirs.send(b".")


def listen_to_stdin() -> None:
    """Release the waiting steps when a line comes in."""
    if sys.stdin.readline():
        Player.released.set()


def open_connections(mode: str, script: dict[str, Any]) -> Any:
    """Yield connected sockets, as many as the script says."""
    total = script.get("connections", 1) * script.get("repeat", 1)
    if mode == "call":
        for _ in range(total):
            connection = socket.socket()
            if script.get("local_port"):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                connection.bind(("127.0.0.1", script["local_port"]))
            connection.connect(("127.0.0.1", int(sys.argv[2])))
            yield connection
        return
    listener = socket.create_server(("127.0.0.1", script.get("port", 0)), backlog=512)
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    for _ in range(total):
        yield listener.accept()[0]
    listener.close()


def main() -> int:
    mode, script = sys.argv[1], json.loads(Path(sys.argv[-1]).read_text())
    steps: list[Step] = script["steps"]
    failures: list[str] = []
    threading.stack_size(256 << 10)
    if any(step[0] == "pass_on" for step in steps):
        Player.courier = fork_courier()
    threading.Thread(target=listen_to_stdin, daemon=True).start()

    def play(connection: socket.socket) -> None:
        with connection:
            try:
                Player(connection).play(steps)
            except (OSError, AssertionError) as error:
                failures.append(repr(error))

    threads = []
    for connection in open_connections(mode, script):
        if script.get("repeat", 1) > 1:
            play(connection)
            continue
        threads.append(threading.Thread(target=play, args=(connection,)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    print(json.dumps({"took": Player.marks, "failures": failures}), flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    # Not sys.exit: a thread may still be reading standard input.
    status = main()
    sys.stdout.flush()
    os._exit(status)
