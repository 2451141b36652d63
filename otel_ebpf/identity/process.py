"""Facts about a process: from /proc while it is there, from its kernel record when it is gone.

A pid is reused, so a process is opened once (`ProcDirectory`) and its start time compared: the open
directory stays with that process, and reads through it fail once it has gone; they never tell of
another. Everything in /proc that a process can choose (arguments, title, environment, names) is
read to a bound and may be anything. psutil is not used here because it reads command lines and
environments whole, and opens each file by pid anew.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from otel_ebpf.identity.cgroups import choose
from otel_ebpf.identity.model import Process
from otel_ebpf.kernel.records import ProcessSeen

__all__ = [
    "ProcDirectory",
    "open_process",
    "parent_of",
    "process_from_record",
    "process_of",
    "read_file_of",
    "read_process",
]

ARGUMENTS_BYTES = 128 << 10  # Java's class path alone can be 60 KiB
ARGUMENTS_MAX = 2048
ARGUMENT_CHARACTERS = 4096
ENVIRONMENT_BYTES = 1 << 20  # OTEL_* can stand anywhere in it
VARIABLES_MAX = 64
VARIABLE_CHARACTERS = 8192
SMALL_FILE_BYTES = 16 << 10
PATH_CHARACTERS = 4096

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
EXECUTABLE_IN_RECORD = 63  # struct process_record.executable, its NUL not counted


class ProcDirectory:
    """One process's open /proc directory: a context manager. Every method is empty where it cannot read."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def read(self, name: str, limit: int = SMALL_FILE_BYTES) -> bytes:
        """Return at most `limit` bytes of a file of the directory."""
        try:
            file = os.open(name, _READ, dir_fd=self._descriptor)
        except OSError:
            return b""
        return _read_and_close(file, limit)

    def open_executable(self) -> int:
        """Return a descriptor of the running executable, wherever its file is now; -1 for none."""
        try:
            return os.open("exe", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._descriptor)
        except OSError:
            return -1

    def read_below_root(self, path: str, limit: int) -> bytes:
        """Return at most `limit` bytes of a regular file below the process's own root."""
        file = self.open_below_root(path)
        return _read_and_close(file, limit) if file >= 0 else b""

    def open_below_root(self, path: str) -> int:
        """Return a descriptor of a regular file below the process's own root; -1 for none."""
        try:
            root = os.open("root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._descriptor)
        except OSError:
            return -1
        try:
            file = os.open(path.lstrip("/"), _READ, dir_fd=root)
        except (OSError, ValueError):  # ValueError: a NUL in the path
            return -1
        finally:
            os.close(root)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            return -1
        return file

    def link(self, name: str) -> str:
        """Return where a link of the directory points (exe, cwd)."""
        try:
            target = os.readlink(name.encode(), dir_fd=self._descriptor)
        except OSError:
            return ""
        return _text(target.removesuffix(b" (deleted)"))[:PATH_CHARACTERS]

    def stat(self) -> tuple[int, int]:
        """Return (start in clock ticks since boot, parent's pid); (-1, 0) where it is gone."""
        # The command is in parentheses and may hold any byte, ")" too: fields count from the last one.
        fields = self.read("stat").rpartition(b")")[2].split()
        try:
            return int(fields[19]), int(fields[1])
        except (IndexError, ValueError):
            return -1, 0


def open_process(pid: int, start: int | None) -> ProcDirectory | None:
    """Open /proc/`pid`; None where there is no such process, or it did not start at `start`.

    `pid` is in the agent's namespace. `start` is CLOCK_BOOTTIME nanoseconds as the kernel has it in
    task_struct.start_boottime; /proc/pid/stat shows the same in whole clock ticks (do_task_stat).
    """
    if pid <= 0:
        return None
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        directory = ProcDirectory(os.open(f"/proc/{pid}", flags))
    except OSError:
        return None
    ticks, _ = directory.stat()
    if ticks < 0 or (start is not None and start // TICK_NS != ticks):
        directory.__exit__(None, None, None)
        return None
    return directory


def read_process(pid: int, start: int | None = None, *, host_pid: int = 0) -> Process | None:
    """Read a process from /proc; None where it is gone or its pid now belongs to another.

    `pid` is in the agent's namespace, `host_pid` the same in the initial one (default: the same
    number). With `start` None, any process of that pid is taken, and its start is exact to a tick.
    """
    directory = open_process(pid, start)
    if directory is None:
        return None
    with directory as proc:
        ticks, parent = proc.stat()
        if ticks < 0:
            return None
        status = _status(proc.read("status"))
        command_line = _arguments(proc.read("cmdline", ARGUMENTS_BYTES))
        executable = proc.link("exe") or _invoked_as(command_line)
        return Process(
            pid=host_pid or pid,
            start=ticks * TICK_NS if start is None else start,
            parent=parent,
            executable=executable,
            command_line=command_line,
            user=_number(status.get(b"Uid", b"").split()[:1], -1),
            environment=_environment(proc.read("environ", ENVIRONMENT_BYTES)),
            cgroup=_cgroup_path(proc.read("cgroup", 64 << 10)),
            namespace_pid=_number(status.get(b"NSpid", b"").split()[-1:]),
            visible_pid=pid,
            directory=proc.link("cwd"),
            command="" if executable else _text(proc.read("comm")).strip(),
        )


def process_from_record(record: ProcessSeen) -> Process:
    """Return what the kernel's record alone says: all there is of a process that has gone."""
    arguments = _arguments(record.arguments)
    executable = _text(record.executable.partition(b"\0")[0]) or _invoked_as(arguments)
    return Process(
        pid=record.process,
        start=record.process_start,
        parent=record.parent,
        executable=executable,
        command_line=arguments,
        user=record.user,
        environment=_environment(record.environment),
        cgroup=choose([_nested(names) for names in (record.unified, record.controlled) if names]),
        command="" if executable else _text(record.command.partition(b"\0")[0]).strip(),
    )


def process_of(record: ProcessSeen) -> Process:
    """Return the process of a record: from /proc where it is still there, else by the record.

    What /proc no longer shows of it (a process that has exited and was not yet reaped), or shows of a
    program that it has meanwhile become by exec, is taken from the record: it says who did the I/O.
    """
    told = process_from_record(record)
    found = read_process(record.agent_process, record.process_start, host_pid=record.process)
    if found is None:
        return told
    name = os.path.basename(found.executable).encode()[:EXECUTABLE_IN_RECORD]
    same = not record.executable or not name or name == record.executable.partition(b"\0")[0]
    executable = (found.executable if same else "") or told.executable
    return Process(
        pid=record.process,
        start=record.process_start,
        parent=record.parent or found.parent,
        executable=executable,
        command_line=(found.command_line if same else ()) or told.command_line,
        user=found.user if same else told.user,
        environment=(found.environment if same else {}) or told.environment,
        cgroup=choose([path for path in (found.cgroup, told.cgroup) if path]),
        namespace_pid=found.namespace_pid,
        visible_pid=found.visible_pid,
        directory=found.directory,
        command="" if executable else found.command or told.command,
    )


def _read_and_close(file: int, limit: int) -> bytes:
    parts: list[bytes] = []
    try:
        while limit > 0 and (part := os.read(file, min(limit, 64 << 10))):
            parts.append(part)
            limit -= len(part)
    except OSError:  # ESRCH: gone meanwhile
        pass
    finally:
        os.close(file)
    return b"".join(parts)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _number(fields: Iterable[bytes], unknown: int = 0) -> int:
    """Return the one field as a number."""
    return next((int(field) for field in fields if field.isdigit()), unknown)


def _invoked_as(arguments: tuple[str, ...]) -> str:
    """Return what stands for the executable where its path cannot be read: argv[0], unless it is a title.

    Not what the kernel calls the process: any thread may give itself that name, and kernel threads have no
    executable at all.
    """
    first = arguments[0] if arguments else ""
    return "" if " " in first else first


def _arguments(raw: bytes) -> tuple[str, ...]:
    """Split NUL-separated arguments; a rewritten title is one argument, padded with NULs."""
    raw = raw.rstrip(b"\0")
    if not raw:
        return ()
    parts = raw.split(b"\0", ARGUMENTS_MAX)[:ARGUMENTS_MAX]
    return tuple(_text(part[: ARGUMENT_CHARACTERS * 4])[:ARGUMENT_CHARACTERS] for part in parts)


def _environment(raw: bytes) -> dict[str, str]:
    """Return the OTEL_* variables of an environment block; nothing else leaves this function."""
    variables: dict[str, str] = {}
    raw = b"\0" + raw
    at = raw.find(b"\0OTEL_")
    while at >= 0 and len(variables) < VARIABLES_MAX:
        end = raw.find(b"\0", at + 1)
        name, _, value = raw[at + 1 : end if end >= 0 else len(raw)].partition(b"=")
        # the first of equal names is the one that getenv finds
        variables.setdefault(_text(name[:256]), _text(value[: VARIABLE_CHARACTERS * 4])[:VARIABLE_CHARACTERS])
        at = raw.find(b"\0OTEL_", end) if end >= 0 else -1
    return variables


def _status(raw: bytes) -> dict[bytes, bytes]:
    """Split /proc/pid/status into its lines; the kernel escapes newlines in the name."""
    lines = (line.partition(b":") for line in raw.split(b"\n"))
    return {name: value for name, _, value in lines}


def _cgroup_path(raw: bytes) -> str:
    """Choose the path that says most: a container's, else the unified one, systemd's, any but the root."""
    paths: dict[bytes, str] = {}
    for line in raw.splitlines():
        fields = line.split(b":", 2)  # hierarchy, controllers, path (which may hold colons)
        if len(fields) == 3 and fields[2].startswith(b"/") and fields[2] != b"/":
            paths[fields[1]] = _text(fields[2])[:PATH_CHARACTERS]
    first = [paths[name] for name in (b"", b"name=systemd") if name in paths]
    return choose([*first, *paths.values()]) or ("/" if raw else "")


def _nested(names: tuple[bytes, ...]) -> str:
    """Return the end of a control group's path, as far as a record tells it."""
    return "/" + "/".join(_text(name) for name in reversed(names))


def read_file_of(process: Process, path: str, limit: int = 64 << 10) -> bytes:
    """Return the beginning of a regular file as the process sees it (its root may be a container's).

    Empty where that cannot be had. The file is the process's to choose, so nothing but single
    names may be taken from it; a pipe or device in its place is not read, and does not block.
    """
    directory = open_process(process.visible_pid, process.start)
    if directory is None or not path.startswith("/"):
        return b""
    with directory as proc:
        return proc.read_below_root(os.path.normpath(path), limit)


def parent_of(process: Process) -> Process | None:
    """Return the parent as the agent's /proc shows it; None where either is gone or not visible."""
    directory = open_process(process.visible_pid, process.start)
    if directory is None:
        return None
    with directory as proc:
        _, parent = proc.stat()
    return read_process(parent) if parent > 1 else None
