"""Records from bytes: what fits is decoded, what does not is counted and never raises."""

from __future__ import annotations

from struct import Struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ring_support import Ring

from otel_ebpf.kernel import records
from otel_ebpf.kernel.ledger import Entry, Ledger
from otel_ebpf.kernel.likeness import Likenesses
from otel_ebpf.kernel.reader import Reader
from otel_ebpf.kernel.records import Close, Datagram, Exchange, Kind, Lookup, Piece, ProcessSeen
from otel_ebpf.kernel.vantage import START, STOP, VANTAGE

VANTAGE_BYTES = VANTAGE.pack(1, 2, 2, 80, 14, 15, 16, 11, 12, b"L" * 16)


def header(kind: int, version: int = records.WIRE_VERSION) -> bytes:
    own = records.HEADER.pack(
        8080, 0, b"FACTS...", 0, kind, 1, 0, 7, 8, 9, 10, b"R" * 16, b"T" * 16, b"S" * 8, b"P" * 8, 1, 2
    )
    return version.to_bytes(2, "little") + own[2:START] + VANTAGE_BYTES + own[STOP:]


def packed(form: Struct, kind: int, *values: object) -> bytes:
    """Return a record: a header, and `values` as `form` has them behind it."""
    fields = records.HEADER.unpack(header(kind))
    return header(kind) + form.pack(*fields, *values)[records.HEADER.size :]


def exchange(request: bytes = b"GET", response: bytes = b"HTTP", path: bytes = b"/s", kind: int = 1) -> bytes:
    lengths = (len(request), len(response), len(path))
    return packed(records.EXCHANGE, kind, *range(1, 14), *lengths, 200) + request + response + path


def read(*payloads: bytes) -> tuple[list[records.Record], list[int]]:
    ledger = Ledger()
    reader = Reader(Ring(*payloads), ledger.shard(), Likenesses())  # type: ignore[arg-type]
    return reader.read()[0], ledger.totals()


def test_every_kind():
    close = header(Kind.CLOSE) + bytes(16)
    piece = packed(records.PIECE, Kind.PIECE, 5, 5, 1, 0) + b"hello"
    groups = (b"x.scope".ljust(96, b"\0") + b"y.slice", b"")
    process = packed(records.PROCESS, Kind.PROCESS, 1, 0, 3, 4, b"cat\0", b"cat\0", *groups) + b"a\0bE=1\0"
    addresses = (b"\x02\x0a" + bytes(6), b"A" * 16 + b"B" * 16 + bytes(96))
    lookup = packed(records.LOOKUP, Kind.LOOKUP, 77, -2, 1, 2, *addresses, b"shop.example\0")
    datagram = packed(records.DATAGRAM, Kind.DATAGRAM, 600, 3, 1, b"abcdef")
    found, totals = read(
        *(exchange(), exchange(kind=Kind.AMEND), piece, close, process, header(Kind.PROCESS_EXIT)),
        *(lookup, datagram),
    )
    assert [type(one) for one in found[:6]] == [Exchange, Exchange, Piece, Close, ProcessSeen, ProcessSeen]
    vantage, context = found[0].vantage, (b"T" * 16, b"S" * 8, b"P" * 8, 1, 2)
    answers = ((2, b"A" * 16), (10, b"B" * 16))
    assert found[6] == Lookup(9, 77, -2, 1, b"shop.example", answers, 0, 0, 0, *context, vantage)
    assert found[7] == Datagram(9, 10, 1, 600, b"abc", *context, vantage)
    assert totals[Entry.READER_LOOKUP] == totals[Entry.READER_DATAGRAM] == 1
    assert (found[0].request, found[0].response, found[0].path) == (b"GET", b"HTTP", b"/s")
    assert (found[0].status, found[0].trace_id, found[0].client_port) == (200, b"T" * 16, 8080)
    assert (found[2].data, found[2].length, found[2].direction) == (b"hello", 5, 1)
    assert (found[4].arguments, found[4].environment, found[4].command) == (b"a\0b", b"E=1\0", b"cat")
    assert (found[4].unified, found[4].controlled) == ((b"x.scope", b"y.slice"), ())
    assert found[5].process == 11
    assert totals[Entry.READER_EXCHANGE] == totals[Entry.READER_PIECE] == 1
    assert totals[Entry.READER_NOTICE] == 4
    assert totals[Entry.READER_MALFORMED] == 0


@pytest.mark.parametrize(
    "payload",
    [
        b"\1",
        header(99),
        header(Kind.EXCHANGE),
        header(Kind.EXCHANGE, version=records.WIRE_VERSION + 1) + bytes(100),
        exchange()[:-1],
        packed(records.PIECE, Kind.PIECE, 5, 6, 1, 0) + b"hello",
        header(Kind.CLOSE)[:-1],
        header(Kind.LOOKUP),
        header(Kind.DATAGRAM) + bytes(500),
    ],
)
def test_what_does_not_fit_is_counted(payload):
    found, totals = read(payload, exchange())
    assert [type(one) for one in found] == [Exchange]
    assert totals[Entry.READER_MALFORMED] == 1
    assert totals[Entry.READER_EXCHANGE] == 1
    assert totals[Entry.READER_PIECE] == totals[Entry.READER_NOTICE] == 0


@given(st.lists(st.binary(min_size=3, max_size=400), max_size=5))
def test_any_bytes_are_counted_once(payloads):
    found, totals = read(*payloads)
    counted = (
        *(Entry.READER_EXCHANGE, Entry.READER_PIECE, Entry.READER_NOTICE),
        *(Entry.READER_LOOKUP, Entry.READER_DATAGRAM),
    )
    assert len(found) == sum(totals[entry] for entry in counted)
    assert len(found) + totals[Entry.READER_MALFORMED] == len(payloads)
