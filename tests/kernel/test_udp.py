"""UDP, down to the maps: its programs called by the payload's, or by nobody, and calling those of lookups."""

from __future__ import annotations

import subprocess
import sys

import pytest

from otel_ebpf.kernel.attacher import Attacher
from otel_ebpf.kernel.ladder import DNS_PACKETS, LADDERS, PAYLOAD, UDP_CLOSE, UDP_IO
from otel_ebpf.kernel.messages import Attach, Attached, Detach, Sweep
from otel_ebpf.kernel.tcp_peers import TcpKind, TcpPeers
from tests.kernel.test_loading import OLD, SMALL

pytestmark = [] if OLD else [pytest.mark.guest]  # in guests nothing skips

TALK = """
import socket
bound, connected = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
raw = socket.socket(type=socket.SOCK_RAW, proto=socket.IPPROTO_UDP)
bound.bind(("127.0.0.1", 0))
connected.connect(bound.getsockname())
connected.send(bytes(70))
bound.recv(70)
raw.recv(1000)
print(bound.getsockname()[1])
"""


@pytest.mark.skipif(OLD, reason="its tracepoints are newer (6.3)")
@pytest.mark.parametrize("left_out", [(), (PAYLOAD,), (DNS_PACKETS,), (PAYLOAD, DNS_PACKETS)], ids=str)
def test_bytes_and_drops(left_out):
    attacher = Attacher({name: rungs for name, rungs in LADDERS.items() if name not in left_out})
    try:
        attached = attacher.handle(Attach(**SMALL))
        assert isinstance(attached, Attached)
        standing = {one.capability: one.rung for one in attached.standings}
        first = PAYLOAD in left_out or standing[PAYLOAD] != "socket_trace"
        assert standing[UDP_IO] == ("socket_trace" if first else "tail_call")
        if DNS_PACKETS not in left_out:
            assert standing[DNS_PACKETS] == "tail_call"
        assert standing[UDP_CLOSE] == "cgroup"
        attacher.handle(Sweep())
        peers = TcpPeers(attached.maps)
        peers.start()
        with subprocess.Popen([sys.executable, "-c", TALK], stdout=subprocess.PIPE, text=True) as child:
            port = int(child.communicate()[0])
        its = (one for one in peers.take() if one.kind is TcpKind.UDP and one.process == child.pid)
        found = {(one.port, one.sent, one.received, one.overflows) for one in its}
        assert found == {(port, 70, 0, 0), (0, 0, 70, 0)}, "whose port nobody has chosen serves nobody"
    finally:
        attacher.handle(Detach())
