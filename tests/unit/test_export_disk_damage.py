"""Layer: unit. The queue on disk whose file was changed, damaged, or is of another version."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from otel_ebpf.kernel.ledger import Entry
from tests.unit import test_export_disk
from tests.unit.test_export_disk import Agent, Backend, changed, left_behind
from tests.waiting import wait_for

folder, _soon = test_export_disk.folder, test_export_disk._soon  # the fixtures


def test_a_batch_that_was_changed_is_dropped_alone(folder: Path) -> None:
    """disk_corrupt."""
    for begin in range(0, 30, 10):
        agent = Agent(folder, Backend()).put(*range(begin, begin + 10))
        assert agent.stop(0.0) == {"on_disk": begin + 10}
    changed(folder, "UPDATE batch SET body = x'00' WHERE number = 2")
    backend = Backend(up=True)
    agent = Agent(folder, backend).start().wait(passed=20, disk_corrupt=10)
    assert backend.numbers == [*range(10), *range(20, 30)]
    assert agent.stop() == {"passed": 20, "disk_corrupt": 10}


def test_rows_that_vanish_are_counted(folder: Path) -> None:
    left_behind(folder, *range(10))
    agent = Agent(folder, Backend())
    assert agent.queue._file.holds_any()
    assert agent.queue._file._store is not None
    agent.queue._file._store._connection.execute("DELETE FROM batch")
    assert agent.queue.take(partial=True) is None
    assert not agent.queue._file.holds_any()
    assert agent.columns == {"disk_corrupt": 10}
    agent.stop()


def test_a_file_that_grows_items_is_set_aside(folder: Path) -> None:
    left_behind(folder, *range(10))
    agent = Agent(folder, Backend())
    assert agent.queue._file.holds_any()
    assert agent.queue._file._store is not None
    agent.queue._file._store.items -= 1
    agent.put(1)
    batch = agent.queue.take(partial=True)
    assert batch is not None
    assert batch.items == 1
    assert agent.counted(Entry.DISK_QUEUE_CORRUPT) == 1
    agent.stop()


@pytest.mark.parametrize("damage", [b"", b"no database at all", b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_damaged_file_is_set_aside_and_another_begun(
    folder: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    folder.mkdir()
    (folder / "it.sqlite").write_bytes(damage)
    agent = Agent(folder, Backend()).start().put(*range(5)).wait(on_disk=5)
    assert agent.stop() == {"on_disk": 5}
    assert agent.counted(Entry.DISK_QUEUE_CORRUPT) == bool(damage)
    if damage:
        assert (folder / "it.sqlite.damaged").read_bytes() == damage
        assert "set aside" in caplog.text
        assert "to be looked at or deleted" in caplog.text
    backend = Backend(up=True)
    assert Agent(folder, backend).start().wait(passed=5).stop() == {"passed": 5}


def test_a_file_that_is_damaged_meanwhile_is_set_aside_and_what_was_there_counted(folder: Path) -> None:
    backend = Backend()
    agent = Agent(folder, backend).start().put(*range(500)).wait(on_disk=500)
    assert agent.queue._file._store is not None
    with agent.queue._lock:
        agent.queue._file._store._connection.execute("PRAGMA cache_size = 1")
    for path in folder.glob("it.sqlite*"):
        with path.open("r+b") as file:
            file.write(os.urandom(path.stat().st_size))
    wait_for(lambda: agent.counted(Entry.DISK_QUEUE_CORRUPT))
    agent.put(*range(500, 510))
    backend.up = True
    wait_for(lambda: set(agent.columns) == {"passed", "disk_corrupt"}, lambda: agent.columns)
    columns = agent.stop()
    assert sum(columns.values()) == 510
    assert backend.numbers[-10:] == list(range(500, 510))


def test_a_file_of_another_version_is_set_aside(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    left_behind(folder, *range(5))
    changed(folder, "PRAGMA user_version = 99")
    agent = Agent(folder, Backend()).start().put(7).wait(on_disk=1)
    assert agent.stop() == {"on_disk": 1}
    assert agent.counted(Entry.DISK_QUEUE_VERSION) == 1
    assert agent.counted(Entry.DISK_QUEUE_CORRUPT) == 0
    assert (folder / "it.sqlite.version").exists()
    assert "it is of version 99" in caplog.text
