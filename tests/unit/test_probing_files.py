"""What a look into a file says, and how often there is one."""

from __future__ import annotations

import errno
import logging
import os

import pytest
from tls_support import Host, host

from otel_ebpf.config import Tls
from otel_ebpf.kernel.binaries import BinaryError
from otel_ebpf.kernel.contents import Contents
from otel_ebpf.kernel.errors import KernelError
from otel_ebpf.probing.files import Files, processes, version_of, worth_a_look
from otel_ebpf.probing.scan import scan

__all__ = ["host"]


def reason(files: Files, file: object) -> str:
    look = files.look(file)  # type: ignore[arg-type]
    assert look is not None
    return look.obstacle.reason if look.obstacle else ",".join(one.library for one in look.found)


def test_a_file_is_looked_into_once_for_each_of_its_versions(host: Host) -> None:
    files, file = Files(Tls()), host.file("libssl.so.3", "openssl")
    assert [reason(files, file) for _ in range(3)] == ["openssl"] * 3
    assert len(host.looked_into) == 1
    os.utime(file.path, ns=(1, 1))
    assert reason(files, file) == "openssl"
    assert len(host.looked_into) == 2


def test_a_broken_file_is_logged_and_looked_into_once(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    files, file = Files(Tls()), host.file("libssl.so.3", broken=True)
    assert [reason(files, file) for _ in range(3)] == ["broken"] * 3
    assert len(host.looked_into) == 1
    assert [record.getMessage() for record in caplog.records] == [
        "no TLS probes in /usr/lib/libssl.so.3: it lies"
    ]


def test_a_process_that_ends_meanwhile_says_nothing_of_its_file(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The path by which the agent opens a file goes with the process: neither logged nor remembered."""
    caplog.set_level(logging.INFO)
    files, file = Files(Tls()), host.file("libssl.so.3", "openssl")
    with monkeypatch.context() as patched:

        def ended(path: str) -> Contents:
            os.rename(path, f"{path}.ended")
            raise BinaryError("cannot be opened")

        patched.setattr("otel_ebpf.probing.files.look_into", ended)
        assert files.look(file) is None
    assert files.look(file) is None
    os.rename(f"{file.path}.ended", file.path)
    assert reason(files, file) == "openssl"
    assert not caplog.records


def test_patterns_are_for_the_names_that_programs_see(host: Host) -> None:
    file = host.file("libssl.so.3", "openssl")
    assert reason(Files(Tls(exclude=("/usr/lib/libssl*",))), file) == "excluded"
    assert reason(Files(Tls(exclude=(f"{host.folder}/*",))), file) == "openssl"


def test_what_excludes_nothing_that_could_be_read_is_no_reason(host: Host) -> None:
    assert reason(Files(Tls(exclude=("*",))), host.file("java")) == ""


def test_only_the_libraries_that_are_chosen(host: Host) -> None:
    files = Files(Tls(libraries=("gnutls",)))
    assert reason(files, host.file("one", "openssl", "gnutls")) == "gnutls"
    assert reason(files, host.file("other", "openssl")) == "library_off"


def test_looks_are_limited_until_time_has_passed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel_ebpf.probing.files._LOOKS", 2)
    files = Files(Tls())
    made = [host.file(f"program{number}") for number in range(3)]
    assert [files.look(file) is None for file in made] == [False, False, True]
    assert files.look(made[0]) is not None
    files.go_on()
    assert files.look(made[2]) is not None


def test_what_is_remembered_is_bounded(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel_ebpf.probing.files.FILES_KEPT", 2)
    files = Files(Tls())
    for number in range(9):
        files.look(host.file(f"program{number}"))
        assert len(files._looked_into) <= 2


def test_the_executable_and_what_has_a_telling_name(host: Host) -> None:
    program, nio, jvm, ssl = map(host.file, ("java", "libnio.so", "libjvm.so", "libssl.so.3"))
    assert worth_a_look(host.process(program, nio, jvm, ssl)) == ([program, jvm, ssl], True)
    assert worth_a_look(host.process(ssl)) == ([ssl], False)


def test_version_and_processes() -> None:
    assert version_of("/none") is None
    assert os.getpid() in processes()


def test_scan_tells_what_an_agent_would_do(host: Host) -> None:
    library, program = host.file("libssl.so.3", "openssl"), host.file("program")
    host.process(program, library)
    host.process(program, library)
    java = host.process(host.file("java"), host.file("libjvm.so"))
    host.process(program)
    host.process()
    excluded = host.process(host.file("other", "gnutls"))
    found = scan(Tls(exclude=("*/other",)), seconds=60)
    assert found["libraries"] == [{"library": "openssl", "path": "/usr/lib/libssl.so.3", "processes": 2}]
    assert {one["pid"]: one["reason"] for one in found["unread"]} == {java: "java", excluded: "excluded"}
    assert found["left_out"] == 0


def test_scan_where_it_is_switched_off(host: Host) -> None:
    pid = host.process(host.file("program", "openssl"))
    host.process(host.file("silent"))
    found = scan(Tls(enabled=False), seconds=60)
    assert found["libraries"] == []
    assert {one["pid"]: one["reason"] for one in found["unread"]} == {pid: "disabled"}


def test_scan_counts_what_it_had_no_time_for(host: Host) -> None:
    host.process(host.file("program", "openssl"))
    assert scan(Tls(), seconds=0) == {"libraries": [], "unread": [], "left_out": 1}


def test_a_file_that_could_not_be_opened_for_want_of_descriptors_is_looked_into_later(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, file = Files(Tls()), host.file("libssl.so.3", "openssl")
    with monkeypatch.context() as patched:

        def refuse(path: str) -> Contents:
            raise KernelError("too many open files", errno.EMFILE)

        patched.setattr("otel_ebpf.probing.files.look_into", refuse)
        with pytest.raises(KernelError):
            files.look(file)
    assert reason(files, file) == "openssl"
