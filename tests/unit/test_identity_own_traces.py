"""Who exports spans of its own, and who only passes them on."""

from __future__ import annotations

import pytest
from identity_support import vantage

from otel_ebpf.identity.model import Service
from otel_ebpf.identity.own_traces import KEPT, OwnTraces, is_export_path, overhears_export
from otel_ebpf.kernel.records import Role

SERVICE = Service(1, "shop", "python", ())
# RFC 7541, appendix B, as far as the path has its letters: code and length in bits
HUFFMAN = {
    **{".": (0x17, 6), "/": (0x18, 6), "1": (0x1, 5), "E": (0x60, 7), "S": (0x6E, 7), "T": (0x6F, 7)},
    **{"a": (0x3, 5), "c": (0x4, 5), "e": (0x5, 5), "i": (0x6, 5), "l": (0x28, 6), "m": (0x29, 6)},
    **{"n": (0x2A, 6), "o": (0x7, 5), "p": (0x2B, 6), "r": (0x2C, 6), "t": (0x9, 5), "v": (0x77, 7)},
    **{"x": (0x79, 7), "y": (0x7A, 7)},
}


def coded(text: str) -> bytes:
    bits = "".join(f"{HUFFMAN[letter][0]:0{HUFFMAN[letter][1]}b}" for letter in text)
    bits += "1" * (-len(bits) % 8)
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))


def test_an_export_makes_a_service_one_with_traces_of_its_own() -> None:
    own = OwnTraces()
    own.exported(vantage(role=int(Role.CLIENT)), SERVICE)
    assert own.services == {SERVICE}
    more = Service(2, "till", "python", ())
    own.named((4_000_000, 1_000_000_000), more)
    own.named((5, 5), Service(3, "other", "python", ()))
    assert own.services == {SERVICE, more}


@pytest.mark.parametrize("order", [(Role.CLIENT, Role.SERVER), (Role.SERVER, Role.CLIENT)])
def test_who_receives_spans_passes_them_on(order: tuple[Role, ...]) -> None:
    own = OwnTraces()
    for role in order:
        own.exported(vantage(role=int(role)), SERVICE)
    assert own.services == set()


def test_by_exec_it_is_another_program() -> None:
    own = OwnTraces()
    own.exported(vantage(role=int(Role.SERVER)), SERVICE)
    own.restarted((4_000_000, 1_000_000_000), SERVICE)
    own.exported(vantage(role=int(Role.CLIENT)), SERVICE)
    assert own.services == {SERVICE}
    own.restarted((4_000_000, 1_000_000_000), SERVICE)
    assert own.services == set()


def test_a_number_of_processes_is_remembered() -> None:
    own = OwnTraces()
    for pid in range(KEPT + 2):
        own.exported(vantage(role=int(Role.CLIENT), process=pid), SERVICE)
    other = Service(2, "other", "go", ())
    own.named((0, 1_000_000_000), other)
    assert other not in own.services


def test_paths_and_frames_of_exports() -> None:
    path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    assert is_export_path("/v1/traces")
    assert is_export_path("/otlp/v1/traces")
    assert is_export_path(path)
    assert not is_export_path("/v1/metrics")
    assert not is_export_path("/v1/traces/7")
    for value in (path.encode(), coded(path)):
        assert overhears_export(b"\0\0\x80\x01\4\0\0\0\1\x83\x86\x44" + value + b"\x41\x8a")
    assert not overhears_export(coded(path.replace("trace", "metric")))
