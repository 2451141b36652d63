"""Facts about processes, from /proc and from records."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from identity_support import notice

from otel_ebpf.identity.process import (
    ARGUMENT_CHARACTERS,
    ARGUMENTS_MAX,
    TICK_NS,
    open_process,
    parent_of,
    process_from_record,
    process_of,
    read_file_of,
    read_process,
)


@contextmanager
def sleeper(*arguments: bytes | str, **given: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run a shell that waits, with more arguments, once it says that exec has set them."""
    command = ["/bin/sh", "-c", "echo; read line", *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    child = subprocess.Popen(command, **pipes, **given)  # type: ignore[call-overload]
    try:
        child.stdout.readline()
        yield child
    finally:
        child.communicate()


def test_the_facts_are_those_that_psutil_has() -> None:
    found = read_process(os.getpid())
    other = psutil.Process()
    assert found is not None
    assert found.executable == other.exe()
    assert list(found.command_line) == other.cmdline()
    assert (found.parent, found.user, found.directory) == (other.ppid(), other.uids().real, other.cwd())
    assert found.visible_pid == found.pid == os.getpid()
    assert found.start / 1e9 == pytest.approx(other.create_time() - psutil.boot_time(), abs=1.5)


def test_a_reused_pid_is_not_taken_for_the_old_process() -> None:
    own = read_process(os.getpid())
    assert own is not None
    within_the_tick = own.start + TICK_NS - 1
    same = read_process(os.getpid(), within_the_tick, host_pid=77)
    assert same is not None
    assert (same.pid, same.start, same.visible_pid) == (77, within_the_tick, os.getpid())
    assert read_process(os.getpid(), own.start + TICK_NS) is None
    assert read_process(os.getpid(), own.start - 1) is None
    assert read_process(os.getpid(), 0) is None
    assert read_process(0) is None
    assert read_process(4_194_305) is None


def test_an_open_directory_never_tells_of_another_process() -> None:
    with sleeper() as child:
        directory = open_process(child.pid, None)
        assert directory is not None
    with directory:
        assert directory.stat() == (-1, 0)
        assert directory.read("cmdline") == b""
        assert directory.link("exe") == ""


def test_only_otel_variables_are_kept() -> None:
    environment = {
        "PATH": "/bin",
        "SECRET": "x",
        "OTEL_SERVICE_NAME": "shop",
        "NOT_OTEL_X": "y",
        "OTEL_EMPTY": "",
    }
    with sleeper(env=environment) as child:
        found = read_process(child.pid)
    assert found is not None
    assert found.environment == {"OTEL_SERVICE_NAME": "shop", "OTEL_EMPTY": ""}


def test_hostile_arguments_are_bounded_and_are_text() -> None:
    hostile = [b"a\nb\xff\x1b[2J", b"x" * 100_000, b"\xe2\x82"]
    with sleeper(*hostile) as child:
        found = read_process(child.pid)
    assert found is not None
    first, second = found.command_line[3:5]
    assert first == "a\nb\ufffd\x1b[2J"
    assert second == "x" * ARGUMENT_CHARACTERS
    with sleeper(*[b"y"] * 5000) as child:
        found = read_process(child.pid)
    assert found is not None
    assert len(found.command_line) == ARGUMENTS_MAX


def test_a_process_name_cannot_forge_its_start(tmp_path: Path) -> None:
    forged = tmp_path / ") S 1 1 1 (x"
    forged.symlink_to("/bin/sh")
    with subprocess.Popen([forged, "-c", "read line"], stdin=subprocess.PIPE) as child:
        found = read_process(child.pid)
        child.communicate()
    assert found is not None
    assert found.parent == os.getpid()


def test_a_zombies_program_is_taken_from_the_record() -> None:
    with subprocess.Popen(["/bin/true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        start = read_process(child.pid)
        assert start is not None
        told = notice(
            process=child.pid,
            agent_process=child.pid,
            process_start=start.start,
            executable=b"",
            command=b"true",
        )
        found = process_of(told)
    assert (start.executable, start.command) == ("", "true")
    assert (found.executable, found.command) == ("/opt/shop", "")
    assert found.command_line == ("/opt/shop", "--fast")
    assert found.visible_pid == child.pid


def test_a_program_that_has_since_called_exec_is_taken_from_the_record() -> None:
    with sleeper() as child:
        now = read_process(child.pid)
        assert now is not None
        name = os.path.basename(now.executable).encode()
        same = notice(process=child.pid, agent_process=child.pid, process_start=now.start, executable=name)
        assert process_of(same).command_line == now.command_line
        before = process_of(same._replace(executable=b"wrapper", environment=b"OTEL_SERVICE_NAME=w\0"))
    assert (before.executable, before.command_line) == ("wrapper", ("/opt/shop", "--fast"))
    assert before.environment == {"OTEL_SERVICE_NAME": "w"}


def test_a_process_that_is_gone_is_what_its_record_says() -> None:
    told = notice(environment=b"A=1\0OTEL_SERVICE_NAME=s\0OTEL_RESOURCE_ATTRIBUTES=a=b\0OTEL_SERVICE_NAME=t")
    found = process_of(told)
    assert (found.pid, found.start, found.parent, found.user) == (4_000_000, 1_000_000_000, 1, 0)
    assert (found.executable, found.command_line) == ("shop", ("/opt/shop", "--fast"))
    assert found.environment == {"OTEL_SERVICE_NAME": "s", "OTEL_RESOURCE_ATTRIBUTES": "a=b"}
    assert (found.visible_pid, found.directory, found.cgroup) == (0, "", "")
    assert process_from_record(told._replace(executable=b"")).executable == "/opt/shop"
    titled = told._replace(executable=b"", arguments=b"shop: worker 1\0\0\0")
    bare = process_from_record(titled)
    assert (bare.executable, bare.command) == ("", "shop")


@given(st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=16))
def test_no_record_raises(arguments: bytes, environment: bytes, command: bytes) -> None:
    told = notice(
        arguments=arguments, environment=b"OTEL_" + environment, command=command, executable=command
    )
    found = process_of(told)
    assert all(name.startswith("OTEL_") for name in found.environment)


@pytest.mark.parametrize(
    ("lines", "path"),
    [
        (b"0::/system.slice/a.service\n", "/system.slice/a.service"),
        (b"9:name=systemd:/a.service\n4:memory:/m\n0::/\n", "/a.service"),
        (b"4:memory:/m:x\n0::/\n", "/m:x"),
        (b"0::/\n", "/"),
        (b"", ""),
        (b"garbage\n\xff\n", "/"),
    ],
)
def test_the_control_group_that_says_most(lines: bytes, path: str) -> None:
    from otel_ebpf.identity.process import _cgroup_path  # noqa: PLC0415

    assert _cgroup_path(lines) == path


def test_files_are_read_as_the_process_sees_them_and_only_regular_ones(tmp_path: Path) -> None:
    own = read_process(os.getpid())
    assert own is not None
    file = tmp_path / "file"
    file.write_bytes(b"0123456789")
    assert read_file_of(own, str(file), 4) == b"0123"
    link = tmp_path / "link"
    link.symlink_to(file)
    assert read_file_of(own, str(link)) == b""
    os.mkfifo(tmp_path / "pipe")
    assert read_file_of(own, str(tmp_path / "pipe")) == b""
    for path in ("relative", str(tmp_path), str(tmp_path / "none"), "/a\0b", "/../../etc/none"):
        assert read_file_of(own, path) == b""


def test_the_parent() -> None:
    with sleeper() as child:
        found = read_process(child.pid)
        assert found is not None
        parent = parent_of(found)
    assert parent is not None
    assert parent.pid == os.getpid()
    assert parent_of(found) is None
