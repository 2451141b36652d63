"""Layer: unit. The queue on disk: what goes there, what comes back in which order, and the books."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from otel_ebpf.export import disk, disk_file
from otel_ebpf.export.books import POINTS, SPANS, Books
from otel_ebpf.export.disk import DiskQueue
from otel_ebpf.export.disk_directory import QueueDirectory
from otel_ebpf.export.disk_file import DiskFile
from otel_ebpf.export.metrics import MetricQueue
from otel_ebpf.export.otlp import encode_span
from otel_ebpf.export.outcome import Outcome, Verdict
from otel_ebpf.export.queue import Source, SpanQueue
from otel_ebpf.export.sender import Backoff, Sender
from otel_ebpf.export.settings import DiskSettings, QueueSettings
from otel_ebpf.kernel.ledger import Entry, Ledger
from tests.export_samples import SHOP, balance, columns_of, span
from tests.otlp_receiver import decode_metrics, decode_spans
from tests.unit.test_export_metrics import data
from tests.waiting import wait_for

DAY = 86400.0
MIB = 1 << 20


class Backend:
    """Takes what it is sent while it is `up`; with `hang`, it answers nobody until it is closed."""

    target = "http://backend"

    def __init__(self, up: bool = False, hang: bool = False) -> None:
        self.up = up
        self.hang = hang
        self.bodies: list[bytes] = []
        self.asked = threading.Event()
        self.closed = threading.Event()

    def send(self, body: bytes, timeout: float) -> Outcome:
        self.asked.set()
        if self.hang:
            self.closed.wait()
        if not self.up:
            return Outcome(Verdict.RETRY, "away")
        self.bodies.append(body)
        return Outcome(Verdict.ACCEPTED)

    def close(self) -> None:
        self.closed.set()

    @property
    def numbers(self) -> list[int]:
        """The numbers of the spans that came, in order."""
        paths = [str(one.attributes["url.path"]) for body in self.bodies for one in decode_spans(body)]
        return [int(path.rpartition("/")[2]) for path in paths]


class Agent:
    """The way out of one signal of one run; `put` is what the reader does."""

    def __init__(
        self,
        folder: Path,
        backend: Backend,
        books: Books = SPANS,
        queue: QueueSettings | None = None,
        **bounds: float,
    ) -> None:
        self.ledger = Ledger()
        self.backend = backend
        self.books = books
        self.directory = QueueDirectory(str(folder))
        settings = DiskSettings(str(folder), int(bounds.get("size", 64 * MIB)), bounds.get("age", DAY))
        limits = queue or QueueSettings(batch=10)
        memory = self.ledger.shard()
        self.memory: Source = SpanQueue(limits, memory) if books is SPANS else MetricQueue(400, memory)
        file = DiskFile(self.directory, "it", settings, limits, books=books, shard=self.ledger.shard())
        self.queue = DiskQueue(self.memory, file)
        self.sender = Sender(
            self.queue, backend, books, self.ledger.shard(), delay=0.01, timeout=3600.0, age=300.0
        )

    def start(self) -> Agent:
        self.queue.start()
        self.sender.start()
        return self

    def put(self, *numbers: int) -> Agent:
        assert isinstance(self.memory, SpanQueue)
        for number in numbers:
            self.memory.put(SHOP, encode_span(span(number)))
        return self

    @property
    def columns(self) -> dict[str, int]:
        return columns_of(self.ledger, self.books)

    def wait(self, **columns: int) -> Agent:
        wait_for(lambda: self.columns == columns, lambda: self.columns)
        return self

    def stop(self, seconds: float = 60.0) -> dict[str, int]:
        self.sender.ask_to_stop(time.monotonic() + seconds)
        self.sender.stop()
        self.directory.release()
        if self.sender._thread.ident is not None:
            self.sender._thread.join(30)
        return balance(self.ledger, self.books)

    def counted(self, entry: Entry) -> int:
        return self.ledger.totals()[entry]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backoff, "FIRST", 0.02)
    monkeypatch.setattr(Backoff, "LONGEST", 0.05)
    monkeypatch.setattr(disk, "SPILL_SECONDS", 0.01)
    monkeypatch.setattr(disk_file, "OPEN_SECONDS", 0.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "queue"


def changed(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "it.sqlite", isolation_level=None)) as connection:
        connection.execute(statement)


def left_behind(folder: Path, *numbers: int) -> None:
    """Leave spans on disk, as an agent does that stops while its backend is away."""
    agent = Agent(folder, Backend()).start().put(*numbers)
    agent.wait(on_disk=len(numbers))
    assert agent.stop() == {"on_disk": len(numbers)}


def test_nothing_is_written_while_the_backend_answers(folder: Path) -> None:
    agent = Agent(folder, Backend(up=True)).start()
    wait_for((folder / "it.sqlite").exists)
    wait_for(lambda: not agent.queue._lock.locked())
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    statements: list[str] = []
    assert agent.queue._file._store is not None
    agent.queue._file._store._connection.set_trace_callback(statements.append)
    agent.put(*range(100)).wait(passed=100)
    assert statements == []
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert agent.stop() == {"passed": 100}


def test_what_comes_during_an_outage_comes_after_it_in_order(folder: Path) -> None:
    """More than memory holds: 10 times its room."""
    backend = Backend()
    agent = Agent(folder, backend, queue=QueueSettings(spans=50, batch=10)).start()
    for begin in range(0, 500, 20):
        agent.put(*range(begin, begin + 20)).wait(on_disk=begin + 20)
    backend.up = True
    agent.wait(passed=500)
    assert backend.numbers == list(range(500))
    agent.put(500).wait(passed=501)
    assert agent.stop() == {"passed": 501}


def test_what_comes_while_a_backend_hangs_is_written_before_memory_is_full(folder: Path) -> None:
    backend = Backend(up=True, hang=True)
    agent = Agent(folder, backend, queue=QueueSettings(spans=40, batch=10)).start()
    agent.put(*range(10))
    wait_for(backend.asked.is_set)
    for begin in range(10, 310, 30):
        agent.put(*range(begin, begin + 30)).wait(on_disk=begin + 30)
    backend.hang = False
    backend.closed.set()
    agent.wait(passed=310)
    assert backend.numbers == list(range(310))
    assert agent.stop() == {"passed": 310}


def test_what_is_left_at_the_stop_comes_after_the_next_start(folder: Path) -> None:
    left_behind(folder, *range(25))
    backend = Backend(up=True)
    agent = Agent(folder, backend).put(100, 101).start()
    agent.wait(passed=27)
    assert backend.numbers == [*range(25), 100, 101]
    assert agent.counted(Entry.EXPORT_RECOVERED) == 25
    assert agent.counted(Entry.EXPORT_SEEN) == 2
    assert agent.stop() == {"passed": 27}


def test_a_stop_before_the_start_keeps_what_is_queued(folder: Path) -> None:
    agent = Agent(folder, Backend()).put(1, 2)
    assert agent.stop(0.0) == {"on_disk": 2}


def test_a_stop_while_a_backend_hangs_keeps_what_it_was_sent_too(folder: Path) -> None:
    backend = Backend(hang=True)
    agent = Agent(folder, backend).start().put(*range(25))
    wait_for(backend.asked.is_set)
    assert agent.stop(0.1) == {"on_disk": 25}
    again = Backend(up=True)
    assert Agent(folder, again).start().wait(passed=25).stop() == {"passed": 25}
    assert again.numbers == list(range(25))


def test_an_empty_queue_gives_its_room_back(folder: Path) -> None:
    backend = Backend()
    agent = Agent(folder, backend, queue=QueueSettings(batch=1000)).start().put(*range(10_000))
    agent.wait(on_disk=10_000)
    assert (folder / "it.sqlite-wal").stat().st_size > MIB
    backend.up = True
    agent.wait(passed=10_000)
    wait_for(lambda: sum(path.stat().st_size for path in folder.iterdir()) < MIB / 8)
    backend.up = False
    agent.put(1, 2, 3).wait(passed=10_000, on_disk=3)
    assert agent.stop() == {"passed": 10_000, "on_disk": 3}
    assert Agent(folder, Backend(up=True)).start().wait(passed=3).stop() == {"passed": 3}


def test_many_small_batches_are_few_requests(folder: Path) -> None:
    backend = Backend()
    agent = Agent(folder, backend, queue=QueueSettings(batch=100)).start()
    for number in range(40):
        agent.put(number).wait(on_disk=number + 1)
    backend.up = True
    agent.wait(passed=40)
    assert len(backend.bodies) <= 2, "what was taken already, and all that came after it"
    assert backend.numbers == list(range(40))
    agent.stop()


def test_the_oldest_go_when_the_size_is_reached(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """disk_full."""
    backend = Backend()
    queue = QueueSettings(batch=100)
    agent = Agent(folder, backend, queue=queue, size=256 << 10).start()
    for begin in range(0, 4000, 100):
        agent.put(*range(begin, begin + 100))
        wait_for(lambda: "in_flight" not in agent.columns)
    columns = agent.columns
    assert columns["disk_full"] > 1000
    assert columns["disk_full"] + columns["on_disk"] == 4000
    assert (folder / "it.sqlite").stat().st_size <= 256 << 10
    backend.up = True
    agent.wait(passed=columns["on_disk"], disk_full=columns["disk_full"])
    numbers = backend.numbers
    assert numbers == sorted(numbers)
    assert numbers[-1] == 3999, "the newest are there"
    agent.stop()
    assert "raise export.disk_queue.max_bytes" in caplog.text


def test_what_is_too_old_is_dropped(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """disk_expired: 30 spans that are a day old, and 5 that are not."""
    left_behind(folder, *range(30))
    with closing(sqlite3.connect(folder / "it.sqlite")) as connection:
        assert connection.execute("SELECT max(abs(born - ?)) < 60 FROM batch", (time.time(),)).fetchone()[0]
    assert Agent(folder, Backend()).put(*range(30, 35)).stop(0.0) == {"on_disk": 35}
    _grow_older(folder, 30, DAY)
    backend = Backend(up=True)
    agent = Agent(folder, backend, age=3600.0).start()
    agent.wait(passed=5, disk_expired=30)
    assert backend.numbers == list(range(30, 35))
    assert agent.stop() == {"passed": 5, "disk_expired": 30}
    assert "max_age_seconds" in caplog.text


def _grow_older(folder: Path, items: int, seconds: float) -> None:
    """Write the first rows anew as older ones, with the sums that they then have."""
    from otel_ebpf.export.store import _sum  # noqa: PLC0415

    with closing(sqlite3.connect(folder / "it.sqlite", isolation_level=None)) as connection:
        for number, born, held, body in connection.execute(
            "SELECT number, born, items, body FROM batch ORDER BY number"
        ).fetchall():
            if items > 0:
                values = (born - seconds, _sum(number, born - seconds, held, body), number)
                connection.execute("UPDATE batch SET born = ?, sum = ? WHERE number = ?", values)
            items -= held


def test_a_second_agent_goes_on_without(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = Agent(folder, Backend()).start().put(1).wait(on_disk=1)
    second = Agent(folder, Backend()).start().put(2, 3)
    wait_for(second.backend.asked.is_set)
    assert second.stop(0.2) == {"shutdown": 2}
    assert "another agent uses it" in caplog.text
    assert second.counted(Entry.DISK_QUEUE_UNWRITABLE) > 0
    assert first.stop() == {"on_disk": 1}


def test_a_second_agent_takes_over_when_the_first_has_gone(folder: Path) -> None:
    first = Agent(folder, Backend()).start().put(1).wait(on_disk=1)
    backend = Backend()
    second = Agent(folder, backend).start().put(2)
    wait_for(backend.asked.is_set)
    assert first.stop() == {"on_disk": 1}
    second.wait(on_disk=2)
    backend.up = True
    assert second.wait(passed=2).stop() == {"passed": 2}


def test_a_directory_that_cannot_be_made_is_said_and_memory_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    backend = Backend()
    agent = Agent(tmp_path / "file" / "queue", backend).start().put(1, 2)
    wait_for(backend.asked.is_set)
    assert "Not a directory" in caplog.text
    backend.up = True
    assert agent.wait(passed=2).stop() == {"passed": 2}


def test_delta_and_cumulative_metrics_are_all_kept_in_order(folder: Path) -> None:
    agent = Agent(folder, Backend(), POINTS).start()
    assert isinstance(agent.memory, MetricQueue)
    for interval in range(5):
        agent.memory.put(data(f"shop{interval}", f"cart{interval}"))
    agent.wait(on_disk=30)
    assert agent.stop() == {"on_disk": 30}
    backend = Backend(up=True)
    again = Agent(folder, backend, POINTS).start().wait(passed=30)
    assert again.counted(Entry.EXPORT_POINTS_RECOVERED) == 30
    metrics = [one for body in backend.bodies for one in decode_metrics(body)]
    names = [one.resource["service.name"] for one in metrics if one.name == "requests"]
    assert names == [f"{service}{interval}" for interval in range(5) for service in ("shop", "cart")]
    assert again.stop() == {"passed": 30}


def test_metrics_have_their_own_bounds(folder: Path) -> None:
    """disk_full, disk_expired and disk_corrupt of data points."""
    agent = Agent(folder, Backend(), POINTS, size=32 << 10).start()
    assert isinstance(agent.memory, MetricQueue)
    for interval in range(100):
        agent.memory.put(data(f"shop{interval}"))
        wait_for(lambda: "in_flight" not in agent.columns)
    columns = agent.stop()
    assert columns["disk_full"] > 0
    assert columns["disk_full"] + columns["on_disk"] == 300
    _grow_older(folder, 6, DAY)
    changed(folder, "UPDATE batch SET body = x'00' WHERE number = (SELECT max(number) FROM batch)")
    again = Agent(folder, Backend(up=True), POINTS, age=3600.0).start()
    again.wait(passed=columns["on_disk"] - 9, disk_expired=6, disk_corrupt=3)
    again.stop()


FULL = """
import sys
from pathlib import Path
from tests.unit.test_export_disk import Agent, Backend, wait_for
from otel_ebpf.export import disk
from otel_ebpf.export.settings import QueueSettings
from otel_ebpf.export.sender import Backoff
from otel_ebpf.kernel.ledger import Entry
Backoff.FIRST = Backoff.LONGEST = 0.05
disk.SPILL_SECONDS = 0.01
folder = Path(sys.argv[1])
backend = Backend()
agent = Agent(folder / "queue", backend, queue=QueueSettings(spans=400, batch=100)).start()
put = 0
while not agent.counted(Entry.DISK_QUEUE_UNWRITABLE):
    agent.put(*range(put, put + 100))
    put += 100
    wait_for(lambda: "in_flight" not in agent.columns or agent.counted(Entry.DISK_QUEUE_UNWRITABLE))
kept = agent.columns
agent.put(*range(put, put + 50))
put += 50
(folder / "ballast").unlink()
agent.wait(on_disk=put)
backend.up = True
agent.wait(passed=put)
assert backend.numbers == list(range(put)), backend.numbers
assert agent.stop() == {"passed": put}
print(kept["on_disk"], kept["in_flight"])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it mounts a file system of its own")
def test_a_full_disk_costs_nothing_that_memory_holds(tmp_path: Path) -> None:
    """On a tmpfs of 2 MiB, of which 1 is taken, until that is given back."""
    mounted = f"mount -t tmpfs -o size=2m none {tmp_path} && head -c 1m /dev/zero > {tmp_path}/ballast"
    inside = ("unshare", "--mount", "sh", "-c", f'{mounted} && exec "$@"', "sh")
    done = subprocess.run(
        [*inside, sys.executable, "-c", FULL, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    on_disk, in_flight = map(int, done.stdout.split())
    assert on_disk > 500
    assert in_flight > 0
    assert "database or disk is full" in done.stderr


def test_the_reader_waits_for_no_disk(folder: Path) -> None:
    """A put returns while the lock of the disk is held."""
    agent = Agent(folder, Backend()).start()
    with agent.queue._lock:
        agent.put(*range(100))
    agent.wait(on_disk=100).stop()


def test_a_batch_that_is_settled_while_its_file_is_set_aside_is_counted_once(folder: Path) -> None:
    agent = Agent(folder, Backend())
    agent.put(*range(25))
    batch = agent.queue.take(partial=True)
    assert batch is not None
    assert agent.queue.keep(batch)
    under_way = agent.queue.take(partial=True)
    assert under_way is not None
    file = agent.queue._file
    assert file._store is not None
    with agent.queue._lock:
        agent.queue._spill()
        file._set_aside(file._store, "as if it were damaged")
    assert agent.columns == {"in_flight": 10, "disk_corrupt": 15}
    assert agent.queue.keep(under_way), "it goes into the new file"
    assert agent.columns == {"on_disk": 10, "disk_corrupt": 15}
    assert agent.stop(0.0) == {"on_disk": 10, "disk_corrupt": 15}
