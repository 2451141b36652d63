"""A TLS session without a socket: both ends in one thread, one request and its response. CERTIFICATE."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable


def until_done(step: Callable[[], object], other: Callable[[], object]) -> None:
    """Take turns until both handshakes are complete."""
    waiting = [step, other]
    while waiting:
        for one in tuple(waiting):
            try:
                one()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(one)


up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
ours, theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
ours.load_cert_chain(sys.argv[1])
theirs.check_hostname, theirs.verify_mode = False, ssl.CERT_NONE
server = ours.wrap_bio(up, down, server_side=True)
client = theirs.wrap_bio(down, up)
until_done(client.do_handshake, server.do_handshake)
client.write(b"GET /in-memory HTTP/1.1\r\nHost: nowhere\r\n\r\n")
assert server.read(4096).startswith(b"GET")
server.write(b"HTTP/1.1 204 No Content\r\n\r\n")
assert client.read(4096).startswith(b"HTTP")
