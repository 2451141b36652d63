"""What the Container Runtime Interface answers, whatever that is."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ebpf.export.protobuf import delimited, varint
from otel_ebpf.identity.cri import ASKED_KEPT, CriSource, containers_in
from otel_ebpf.identity.model import Container
from otel_ebpf.identity.watching import SourceError
from otel_ebpf.identity.wire_fields import fields_of, text_of

ID = "ab" * 32


def field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return delimited(varint(number << 3 | 2), value.encode() if isinstance(value, str) else value)


def test_a_list_of_containers() -> None:
    labels = {"io.kubernetes.pod.name": "till", "empty": ""}
    one = field(1, ID) + field(2, "sandbox") + field(3, field(1, "web") + field(2, 7))
    one += field(4, field(1, "sha256:1") + field(18, "registry/till:1.2")) + field(6, 1) + field(7, 1 << 60)
    one += b"".join(field(8, field(1, key) + field(2, value)) for key, value in labels.items())
    wanted = Container(ID, "cri-o", "web", "registry/till", ("1.2",), labels)
    assert dict(containers_in(field(1, one) + field(9, "later"), "cri-o")) == {ID: wanted}
    assert dict(containers_in(b"", "cri-o")) == {}


def test_an_image_that_is_a_digest_has_no_name() -> None:
    ((_, container),) = containers_in(field(1, field(4, field(1, "sha256:1"))), "containerd")
    assert (container.image, container.tags) == ("", ())


@pytest.mark.parametrize(
    "data", [b"\x0a", b"\x0a\x05abc", b"\x80" * 11, b"\x0b", b"\x09" + bytes(7), b"\x0a\xff\xff\xff\xff\x0f"]
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(SourceError):
        list(fields_of(data))


def test_fields_without_a_length_are_passed_over() -> None:
    data = field(1, 5) + b"\x11" + bytes(8) + b"\x1d" + bytes(4) + field(4, "a") + field(4, "b")
    assert list(fields_of(data)) == [(4, b"a"), (4, b"b")]
    assert (text_of(data, 4), text_of(data, 5)) == ("b", "")


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    with contextlib.suppress(SourceError):
        list(containers_in(data, "containerd"))


def test_a_number_of_containers_is_remembered_as_asked_for() -> None:
    source = CriSource("/nowhere")
    for number in range(ASKED_KEPT + 5):
        assert source.facts(f"{number:064x}") is None
    assert len(source._asked) == ASKED_KEPT
