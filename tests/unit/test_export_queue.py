"""Layer: unit. The queue between the reader and the sender: bounds, batches, ages, the books."""

from __future__ import annotations

import logging
import sys
from types import FrameType

import pytest

from otel_ebpf.export import queue as queue_module
from otel_ebpf.export.books import SPANS
from otel_ebpf.export.otlp import encode_span
from otel_ebpf.export.queue import SPAN_OVERHEAD, SpanQueue
from otel_ebpf.export.settings import QueueSettings
from otel_ebpf.kernel.ledger import Ledger
from tests.export_samples import CART, SHOP, balance, span
from tests.otlp_receiver import decode_spans


def make(**settings: int | float) -> tuple[SpanQueue, Ledger]:
    ledger = Ledger()
    return SpanQueue(QueueSettings(**settings), ledger.shard()), ledger  # type: ignore[arg-type]


def fill(queue: SpanQueue, number: int, size: int = 10) -> None:
    for _ in range(number):
        queue.put(SHOP, b"x" * size)


def test_a_batch_is_a_request_with_the_spans_in_order() -> None:
    queue, _ = make(batch=3)
    for number, service in enumerate((SHOP, CART, SHOP)):
        queue.put(service, encode_span(span(number, service)))
    batch = queue.take(partial=False)
    assert batch is not None
    assert batch.items == 3
    paths = [(one.resource["service.name"], one.attributes["url.path"]) for one in decode_spans(batch.body)]
    assert paths == [("shop", "/users/0"), ("shop", "/users/2"), ("cart", "/users/1")]


def test_a_part_of_a_batch_is_taken_only_when_asked_for() -> None:
    queue, _ = make(batch=4)
    fill(queue, 6)
    first = queue.take(partial=False)
    assert first is not None
    assert first.items == 4
    assert queue.take(partial=False) is None
    rest = queue.take(partial=True)
    assert rest is not None
    assert rest.items == 2
    assert queue.take(partial=True) is None


def test_a_batch_is_bounded_by_bytes_and_a_larger_span_goes_alone() -> None:
    queue, _ = make(batch=100, request_size=1000)
    fill(queue, 5, size=400)
    queue.put(SHOP, b"x" * 5000)
    fill(queue, 1, size=400)
    sizes = []
    while (batch := queue.take(partial=True)) is not None:
        sizes.append(batch.items)
    assert sizes == [2, 2, 1, 1, 1]


def test_the_sender_is_woken_once_for_each_full_batch() -> None:
    queue, _ = make(batch=4)
    woken = []
    for _ in range(9):
        queue.put(SHOP, b"x")
        woken.append(queue.wake.is_set())
        queue.wake.clear()
    assert woken == [False, False, False, True, False, False, False, True, False]


def test_a_full_queue_drops_the_newest_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    queue, ledger = make(spans=5, batch=5)
    with caplog.at_level(logging.WARNING):
        for number in range(8):
            queue.put(SHOP, encode_span(span(number)))
    assert balance(ledger, SPANS) == {"queue_full": 3, "in_flight": 5}
    assert [record.getMessage() for record in caplog.records] == [queue_module._FULL % 1]
    batch = queue.take(partial=True)
    assert batch is not None
    assert [one.attributes["url.path"] for one in decode_spans(batch.body)] == [
        f"/users/{n}" for n in range(5)
    ]


def test_the_queue_is_bounded_by_bytes_until_a_batch_is_released() -> None:
    queue, ledger = make(size=10 * (100 + SPAN_OVERHEAD), batch=10)
    fill(queue, 12, size=100)
    assert balance(ledger, SPANS) == {"queue_full": 2, "in_flight": 10}
    batch = queue.take(partial=True)
    assert batch is not None
    fill(queue, 1, size=100)
    assert balance(ledger, SPANS)["queue_full"] == 3, "a batch that is being sent still takes its bytes"
    queue.release(batch)
    fill(queue, 1, size=100)
    assert balance(ledger, SPANS)["queue_full"] == 3


def test_the_number_dropped_is_said_every_thirty_seconds(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("otel_ebpf.export.throttle.monotonic", lambda: now)
    queue, _ = make(spans=1)
    fill(queue, 100)
    now += 31
    fill(queue, 1)
    now += 29
    fill(queue, 7)
    queue.discard()
    numbers = [record.args[0] for record in caplog.records if isinstance(record.args, tuple)]
    assert numbers == [1, 99, 7]


def test_a_batch_knows_when_its_oldest_span_came(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(queue_module, "monotonic", lambda: now)
    queue, _ = make(batch=2)
    for _ in range(3):
        fill(queue, 2)
        queue.tick()
        now += 50
    fill(queue, 2)
    born = []
    while (batch := queue.take(partial=True)) is not None:
        born.append(batch.born)
    assert born == [1000.0, 1050.0, 1100.0, 1150.0]


def test_ticks_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(queue_module, "monotonic", lambda: now)
    queue, _ = make(batch=2)
    for _ in range(10_000):
        fill(queue, 1)
        queue.tick()
        now += 0.001
    assert len(queue._marks) <= 11


def test_what_comes_after_the_end_is_lost_to_the_shutdown() -> None:
    queue, ledger = make()
    fill(queue, 3)
    assert queue.discard() == 3
    fill(queue, 2)
    totals = ledger.totals()
    assert (totals[SPANS.seen], totals[SPANS.shutdown], totals[SPANS.in_flight]) == (5, 2, 3)
    assert queue.take(partial=True) is None


def calls_of_a_put(queue: SpanQueue) -> int:
    """Return how many functions, C's too, one put calls."""
    calls = 0

    def count(_: FrameType, event: str, __: object) -> None:
        nonlocal calls
        calls += event.endswith("call")

    sys.setprofile(count)
    try:
        queue.put(SHOP, b"x")
    finally:
        sys.setprofile(None)
    return calls


def test_putting_does_not_slow_down_when_the_queue_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel_ebpf.export.throttle.monotonic", lambda: 1000.0)
    queue, ledger = make(spans=10)
    fill(queue, 11)
    at_first = calls_of_a_put(queue)
    fill(queue, 100_000)
    assert calls_of_a_put(queue) == at_first < 10
    assert balance(ledger, SPANS) == {"queue_full": 100_003, "in_flight": 10}
