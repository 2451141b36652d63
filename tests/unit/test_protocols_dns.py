"""Messages of DNS from bytes: what is one is read, and what is none neither raises nor hangs."""

from __future__ import annotations

import struct

import pytest
from dns_support import AAAA, ADDRESS, A, address, labels, query, response
from hypothesis import given
from hypothesis import strategies as st

from otel_ebpf.protocols.dns import Answer, parse_message

HEADER = struct.pack(">HHHHHH", 7, 0x8180, 1, 1, 0, 0)


def test_a_query() -> None:
    found = parse_message(query("Shop.Example", AAAA, 4711))
    assert found is not None
    assert (found.number, found.response, found.name, found.kind) == (4711, False, b"shop.example", AAAA)
    assert (found.truncated, found.code, found.answers) == (False, 0, ())


def test_a_response() -> None:
    alias = b"\xc0\x0c" + struct.pack(">HHIH", 5, 1, 60, 5) + b"\3www\0"
    found = parse_message(response(query(), alias, address(), address(bytes(15) + b"\1", AAAA)))
    assert found is not None
    assert (found.response, found.answered, found.code) == (True, 3, 0)
    assert found.answers == (Answer(2, ADDRESS + bytes(12), 30), Answer(10, bytes(15) + b"\1", 30))


def test_codes_and_truncation() -> None:
    found = parse_message(response(query(), code=3, truncated=True))
    assert found is not None
    assert (found.code, found.truncated, found.answered) == (3, True, 0)


def test_the_root() -> None:
    found = parse_message(HEADER + b"\0" + struct.pack(">HH", 2, 1))
    assert found is not None
    assert found.name == b""


def test_wherever_it_is_cut_what_stands_whole_is_read() -> None:
    whole = response(query(), address(), address(b"\1\2\3\4"))
    question = len(query())
    for stop in range(len(whole)):
        found = parse_message(whole[:stop])
        assert (found is None) == (stop < question), stop
        if found is not None:
            assert len(found.answers) == (stop - question) // len(address())


@pytest.mark.parametrize(
    "name",
    [
        b"\xc0\x0c",  # itself
        b"\xc0\x0e\xc0\x0c",  # each other
        b"\xc0\x20" + bytes(40),  # forwards
        b"\1a\xc0\x0c",  # round and round, longer each time
        b"\x40a",  # a kind of label that there is none of
        b"\x3fa",  # longer than what is there
        b"\1a" * 130 + b"\0",  # longer than names may be
        b"\xc0",
    ],
)
def test_names_that_lie(name: bytes) -> None:
    assert parse_message(HEADER + name + struct.pack(">HH", A, 1)) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        query()[:11],
        query()[:2] + struct.pack(">HHHHH", 0x0100, 2, 0, 0, 0) + query()[12:],  # two questions
        query()[:2] + struct.pack(">HHHHH", 0x2800, 1, 0, 0, 0) + query()[12:],  # an update
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_none(data: bytes) -> None:
    assert parse_message(data) is None


def test_a_pointer_backwards_is_a_name() -> None:
    """The question's name is never compressed; but it may be, after a name in the header's place."""
    data = bytearray(HEADER + b"\xc0\x04" + struct.pack(">HH", A, 1))
    data[4:8] = b"\0\1\0\1"  # counts, of which the first byte ends a name at once
    found = parse_message(bytes(data))
    assert found is not None
    assert found.name == b""


def test_more_answers_than_there_are() -> None:
    data = bytearray(response(query(), address()))
    data[6:8] = b"\xff\xff"
    found = parse_message(bytes(data))
    assert found is not None
    assert (found.answered, len(found.answers)) == (0xFFFF, 1)


@given(st.binary(max_size=600))
def test_any_bytes(data: bytes) -> None:
    for one in (data, HEADER + data, HEADER + labels("a.b") + b"\0\1\0\1" + data):
        found = parse_message(one)
        assert found is None or len(found.name) < 256


@given(st.data())
def test_any_change(data: st.DataObject) -> None:
    whole = bytearray(response(query(), address(), address()))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    found = parse_message(bytes(whole))
    assert found is None or all(len(one.address) == 16 for one in found.answers)
