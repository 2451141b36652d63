"""A host of files and processes that are only told of, and an attacher that only takes notes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from otel_ebpf.kernel.attacher import Attacher
from otel_ebpf.kernel.binaries import BinaryError
from otel_ebpf.kernel.contents import Contents
from otel_ebpf.kernel.errors import KernelError
from otel_ebpf.kernel.libraries import Found
from otel_ebpf.kernel.mappings import Mapping
from otel_ebpf.kernel.messages import (
    AttachedFile,
    AttachFile,
    DetachFile,
    Done,
    HitTimed,
    Point,
    Reply,
    Request,
    TimeHit,
)
from otel_ebpf.kernel.runtimes import Runtime
from otel_ebpf.kernel.tables import Tables
from tests.waiting import wait_for


@dataclass
class NotingAttacher:
    """Attaches nothing. `refuses` are paths of which the kernel would not hear, by its error `code`."""

    attached: list[tuple[str, int]] = field(default_factory=list)
    detached: list[int] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    code: int = 0

    def handle(self, request: Request) -> Reply:
        if isinstance(request, AttachFile):
            self.attached.append((request.path, request.pid))
            if request.path in self.refuses:
                raise KernelError("no", self.code)
            return AttachedFile(len(self.attached))
        if isinstance(request, TimeHit):
            return HitTimed(1000)
        assert isinstance(request, DetachFile)
        self.detached.append(request.token)
        return Done()

    @property
    def as_attacher(self) -> Attacher:
        return cast(Attacher, self)


@dataclass
class NotingTables:
    """Maps that nobody reads. `runtimes` are the processes of which one was told, and their hits."""

    let_go: int = 0
    runtimes: dict[int, int] = field(default_factory=dict)
    files: dict[int, int] = field(default_factory=dict)
    refused: list[int] = field(default_factory=list)

    def forget_executables(self) -> None:
        self.let_go += 1

    def set_runtime(self, process: int, kind: int, moved: int, places: bytes) -> None:
        self.runtimes.setdefault(process, 0)

    def refuse_runtime(self, process: int) -> None:
        self.refused.append(process)

    def set_runtime_file(self, number: int, kind: int, places: bytes) -> None:
        self.files[number] = kind

    def forget_runtime(self, process: int) -> None:
        self.runtimes.pop(process, None)

    def runtime_hits(self) -> dict[int, int]:
        return dict(self.runtimes)

    @property
    def as_tables(self) -> Tables:
        return cast(Tables, self)


@dataclass
class Host:
    """What /proc and the files say. Processes are real, and asleep."""

    folder: Path
    mapped: dict[int, list[Mapping]] = field(default_factory=dict)
    holds: dict[str, tuple[str, ...]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    resolvers: set[str] = field(default_factory=set)
    runtimes: dict[str, str] = field(default_factory=dict)
    looked_into: list[str] = field(default_factory=list)
    looked_at: list[int] = field(default_factory=list)
    now: float = 1000.0
    ahead: list[Mapping] = field(default_factory=list)
    meanwhile: dict[int, Callable[[], None]] = field(default_factory=dict)
    """What happens, once, while a process is looked at."""
    _asleep: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def file(
        self, name: str, *libraries: str, broken: bool = False, runtime: str = "", resolver: bool = False
    ) -> Mapping:
        """Make a file that is said to hold libraries, the C library (`resolver`), and a runtime."""
        path = self.folder / name
        path.write_text(name)
        self.holds[str(path)] = libraries
        self.runtimes[str(path)] = runtime
        if broken:
            self.broken.add(str(path))
        if resolver:
            self.resolvers.add(str(path))
        stat = path.stat()
        return Mapping(str(path), f"/usr/lib/{name}", (stat.st_dev, stat.st_ino))

    def process(self, *files: Mapping) -> int:
        """Start a process that is said to have mapped files."""
        process = subprocess.Popen(["sleep", "300"])
        self._asleep.append(process)
        self.mapped[process.pid] = list(files)
        return process.pid

    def end(self, pid: int) -> None:
        """End a process."""
        (process,) = (one for one in self._asleep if one.pid == pid)
        process.kill()
        process.wait()
        self.mapped.pop(pid, None)

    def end_unheeded(self, pid: int) -> None:
        """End a process that nobody waits for: it stays in /proc, with nothing mapped."""
        (process,) = (one for one in self._asleep if one.pid == pid)
        process.kill()
        wait_for(lambda: Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z")
        self.mapped[pid] = []

    def close(self) -> None:
        for process in self._asleep:
            process.kill()
            process.wait()

    def mappings(self, pid: int) -> list[Mapping]:
        self.looked_at.append(pid)
        self.meanwhile.pop(pid, lambda: None)()
        return self.mapped.get(pid, [])

    def contents(self, path: str) -> Contents:
        self.looked_into.append(path)
        if path in self.broken:
            raise BinaryError("it lies")
        name = self.runtimes[path]
        points = (Point("go_asks", 64),)
        runtime = Runtime(name, 1, points, b"", unless="MOVES" if name == "ruby" else "") if name else None
        tls = tuple(Found(name, (Point("tls_read", 64),)) for name in self.holds[path])
        libc = (Found("libc", (Point("resolver_getaddrinfo", 64),)),) if path in self.resolvers else ()
        return Contents(tls, runtime, resolver=libc)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """Have the modules see this host in place of the real one."""
    made = Host(tmp_path)
    monkeypatch.setattr("otel_ebpf.probing.files.executable_mappings", made.mappings)
    monkeypatch.setattr("otel_ebpf.probing.files.look_into", made.contents)
    for module in ("watch", "scan"):
        monkeypatch.setattr(f"otel_ebpf.probing.{module}.processes", lambda: sorted(made.mapped))
    monkeypatch.setattr("otel_ebpf.probing.watch.installed", lambda names: made.ahead)
    for module in ("probes", "runtimes"):
        clock = SimpleNamespace(monotonic=lambda: made.now)
        monkeypatch.setattr(f"otel_ebpf.probing.{module}.time", clock)
    yield made
    made.close()
