"""Layer: unit. The sender's rules, with an exporter that answers as it is told."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from otel_ebpf.export.books import SPANS
from otel_ebpf.export.outcome import Outcome, Verdict
from otel_ebpf.export.queue import Batch, SpanQueue
from otel_ebpf.export.sender import Backoff, Sender
from otel_ebpf.export.settings import QueueSettings
from otel_ebpf.kernel.ledger import Ledger
from tests.export_samples import SHOP, balance, columns_of
from tests.waiting import wait_for

ACCEPTED = Outcome(Verdict.ACCEPTED)
REFUSED = Outcome(Verdict.REFUSED, "no such thing")
RETRY = Outcome(Verdict.RETRY, "connection refused")


class Told:
    """Answers `answers` one after the other, then `last`."""

    target = "http://backend"

    def __init__(self, *answers: Outcome, last: Outcome = ACCEPTED) -> None:
        self.answers = list(answers)
        self.last = last
        self.times: list[float] = []
        self.timeouts: list[float] = []
        self.closed = threading.Event()

    def send(self, body: bytes, timeout: float) -> Outcome:
        self.times.append(time.monotonic())
        self.timeouts.append(timeout)
        return self.answers.pop(0) if self.answers else self.last

    def close(self) -> None:
        self.closed.set()


class Hanging(Told):
    """Does not answer until it is closed, and then that it has accepted."""

    def send(self, body: bytes, timeout: float) -> Outcome:
        super().send(body, timeout)
        self.closed.wait()
        return ACCEPTED


class Stage:
    def __init__(self, exporter: Told, *, batch: int = 10, delay: float = 0.01, age: float = 300.0) -> None:
        self.ledger = Ledger()
        self.exporter = exporter
        self.queue = SpanQueue(QueueSettings(batch=batch), self.ledger.shard())
        self.sender = Sender(
            self.queue, exporter, SPANS, self.ledger.shard(), delay=delay, timeout=3600.0, age=age
        )

    def put(self, number: int) -> None:
        for _ in range(number):
            self.queue.put(SHOP, b"x" * 10)

    def wait(self, **columns: int) -> None:
        wait_for(lambda: columns_of(self.ledger, SPANS) == columns, lambda: columns_of(self.ledger, SPANS))

    def wait_for_an_attempt(self) -> None:
        wait_for(lambda: self.exporter.times)

    def ask_to_stop(self, seconds: float) -> None:
        self.sender.ask_to_stop(time.monotonic() + seconds)

    def stop(self, seconds: float = 60.0) -> None:
        self.ask_to_stop(seconds)
        self.sender.stop()

    def join(self) -> None:
        self.sender._thread.join(30)
        assert not self.sender._thread.is_alive()

    @contextmanager
    def running(self) -> Iterator[None]:
        self.sender.start()
        yield
        self.stop()
        self.join()


@pytest.fixture(autouse=True)
def _quick_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backoff, "FIRST", 0.02)


@pytest.fixture
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel_ebpf.export.sender.uniform", lambda low, high: (low + high) / 2)


def test_accepted() -> None:
    stage = Stage(Told())
    with stage.running():
        stage.put(25)
        stage.wait(passed=25)
    assert balance(stage.ledger, SPANS) == {"passed": 25}
    assert stage.exporter.closed.is_set()


def test_what_is_queued_at_the_stop_is_sent() -> None:
    stage = Stage(Told(), delay=60)
    with stage.running():
        stage.put(5)
    assert balance(stage.ledger, SPANS) == {"passed": 5}


def test_what_is_queued_when_the_stop_comes_amid_a_look_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(Told(), delay=60)
    take = stage.queue.take

    def take_and_stop(partial: bool) -> Batch | None:
        batch = take(partial)
        stage.ask_to_stop(60)
        return batch

    monkeypatch.setattr(stage.queue, "take", take_and_stop)
    stage.put(5)
    stage.sender.start()
    stage.join()
    assert balance(stage.ledger, SPANS) == {"passed": 5}


def test_partial_success_is_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(Told(Outcome(Verdict.ACCEPTED, "two were bad", rejected=2)))
    with stage.running():
        stage.put(10)
    assert balance(stage.ledger, SPANS) == {"passed": 8, "rejected": 2}
    assert "two were bad" in caplog.text


@pytest.mark.parametrize("rejected", [-5, 1000])
def test_a_nonsensical_number_of_rejected_spans_keeps_the_books(rejected: int) -> None:
    stage = Stage(Told(Outcome(Verdict.ACCEPTED, rejected=rejected)))
    with stage.running():
        stage.put(10)
    assert balance(stage.ledger, SPANS) in ({"passed": 10}, {"rejected": 10})


def test_refused_is_not_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(Told(REFUSED))
    stage.put(10)
    with stage.running():
        stage.wait(failed=10)
    assert len(stage.exporter.times) == 1
    assert "no such thing" in caplog.text


def test_retried_until_accepted(caplog: pytest.LogCaptureFixture, no_jitter: None) -> None:
    stage = Stage(Told(RETRY, RETRY, RETRY))
    stage.put(10)
    with caplog.at_level(logging.INFO), stage.running():
        stage.wait(passed=10)
    first, second, third, last = stage.exporter.times
    backoff = Backoff()
    assert second - first >= backoff.next()
    assert third - second >= backoff.next()
    assert last - third >= backoff.next()
    lines = [record.getMessage() for record in caplog.records]
    assert sum("connection refused" in line for line in lines) == 1, "said once, not for each attempt"
    assert lines[-1] == "http://backend accepts spans again"


def test_the_backend_says_how_long_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backoff, "FIRST", 3600.0)
    stage = Stage(Told(RETRY._replace(delay=0.3)))
    stage.put(10)
    with stage.running():
        stage.wait(passed=10)
    first, second = stage.exporter.times
    assert second - first >= 0.3


def test_expired_after_the_age_limit_and_each_batch_is_tried_once() -> None:
    stage = Stage(Told(last=RETRY), age=0.2)
    with stage.running():
        stage.put(30)
        stage.wait(expired=30)
    assert len(stage.exporter.times) >= 3


def test_a_stop_gives_a_batch_in_backoff_one_last_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backoff, "FIRST", 3600.0)
    stage = Stage(Told(RETRY))
    with stage.running():
        stage.put(10)
        stage.wait_for_an_attempt()
    assert balance(stage.ledger, SPANS) == {"passed": 10}


def test_a_stop_amid_an_attempt_that_fails_gives_it_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backoff, "FIRST", 3600.0)
    stage = Stage(Told(RETRY))
    send = stage.exporter.send

    def stop_and_send(body: bytes, timeout: float) -> Outcome:
        stage.ask_to_stop(60)
        return send(body, timeout)

    monkeypatch.setattr(stage.exporter, "send", stop_and_send)
    stage.put(10)
    stage.sender.start()
    stage.join()
    assert balance(stage.ledger, SPANS) == {"passed": 10}


def test_a_stop_does_not_wait_for_a_backend_that_is_away(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(Told(last=RETRY._replace(delay=300.0)))
    stage.sender.start()
    stage.put(25)
    stage.wait_for_an_attempt()
    stage.ask_to_stop(200)
    stage.join()  # long before that
    stage.sender.stop()
    assert balance(stage.ledger, SPANS) == {"shutdown": 25}
    assert "25 spans not sent" in caplog.text


def test_a_stop_does_not_wait_for_a_backend_that_hangs() -> None:
    stage = Stage(Hanging())
    stage.sender.start()
    stage.put(25)
    stage.wait_for_an_attempt()
    stage.stop(0.2)  # does not end if it waits: the backend answers once it is closed
    assert balance(stage.ledger, SPANS) == {"shutdown": 25}
    stage.join()
    assert balance(stage.ledger, SPANS) == {"shutdown": 25}, "its late answer is not counted too"


def test_an_attempt_during_the_stop_has_only_the_time_that_is_left() -> None:
    stage = Stage(Told(), delay=60)
    with stage.running():
        stage.put(1)
    (timeout,) = stage.exporter.timeouts
    assert timeout <= 60.0


def test_the_books_balance_while_spans_come_and_everything_happens() -> None:
    partial = Outcome(Verdict.ACCEPTED, "some", rejected=3)
    stage = Stage(Told(*[ACCEPTED, REFUSED, RETRY, partial, RETRY, ACCEPTED] * 20))
    stage.sender.start()
    for _ in range(200):
        stage.put(7)
        time.sleep(0.001)
    stage.stop()
    columns = balance(stage.ledger, SPANS)
    assert set(columns) <= {"passed", "failed", "rejected", "shutdown"}
    assert {"passed", "failed", "rejected"} <= set(columns)
    assert sum(columns.values()) == 1400


def test_stop_without_start_counts_what_is_queued() -> None:
    stage = Stage(Told())
    stage.put(3)
    stage.stop(0.1)
    assert balance(stage.ledger, SPANS) == {"shutdown": 3}


def test_backoff_grows_to_its_limit_and_begins_again() -> None:
    backoff = Backoff()
    delays = [backoff.next() for _ in range(40)]
    assert 0.02 * 0.7 <= delays[0] <= 0.02 * 1.3
    for earlier, later in zip(delays, delays[4:], strict=False):
        assert later > earlier or later >= 21.0, "four steps are more than the spread"
    assert all(21.0 <= delay <= 39.0 for delay in delays[-5:])
    assert len(set(delays[-5:])) > 1, "spread, so that agents do not come back together"
    backoff.reset()
    assert backoff.next() <= 0.02 * 1.3


def test_backoff_grows_by_the_same_factor_each_time(no_jitter: None) -> None:
    backoff = Backoff()
    delays = [backoff.next() for _ in range(20)]
    assert delays[:4] == pytest.approx([0.02, 0.032, 0.0512, 0.08192])
    assert delays == sorted(delays)
    assert delays[-1] == 30.0
