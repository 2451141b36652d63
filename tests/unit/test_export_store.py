"""Layer: unit. Batches in a file: order, bounds, damage, and the death of who writes."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from otel_ebpf.export.store import VERSION, BadStoreError, ForeignStoreError, Row, Store, StoreError

LIMIT = 1 << 20
PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "traces.sqlite"


def body(number: int, size: int = 3000) -> bytes:
    return random.Random(number).randbytes(size)


def fill(path: Path, number: int = 20, limit: int = LIMIT, size: int = 3000) -> None:
    with closing(Store(path, limit)) as store:
        for one in range(1, number + 1):
            store.append(float(one), one, body(one, size))


def drain(store: Store, size: int = 10_000, items: int = 1000) -> list[Row]:
    found = []
    while rows := store.oldest(size, items):
        found += rows
        store.remove(rows[-1].number, sum(row.items for row in rows))
    return found


def changed(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement, values)


def test_what_is_appended_comes_back_in_order_after_another_opening(path: Path) -> None:
    fill(path)
    with closing(Store(path, LIMIT)) as store:
        assert (store.rows, store.items) == (20, sum(range(21)))
        assert drain(store) == [Row(one, float(one), one, body(one)) for one in range(1, 21)]
        assert (store.rows, store.items) == (0, 0)
    with closing(Store(path, LIMIT)) as store:
        assert (store.rows, store.oldest(1000, 1000)) == (0, [])


def test_as_many_rows_as_fit_are_returned_and_one_at_least(path: Path) -> None:
    fill(path)
    with closing(Store(path, LIMIT)) as store:
        assert [row.number for row in store.oldest(10_000, 1000)] == [1, 2, 3]
        assert [row.number for row in store.oldest(10_000, 3)] == [1, 2]
        assert [row.number for row in store.oldest(1, 1)] == [1]
        store.remove(19, sum(range(20)))
        assert [row.number for row in store.oldest(1, 1)] == [20]


def test_a_full_store_drops_the_oldest_but_those_that_are_spared(path: Path) -> None:
    with closing(Store(path, LIMIT)) as store:
        lost = [store.append(0.0, 1, body(one, 100_000), spared=2) for one in range(1, 16)]
        assert lost == [0] * 10 + [1] * 5
        assert [row.number for row in drain(store)] == [1, 2, *range(8, 16)]
    assert path.stat().st_size < LIMIT + PAGE


def test_a_batch_that_can_never_fit_changes_nothing(path: Path) -> None:
    with closing(Store(path, LIMIT)) as store:
        store.append(0.0, 1, b"first")
        with pytest.raises(StoreError, match="larger than max_bytes"):
            store.append(0.0, 1, bytes(LIMIT))
        assert [row.body for row in drain(store)] == [b"first"]


def test_a_large_file_is_done_with_when_it_is_empty(path: Path) -> None:
    with closing(Store(path, 8 * LIMIT)) as store:
        assert not store.is_done_with()
        store.append(0.0, 1, b"small")
        drain(store)
        assert not store.is_done_with()
        for one in range(20):
            store.append(0.0, 1, body(one, 100_000))
        assert not store.is_done_with()
        drain(store)
        assert store.is_done_with()


def test_nobody_else_reads_it(path: Path) -> None:
    with closing(Store(path, LIMIT)) as store:
        store.append(0.0, 1, b"x")
        assert {one.stat().st_mode & 0o777 for one in path.parent.iterdir()} == {0o600}


def test_only_one_opens_it(path: Path) -> None:
    with closing(Store(path, LIMIT)) as store:
        store.append(0.0, 1, b"x")
        with pytest.raises(StoreError, match="locked"):
            Store(path, LIMIT)


def test_another_version_is_not_read(path: Path) -> None:
    fill(path)
    changed(path, f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(ForeignStoreError):
        Store(path, LIMIT)


def test_a_file_of_something_else_is_not_read(path: Path) -> None:
    changed(path, "CREATE TABLE other (x)")
    with pytest.raises(ForeignStoreError):
        Store(path, LIMIT)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE batch SET body = x'00' WHERE number = 3",
        "UPDATE batch SET body = 'text \u00e9' WHERE number = 3",
        "UPDATE batch SET body = CAST(x'fffe' AS TEXT) WHERE number = 3",
        "UPDATE batch SET body = NULL WHERE number = 3",
        "UPDATE batch SET items = 4 WHERE number = 3",
        "UPDATE batch SET items = 'many' WHERE number = 3",
        "UPDATE batch SET items = -1 WHERE number = 3",
        "UPDATE batch SET items = 9223372036854775807 WHERE number = 3",
        "UPDATE batch SET born = 'now' WHERE number = 3",
        "UPDATE batch SET sum = NULL WHERE number = 3",
    ],
)
def test_a_row_that_was_changed_is_told_from_the_others(path: Path, statement: str) -> None:
    fill(path, 5)
    changed(path, statement)
    with closing(Store(path, LIMIT)) as store:
        rows = drain(store)
        assert [row.number for row in rows] == [1, 2, 3, 4, 5]
        assert [row.number for row in rows if row.body is None] == [3]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE batch SET number = 9223372036854775807 WHERE number = 3",
        "UPDATE batch SET number = -3 WHERE number = 3",
        "DROP TABLE batch",
        "ALTER TABLE batch DROP COLUMN items",
    ],
)
def test_a_file_that_this_program_cannot_have_written_is_bad(path: Path, statement: str) -> None:
    fill(path, 5)
    changed(path, statement)
    with pytest.raises(BadStoreError):
        Store(path, LIMIT)


def whatever_happens(path: Path, size: int = 3000) -> list[Row]:
    """Open, drain and append; assert that what comes back intact is what was written, in order."""
    found: list[Row] = []
    try:
        with closing(Store(path, LIMIT)) as store:
            for _ in range(store.rows + 1):
                if not (rows := store.oldest(10_000, 1000)):
                    break
                found += rows
                store.remove(rows[-1].number, sum(row.items for row in rows))
            store.append(0.0, 1, b"new")
    except StoreError:
        pass
    intact = [row for row in found if row.body is not None]
    assert all(row.body == body(row.number, size) for row in intact)
    assert [row.number for row in intact] == sorted({row.number for row in intact})
    return intact


def test_a_file_that_ends_at_any_page_or_between(path: Path, tmp_path: Path) -> None:
    fill(path)
    whole = path.read_bytes()
    assert len(whole) > 20 * 3000
    broken = tmp_path / "broken"
    for length in range(0, len(whole), PAGE // 2):
        broken.write_bytes(whole[:length])
        whatever_happens(broken)
        broken.unlink()


@pytest.mark.parametrize("start", [0, PAGE // 2])
@pytest.mark.parametrize("damage", ["zeros", "ones", "noise", "one bit"])
def test_a_file_with_other_bytes_in_any_page(path: Path, tmp_path: Path, damage: str, start: int) -> None:
    """From the beginning of each page, with what SQLite keeps there, or in its second half."""
    fill(path, size=12_000)
    whole = path.read_bytes()
    chance = random.Random(damage)
    broken = tmp_path / "broken"
    came = []
    for begin in range(start, len(whole), PAGE):
        end = begin - start + PAGE
        part = bytearray(whole[begin:end])
        part[chance.randrange(len(part))] ^= 1 << chance.randrange(8)
        other = {"zeros": bytes(len(part)), "ones": b"\xff" * len(part), "noise": chance.randbytes(len(part))}
        broken.write_bytes(whole[:begin] + other.get(damage, bytes(part)) + whole[end:])
        came.append(len(whatever_happens(broken, 12_000)))
        broken.unlink()
    if start or damage == "one bit":
        assert came.count(19) > len(came) / 2, "damage in one batch leaves the others"


def test_a_log_with_other_bytes_anywhere(path: Path, tmp_path: Path) -> None:
    """A file whose newest batches stand in the log alone, as after a kill."""
    with closing(Store(path, LIMIT)) as store:
        for one in range(1, 21):
            store.append(float(one), one, body(one))
        log = path.with_name(path.name + "-wal").read_bytes()
        main = path.read_bytes()
    chance = random.Random(1)
    broken = tmp_path / "broken"
    came = []
    for start in range(0, len(log), PAGE):
        broken.write_bytes(main)
        broken.with_name("broken-wal").write_bytes(log[:start] + chance.randbytes(9) + log[start + 9 :])
        came.append(len(whatever_happens(broken)))
        for one in tmp_path.glob("broken*"):
            one.unlink()
    assert came == sorted(came), "what was before the damage is there"
    assert came[-1] >= 15


WRITER = """
import sys
from pathlib import Path
from otel_ebpf.export.store import Store
store = Store(Path(sys.argv[1]), 64 << 20)
number = int(sys.argv[2])
while True:
    number += 1
    store.append(float(number), 1, number.to_bytes(8, "big") * (1 + number * 37 % 9000))
    print(number, flush=True)
"""


@pytest.mark.parametrize("rounds", [12])
def test_what_was_appended_outlives_the_kill_of_its_writer(path: Path, rounds: int) -> None:
    """In a loop: nothing that was acknowledged is missing, nothing comes twice, all in order."""
    chance = random.Random(7)
    root = Path(__file__).parents[2]
    last = 0
    for _ in range(rounds):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(last)], stdout=subprocess.PIPE, text=True, cwd=root
        ) as writer:
            assert writer.stdout is not None
            for _ in range(chance.randrange(1, 200)):
                said = writer.stdout.readline()
            writer.send_signal(signal.SIGKILL)
            acknowledged = int((said + writer.stdout.read()).split()[-1])
        with closing(Store(path, 64 << 20)) as store:
            rows = drain(store, size=1 << 30)
        numbers = [int.from_bytes((row.body or b"")[:8], "big") for row in rows]
        assert numbers == list(range(last + 1, last + 1 + len(numbers)))
        assert numbers[-1] >= acknowledged
        last = numbers[-1]


READER = """
import sys
from pathlib import Path
from otel_ebpf.export.store import Store
store = Store(Path(sys.argv[1]), 64 << 20)
while rows := store.oldest(1 << 14, 1000):
    print(rows[0].number, rows[-1].number, flush=True)
    store.remove(rows[-1].number, len(rows))
"""


def test_what_was_removed_does_not_come_again_after_a_kill_but_for_the_last(path: Path) -> None:
    fill(path, 2000, 64 << 20)
    root = Path(__file__).parents[2]
    first, last = 0, 0  # of what was read before the last kill
    for _ in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", READER, str(path)], stdout=subprocess.PIPE, text=True, cwd=root
        ) as reader:
            assert reader.stdout is not None
            said = [reader.stdout.readline() for _ in range(30)]
            reader.send_signal(signal.SIGKILL)
            said += reader.stdout.read().splitlines()
        read = [tuple(map(int, line.split())) for line in said if line.strip()]
        assert [begin for begin, _ in read[1:]] == [end + 1 for _, end in read[:-1]]
        assert read[0][0] in {first or 1, last + 1}
        first, last = read[-1]
