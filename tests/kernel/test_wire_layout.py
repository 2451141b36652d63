"""bpf/include/wire.h and its Python mirrors say the same: names, offsets and sizes, by the objects' BTF."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields as fields_of
from pathlib import Path
from struct import Struct, calcsize

import pytest

from otel_ebpf.kernel import likeness, records, tables, vantage
from otel_ebpf.kernel.bpf_object import OBJECTS
from otel_ebpf.kernel.ledger_entries import KERNEL_ENTRIES
from tests.kernel.btf import Btf

pytestmark = pytest.mark.guest

OBJECT = OBJECTS / "tcp_socket_trace.bpf.o"
SHARED = [field.name for field in fields_of(vantage.Vantage)]
RENAMED = {
    "context.trace_id": "trace_id",
    "context.span_id": "span_id",
    "context.parent_id": "parent_id",
    "context.flags": "trace_flags",
    "context.source": "context_source",
}


def layout(name: str, built: Path = OBJECT) -> tuple[int, list[tuple[str, int, int]]]:
    size, fields = Btf.of_object(built).struct(name)
    kept = [field for field in fields if "reserved" not in field.name and field.size]
    plain = [(field.name.removeprefix("header."), field.offset, field.size) for field in kept]
    plain = [one for one in plain if not one[0].startswith("tls.")]
    if any(field.name.endswith("tls.version") for field in kept):  # read as one
        plain.append(("tls", *TLS_FACTS))
    return size, [(RENAMED.get(name, name), offset, size) for name, offset, size in plain]


def offsets_of(form: str) -> list[tuple[int, int]]:
    """Offset and size of each value that a struct format yields."""
    found, at = [], 0
    for count, code in re.findall(r"(\d*)([a-zA-Z])", form.lstrip("<")):
        size = calcsize("<" + count + code)
        if code == "x":
            at += size
        elif code == "s":
            found.append((at, size))
            at += size
        else:
            for _ in range(int(count or 1)):
                found.append((at, calcsize("<" + code)))
                at += calcsize("<" + code)
    return found


TLS_FACTS = 8, 8  # offset and size

UNREAD = {"version", "thread", "ruleset"}  # by no one in Python, from its struct


def mirrored(form: Struct, names: Sequence[str]) -> list[tuple[str, int, int]]:
    """Return name, offset and size of each value that a struct format yields."""
    return [(name, *place) for name, place in zip(names, offsets_of(form.format), strict=False)]


@pytest.mark.parametrize(
    ("struct_name", "form", "fields"),
    [
        ("exchange_record", records.EXCHANGE, records.Exchange._fields),
        ("piece_record", records.PIECE, records.Piece._fields),
    ],
)
def test_records_mirror_the_structs(struct_name, form, fields):
    size, members = layout(struct_name)
    assert form.size == size
    shared = [(name, vantage.START + at, length) for name, at, length in mirrored(vantage.VANTAGE, SHARED)]
    values = mirrored(form, fields)
    assert len(values) == len(offsets_of(form.format))
    assert sorted(shared + values) == sorted(one for one in members if one[0] not in UNREAD)
    last_name, last_at, last_size = shared[-1]
    assert (last_name, last_at + last_size) == ("server_address", vantage.STOP)


OWN = (
    *("version", "client_port", "lost", "kind", "end", "time", "client_address"),
    *("trace_id", "span_id", "parent_id", "trace_flags", "context_source"),
    *("response_start", "response_end", "request_bytes", "response_bytes"),
    *("waited", "rtt", "rtt_min", "retransmits", "connect_start", "connect_end"),
    *("request_head", "request_captured", "path_captured"),
)


def test_what_exchanges_that_are_alike_have_of_their_own():
    _, members = layout("exchange_record")
    assert set(mirrored(likeness.OWN, OWN)) <= set(members)
    assert len(offsets_of(likeness.OWN.format)) == len(OWN)
    at = {name: offset for name, offset, _ in members}
    assert (at["tls"], at["connection"]) == (likeness.HEADER_START, likeness.HEADER_STOP)
    assert at["request_head"] == likeness.LENGTHS


def test_close_record():
    """It stands only on the kernel's stack, so it has no BTF; wire.h asserts the other half."""
    assert records.CLOSE.size == layout("record_header")[0] + 16


@pytest.mark.parametrize(
    ("struct_name", "form", "built"),
    [
        ("process_record", records.PROCESS, "tcp_socket_trace"),
        ("lookup_record", records.LOOKUP, "resolver"),
        ("datagram_record", records.DATAGRAM, "dns_socket_trace"),
    ],
)
def test_records_of_which_the_header_is_read_in_part(struct_name, form, built):
    size, members = layout(struct_name, OBJECTS / f"{built}.bpf.o")
    assert form.size == size
    own = [(offset, length) for _, offset, length in members if offset >= records.HEADER.size]
    assert own == [place for place in offsets_of(form.format) if place[0] >= records.HEADER.size]


@pytest.mark.parametrize(
    ("struct_name", "form"),
    [
        ("process_control", tables.PROCESS_CONTROL),
        ("port_rules", tables.PORT_RULES),
        ("settings", tables.SETTINGS),
    ],
)
def test_control_maps_mirror_the_structs(struct_name, form):
    size, fields = Btf.of_object(OBJECT).struct(struct_name)
    assert form.size == size
    assert [(field.offset, field.size) for field in fields] == offsets_of(form.format)


def test_enumerations_have_the_same_numbers():
    """Read from the header itself: enumerators are not in the objects' BTF where nothing uses them."""
    text = (OBJECTS.parents[3] / "bpf" / "include" / "wire.h").read_text()
    declared = dict(re.findall(r"\b([A-Z][A-Z0-9_]+) = (1 << \d+|\d+)", text))
    for prefix, kind in (
        ("RECORD", records.Kind),
        ("TRANSPORT", records.Transport),
        ("ROLE", records.Role),
        ("DIRECTION", records.Direction),
        ("END", records.End),
        ("CAPTURE", records.Capture),
        ("CONTEXT", records.ContextSource),
        ("LOOKUP", records.LookupCall),
    ):
        for member in kind:
            shift = declared[f"{prefix}_{member.name}"].split(" << ")
            assert member.value == int(shift[0]) << int(shift[1] if len(shift) > 1 else 0), member
    assert int(re.search(r"WIRE_VERSION (\d+)", text)[1]) == records.WIRE_VERSION


def test_the_ledger_has_as_many_entries_in_the_kernel():
    text = (OBJECTS.parents[3] / "bpf" / "include" / "ledger.h").read_text()
    assert f"LEDGER_SIZE = {KERNEL_ENTRIES}," in text
