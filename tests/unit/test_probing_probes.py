"""How long a file has its probes, and when it gets others."""

from __future__ import annotations

import errno
import os

import pytest
from tls_support import Host, NotingAttacher, host

from otel_ebpf.config import Tls
from otel_ebpf.kernel.errors import KernelError
from otel_ebpf.probing.files import Files
from otel_ebpf.probing.probes import KEPT_SECONDS, Probes

__all__ = ["host"]


def probes() -> tuple[Probes, NotingAttacher]:
    attacher = NotingAttacher()
    files = Files(Tls())
    return Probes("TLS", attacher.as_attacher, files.tls_in, files.refused, frozenset()), attacher


def test_what_is_attached_ahead_stays(host: Host) -> None:
    probed, _ = probes()
    probed.consider(host.file("libssl.so.3", "openssl"), 0)
    host.now += 2 * KEPT_SECONDS
    assert probed.unused() == []


def test_probes_stay_for_a_while_after_the_last_user(host: Host) -> None:
    probed, _ = probes()
    file = host.file("program", "openssl")
    pid = host.process(file)
    probed.consider(file, pid)
    host.now += 3 * KEPT_SECONDS
    assert probed.unused() == []
    host.end(pid)
    host.now += KEPT_SECONDS - 1
    assert probed.unused() == []
    host.now += 2
    assert probed.unused() == [file.file]


def test_a_process_that_ends_meanwhile_says_nothing_of_its_file(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The path by which the agent attaches goes with the process: the file's next user is tried again."""
    probed, attacher = probes()
    file = host.file("program", "openssl")
    with monkeypatch.context() as patched:

        def ended(request: object) -> None:
            os.rename(file.path, f"{file.path}.ended")
            raise KernelError("no such file")

        patched.setattr(attacher, "handle", ended)
        probed.consider(file, host.process(file))
    assert not caplog.records
    os.rename(f"{file.path}.ended", file.path)
    probed.consider(file, host.process(file))
    assert file.file in probed


def test_a_user_that_nobody_told_of_keeps_the_probes(host: Host) -> None:
    probed, _ = probes()
    file = host.file("program", "openssl")
    first, second = host.process(file), host.process(file)
    probed.consider(file, first)
    host.end(first)
    host.now += KEPT_SECONDS + 1
    assert probed.unused() == [file.file]
    probed.consider(file, second)
    assert probed.unused() == []


def test_a_file_that_is_written_to_is_probed_anew(host: Host) -> None:
    """Its functions are elsewhere now."""
    probed, attacher = probes()
    file = host.file("libssl.so.3", "openssl")
    pid = host.process(file)
    probed.consider(file, pid)
    (host.folder / "libssl.so.3").write_text("another")
    probed.consider(file, pid)
    assert (len(attacher.attached), attacher.detached) == (2, [1])
    assert host.looked_into == [file.path] * 2


def test_a_file_that_is_gone_keeps_its_probes(host: Host) -> None:
    """It is mapped still; another way to it is not known."""
    probed, attacher = probes()
    file = host.file("libssl.so.3", "openssl")
    pid = host.process(file)
    probed.consider(file, pid)
    (host.folder / "libssl.so.3").unlink()
    probed.consider(file, pid)
    assert (len(attacher.attached), attacher.detached) == (1, [])


def test_a_file_is_tried_again_where_the_host_had_not_what_that_takes(host: Host) -> None:
    """Too many open files say nothing of this one."""
    probed, attacher = probes()
    file = host.file("program", "openssl")
    pid = host.process(file)
    attacher.refuses, attacher.code = {file.path}, errno.EMFILE
    for _ in range(2):
        with pytest.raises(KernelError):
            probed.consider(file, pid)
    attacher.refuses = set()
    probed.consider(file, pid)
    assert file.file in probed
