"""The thread that sends one signal's batches, and the rules by which it tries again.

OTLP specification, "Failures" and "Throttling": what may be retried is retried with exponential
backoff and jitter, or after the time that the backend asks for. One batch is under way at a time;
what comes meanwhile waits in the queue, which is bounded.
"""

from __future__ import annotations

from logging import ERROR, INFO, WARNING, getLogger
from random import uniform
from threading import Event, Lock, Thread
from time import monotonic, sleep
from typing import Final

from otel_ebpf.export.books import Books
from otel_ebpf.export.outcome import Exporter, Outcome, Verdict
from otel_ebpf.export.own import Level
from otel_ebpf.export.queue import Batch, Source
from otel_ebpf.export.throttle import Throttle
from otel_ebpf.health import GRACE_SECONDS, Pulse
from otel_ebpf.kernel.ledger import Shard

__all__ = ["Backoff", "Sender"]

logger = getLogger(__name__)

TICK: Final = 1.0
LONGEST_REQUESTED_DELAY: Final = 300.0
SMALLEST_TIMEOUT: Final = 0.05


class Backoff:
    """Delays between attempts, in seconds: 1, 1.6, 2.6, ... to 30, each spread by 30 % either way."""

    FIRST: Final = 1.0
    FACTOR: Final = 1.6
    LONGEST: Final = 30.0
    JITTER: Final = 0.3

    def __init__(self) -> None:
        self._delay = self.FIRST

    def next(self) -> float:
        """Return the delay before the next attempt."""
        delay = self._delay
        self._delay = min(delay * self.FACTOR, self.LONGEST)
        return delay * uniform(1 - self.JITTER, 1 + self.JITTER)  # noqa: S311 (spread, not secrecy)

    def reset(self) -> None:
        """Begin again: the backend answers."""
        self._delay = self.FIRST


class Sender:
    """Sends what `source` gives to `exporter`, and enters in the ledger what became of it."""

    def __init__(
        self,
        source: Source,
        exporter: Exporter,
        books: Books,
        shard: Shard,
        *,
        delay: float,
        timeout: float,
        age: float,
    ) -> None:
        """`delay`, `timeout` and `age` are seconds; `shard` is the sender's own."""
        self._source = source
        self._exporter = exporter
        self._books = books
        self._counts = shard.counts
        self._delay = delay
        self._timeout = timeout
        self._age = age
        self._backoff = Backoff()
        self._not_before = 0.0
        self._stopping = Event()
        self._deadline = float("inf")
        self._hurried = False
        self._current: Batch | None = None
        self._settling = Lock()
        self._given_up = False
        self._failing = False
        self._unreachable = Throttle(logger, WARNING)
        self._refused = Throttle(logger, ERROR)
        self._partly = Throttle(logger, WARNING)
        self.pulse = Pulse(f"sends {books.unit}", max(delay, timeout) + GRACE_SECONDS)
        self._thread = Thread(target=self._run, name=f"send {books.unit}", daemon=True)

    @property
    def unit(self) -> str:
        """What it sends, in one word or two."""
        return self._books.unit

    def level(self) -> Level:
        """Return how full the queue is. Any thread."""
        return self._source.level()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def ask_to_stop(self, deadline: float) -> None:
        """Let the thread send what it can until `deadline` (monotonic seconds) and end."""
        self._deadline = deadline
        self._stopping.set()
        self._source.wake.set()

    def stop(self) -> None:
        """Wait for the thread until the deadline; count what it could not send as shutdown."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, self._deadline - monotonic()))
        with self._settling:
            self._given_up = True
            batch, self._current = self._current, None
            lost = batch.items if batch and not self._source.keep(batch) else 0
            left = self._source.discard() + lost
            self._counts[self._books.shutdown] += left
            self._counts[self._books.in_flight] -= left
        if left:
            logger.warning(
                "stopped with %d %s not sent to %s, which are lost: was it up, and is it fast enough?",
                *(left, self._books.unit, self._exporter.target),
                extra={"number": left, "target": self._exporter.target},
            )
        self._exporter.close()

    def _run(self) -> None:
        self.pulse.begin()
        self._send_all()
        self.pulse.end()

    def _send_all(self) -> None:
        partial = False
        while True:
            self.pulse.beat()
            stopping = self._stopping.is_set()  # read once: what a full queue has not is then asked for again
            batch = self._next(partial or stopping)
            if batch is not None:
                if not self._deliver(batch):
                    return
            elif stopping:
                return
            else:
                # A wake-up says that a batch is full; silence for `delay`, that a part must do.
                partial = not self._source.wake.wait(self._delay)
                self._source.wake.clear()

    def _next(self, partial: bool) -> Batch | None:
        """Take a batch. Under the lock, so that `stop` finds each span in the queue or in `_current`."""
        self._source.tick()
        with self._settling:
            if not self._given_up:
                self._current = self._source.take(partial)
            return self._current

    def _deliver(self, batch: Batch) -> bool:
        """Send `batch` until it is settled or kept; False when it is time to stop."""
        attempted = False
        while self._pause():
            if attempted and monotonic() - batch.born > self._age:
                self._expire(batch)
                return True
            outcome = self._exporter.send(batch.body, self._time_for_attempt())
            attempted = True
            if outcome.verdict is not Verdict.RETRY:
                self._settle(batch, outcome)
                return True
            kept = self._keep(batch)
            self._postpone(outcome, kept)
            if kept:
                return not self._stopping.is_set()
        return False

    def _keep(self, batch: Batch) -> bool:
        """Give a batch that cannot be sent back, if the source can keep it: it comes again."""
        with self._settling:
            if self._current is batch and self._source.keep(batch):
                self._current = None
                return True
            return False

    def _time_for_attempt(self) -> float:
        return max(SMALLEST_TIMEOUT, min(self._timeout, self._deadline - monotonic()))

    def _pause(self) -> bool:
        """Wait until the next attempt is due; False when that is after the deadline.

        A stop cuts the pause short for one last attempt: with the connection just back it may do.
        """
        self.pulse.beat()
        while (left := self._not_before - monotonic()) > 0:
            self.pulse.beat()
            if self._hurried:
                if self._not_before > self._deadline:
                    return False
                sleep(left)
            elif self._stopping.wait(min(left, TICK)):
                self._hurried = True
                self._not_before = 0.0
            self._source.tick()
        return monotonic() < self._deadline

    def _postpone(self, outcome: Outcome, kept: bool) -> None:
        delay = self._backoff.next()
        if outcome.delay is not None:
            delay = min(outcome.delay, LONGEST_REQUESTED_DELAY)
        self._not_before = monotonic() + delay
        self._failing = True
        self._unreachable.add(
            1,
            "%d attempts to send %s to %s failed, the last because: %s; trying again in %.1f s%s; is it up, "
            "and is OTEL_EXPORTER_OTLP_ENDPOINT its address?",
            self._books.unit,
            self._exporter.target,
            outcome.message,
            delay,
            "; what waits is on disk" if kept else f", until what is sent is {self._age:.0f} s old",
        )

    def _settle(self, batch: Batch, outcome: Outcome) -> None:
        """Enter an answer that is final."""
        self._backoff.reset()
        self._not_before = 0.0
        books, target = self._books, self._exporter.target
        if outcome.verdict is Verdict.REFUSED:
            if self._close(batch, (books.failed, batch.items)):
                text = "%d %s were refused by %s and are lost: %s; are the OTEL_EXPORTER_OTLP_* right?"
                self._refused.add(batch.items, text, books.unit, target, outcome.message)
            return
        rejected = min(max(outcome.rejected, 0), batch.items)
        if not self._close(batch, (books.passed, batch.items - rejected), (books.rejected, rejected)):
            return
        if rejected or outcome.message:
            text = "%d %s were rejected by %s, which accepted the rest; its limits are to be looked at: %s"
            self._partly.add(rejected, text, books.unit, target, outcome.message)
        if self._failing:
            self._failing = False
            logger.log(INFO, "%s accepts %s again", target, books.unit)

    def _expire(self, batch: Batch) -> None:
        if self._close(batch, (self._books.expired, batch.items)):
            text = "%d %s were dropped: %s did not take them within %d s (traces.max_age_seconds); is it up?"
            self._refused.add(batch.items, text, self._books.unit, self._exporter.target, self._age)

    def _close(self, batch: Batch, *entries: tuple[int, int]) -> bool:
        """Enter what became of `batch`, unless `stop` gave it up meanwhile."""
        with self._settling:
            if self._current is not batch:
                return False
            self._current = None
            for entry, number in entries:
                self._counts[entry] += number
            self._counts[self._books.in_flight] -= batch.items
            self._source.release(batch)
            return True
