"""Trying out sockets in a map of sockets: here without any map, so that what is missing is found out."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from otel_ebpf.kernel import sockmap_trial
from otel_ebpf.kernel.sockmap_trial import find_fault

WRITES = "what a program writes into a message is not sent so"


@pytest.fixture(autouse=True)
def without_a_map(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sockmap_trial, "_enrol", lambda *_: None)
    monkeypatch.setattr(sockmap_trial, "_dismiss", lambda *_: None)
    monkeypatch.setattr(sockmap_trial, "_SECONDS", 0.2)
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.fixture
def as_if_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockmap_trial, "_WRITTEN", sockmap_trial._REQUEST)


def test_a_program_that_is_not_run_is_noticed() -> None:
    assert find_fault(-1).startswith(WRITES)


@pytest.mark.usefixtures("as_if_written")
def test_ordinary_sockets_have_no_other_fault() -> None:
    assert find_fault(-1) == ""


@pytest.mark.usefixtures("as_if_written")
def test_what_fionread_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_: object, __: int, told: ctypes.c_int) -> None:
        told.value = 0

    monkeypatch.setattr(fcntl, "ioctl", nothing)
    assert find_fault(-1) == "FIONREAD is wrong (0 is told of 30 bytes unread)"


@pytest.mark.usefixtures("as_if_written")
def test_a_pipe_that_is_not_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "splice", lambda *_: 0)
    assert find_fault(-1).startswith("splice is broken")


@pytest.mark.usefixtures("as_if_written")
def test_bytes_that_do_not_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends when its time is over."""
    monkeypatch.setattr(socket.socket, "sendall", lambda *_: None)
    assert find_fault(-1).startswith("bytes are lost or changed (timed out)")


@pytest.mark.usefixtures("as_if_written")
def test_a_kernel_without_tls_has_no_fault_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = socket.socket.setsockopt

    def refuse(code: int) -> Any:
        def setsockopt(self: socket.socket, level: int, option: int, value: Any) -> None:
            if (level, option) == (socket.IPPROTO_TCP, 31):
                raise OSError(code, os.strerror(code))
            plain(self, level, option, value)

        return setsockopt

    monkeypatch.setattr(socket.socket, "setsockopt", refuse(2))
    assert find_fault(-1) == ""
    monkeypatch.setattr(socket.socket, "setsockopt", refuse(22))
    assert find_fault(-1).startswith("kernel TLS is broken")
