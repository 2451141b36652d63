"""Signals, client spans: who answers at their server's address."""

from __future__ import annotations

from signals_support import CLIENT, SERVER, SHOP, Bench, attributes, call, record, span_of

from otel_ebpf.identity.peer_names import Address, Peer, PeerNames
from otel_ebpf.kernel.ledger import Shard
from otel_ebpf.protocols.calls import Operation
from otel_ebpf.signals.http import HttpSpans
from otel_ebpf.signals.redaction import Redaction
from otel_ebpf.signals.routes import Routes

TILL = {"service.peer.name": "till", "service.peer.namespace": "sales"}


def test_a_client_s_server_has_a_name() -> None:
    """From when it is known on, and as long as it is so; none of that is in metrics."""
    peers, rerouted = PeerNames(Shard()), list[int]()
    maker = HttpSpans(Routes(), Redaction(), lambda: rerouted.append(1), peer_names=peers)
    asked = call(of=record(role=CLIENT))
    without = attributes(span_of(asked, maker))
    assert not without.keys() & TILL.keys()
    peers.put("a", Peer("till", "sales"), [Address("10.0.0.1", 8080)])
    assert peers.changed()
    maker.renamed()
    assert rerouted
    assert attributes(span_of(asked, maker)) == without | TILL
    assert not dict(maker.plan(asked, SHOP).shape.metric_attributes).keys() & TILL.keys()
    peers.remove("a")
    maker.renamed()
    assert attributes(span_of(asked, maker)) == without


def test_a_client_s_database_has_a_name() -> None:
    """So have servers of all protocols."""
    peers = PeerNames(Shard())
    bench = Bench(peer_names=peers)
    asked = call(Operation("get", (), "", None, None), record(role=CLIENT))
    bench.stage.call(asked, SHOP)
    peers.put("a", Peer("till", "sales"), [Address("10.0.0.1", 8080)])
    bench.stage.renamed()
    bench.stage.call(asked, SHOP)
    before, after = map(attributes, bench.spans)
    assert after == before | TILL
    assert not before.keys() & TILL.keys()


def test_servers_name_nobody() -> None:
    peers = PeerNames(Shard())
    peers.put("a", Peer("till", "sales"), [Address("10.0.0.1", 8080)])
    maker = HttpSpans(Routes(), Redaction(), lambda: None, peer_names=peers)
    assert not attributes(span_of(call(of=record(role=SERVER)), maker)).keys() & TILL.keys()
