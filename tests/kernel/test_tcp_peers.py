"""TCP's health on each rung, down to the maps; more of it in integration/test_network_tcp.py."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import pytest

from otel_ebpf.kernel.attacher import Attacher
from otel_ebpf.kernel.bpf_object import OBJECTS
from otel_ebpf.kernel.ladder import (
    BASELINE,
    LADDERS,
    MODERN,
    PAYLOAD,
    TCP_RESET,
    TCP_STATE,
    TCP_SWEEP,
    UDP_CLOSE,
    UDP_IO,
)
from otel_ebpf.kernel.messages import Attach, Attached, Detach, Sweep
from otel_ebpf.kernel.tcp_peers import BUCKETS, PEER, PEER_KEY, TcpKind, TcpPeers
from otel_ebpf.signals.tcp_metrics import CONNECT_BOUNDS, DURATION_BOUNDS, RTT_BOUNDS
from tests.kernel.btf import Btf
from tests.kernel.test_wire_layout import offsets_of

pytestmark = pytest.mark.guest

TALK = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
port = server.getsockname()[1]
print(port, flush=True)
sys.stdin.readline()
kept = []
for number in range(20):
    client = socket.create_connection(("127.0.0.1", port))
    served = server.accept()[0]
    client.sendall(bytes(1000))
    left = 1000
    while left:
        left -= len(served.recv(left))
    if not number:
        kept = [client, served]
    else:
        client.close()
        served.recv(1)
        served.close()
with socket.socket() as refused:
    refused.bind(("127.0.0.1", 0))
    free = refused.getsockname()[1]
try:
    socket.create_connection(("127.0.0.1", free))
except ConnectionRefusedError:
    print(free, flush=True)
sys.stdin.readline()
"""


def on(rung: int, variant: str):
    """Ladders with one rung of those that have several, and one variant of all."""
    chosen = {**LADDERS}
    for capability in (TCP_STATE, TCP_RESET, TCP_SWEEP):
        ladder = LADDERS[capability]
        chosen[capability] = (replace(ladder[min(rung, len(ladder) - 1)], variants=(variant,)),)
    return {name: rungs for name, rungs in chosen.items() if name not in (PAYLOAD, "tls_library")}


@pytest.mark.parametrize("variant", [MODERN, BASELINE], ids=["modern", "baseline"])
@pytest.mark.parametrize("rung", [0, 1], ids=["tp_btf", "raw_tp"])
def test_each_rung_counts_the_same(rung, variant):
    attacher = Attacher(on(rung, variant))
    command = [sys.executable, "-c", TALK]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            port = int(child.stdout.readline())
            attached = attacher.handle(Attach(processes=64, connections=64, tcp_connections=4096))
            assert isinstance(attached, Attached)
            standings = {one.capability: one for one in attached.standings}
            if variant == MODERN and not standings[TCP_STATE].rung:
                return  # an older kernel, which takes the baseline alone
            assert all(standings[name].rung for name in (TCP_STATE, TCP_RESET, TCP_SWEEP)), standings
            peers = TcpPeers(attached.maps)
            peers.start()
            child.stdin.write("\n")
            child.stdin.flush()
            refused = int(child.stdout.readline())
            attacher.handle(Sweep())
            found = {(one.kind, one.port, one.error): one for one in peers.take() if one.process == child.pid}
            connected = found[TcpKind.CONNECTED, port, 0]
            accepted = found[TcpKind.ACCEPTED, port, 0]
            assert (connected.sent, accepted.received) == (20_000, 20_000)
            assert (connected.active, accepted.active) == (1, 1)
            assert sum(connected.time.counts) == sum(accepted.time.counts) == 19
            assert sum(connected.rtt.counts) >= 20
            assert sum(found[TcpKind.CONNECT, port, 0].time.counts) == 20
            assert sum(found[TcpKind.CONNECT, refused, 111].time.counts) == 1
            assert {one.address for one in found.values()} == {bytes(10) + b"\xff\xff\x7f\0\0\1"}
            attacher.handle(Sweep())
            again = {(one.kind, one.sent, one.active) for one in peers.take() if one.process == child.pid}
            assert again == {(TcpKind.CONNECTED, 0, 1), (TcpKind.ACCEPTED, 0, 1)}
            child.communicate("\n")
        finally:
            child.kill()
            attacher.handle(Detach())


def test_switched_off_nothing_is_attached_and_little_is_reserved():
    attacher = Attacher()
    try:
        without = Attach(processes=64, connections=64, network_tcp=False, network_udp=False, tls=False)
        costs = {one.capability: one.cost for one in attacher.handle(without).standings if not one.rung}
        for keys, names in {
            "network.tcp.enabled": (TCP_RESET,),
            "network.udp": (UDP_IO, UDP_CLOSE),
            "network.tcp.enabled and network.udp": (TCP_SWEEP,),
        }.items():
            assert {costs[name] for name in names} == {f"switched off: {keys}, or nobody takes metrics"}
        attacher.handle(Sweep())
    finally:
        attacher.handle(Detach())


@pytest.mark.parametrize(("name", "form"), [("tcp_peer_key", PEER_KEY), ("tcp_peer", PEER)])
def test_the_maps_mirror_the_structs(name, form):
    size, _ = Btf.of_object(OBJECTS / "tcp_state.bpf.o").struct(name)
    assert form.size == size == sum(length for _, length in offsets_of(form.format))


def test_both_sides_sort_by_the_same_bounds():
    text = (OBJECTS.parents[3] / "bpf" / "core" / "tcp_peer.h").read_text()
    units = {"US": 1e-6, "MS": 1e-3, "SECOND": 1.0, "MINUTE": 60.0}
    rows = re.search(r"tcp_bounds\[3\]\[TCP_BUCKETS - 1\] = \{(.*?)\n\};", text, re.DOTALL)[1]
    told = []
    for row in re.findall(r"\{(.*?)\}", rows, re.DOTALL):
        words = [word.strip() for word in row.split(",") if word.strip()]
        assert len(words) == BUCKETS - 1
        values = [word.split(" * ") for word in words if word != "NEVER"]
        told.append([float(one[0]) * units[one[1]] if len(one) > 1 else units[one[0]] for one in values])
    assert told == [pytest.approx(bounds) for bounds in (RTT_BOUNDS, CONNECT_BOUNDS, DURATION_BOUNDS)]
