"""Versions of runtimes: what is found in the files of a process is what the program itself says."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import pytest
from hypothesis import given
from hypothesis import strategies as st
from identity_support import process
from test_binaries_support import folder, run

from otel_ebpf.identity.process import ProcDirectory, read_process
from otel_ebpf.identity.runtime import Runtime, runtime_of
from otel_ebpf.identity.runtime_versions import RuntimeVersions
from otel_ebpf.kernel.binaries import build_info
from tests.interpreters import interpreters

_JAVA = 'class Told { public static void main(String[] a) throws Exception { System.out.println("told "'
_JAVA += ' + System.getProperty("java.runtime.version")); System.in.read(); } }'
TOLD = {
    "node": ["-e", "console.log('told ' + process.versions.node); process.stdin.resume()"],
    "ruby": ["-e", "puts 'told ' + RUBY_VERSION; STDOUT.flush; gets"],
    "php": ["-r", "echo 'told ' . PHP_VERSION . \"\\n\"; fgets(STDIN);"],
}
_PYTHON = "import platform; print('told', platform.python_version(), flush=True); input()"
NAMES = ("cpython", "ruby", "php", "nodejs", "java", ".NET", "go")
_GO = """package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	fmt.Println("told", runtime.Version())
	os.Stdin.Read(make([]byte, 1))
}
"""


@functools.cache
def go_program() -> Path:
    """Build a program that is stripped."""
    target = folder() / "told_go" / "told"
    target.parent.mkdir()
    (target.parent / "main.go").write_text(_GO)
    (target.parent / "go.mod").write_text("module example.com/shop/told\n\ngo 1.18\n")
    cache = str(Path(gettempdir()) / f"go-build-{os.getuid()}")
    offline = {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOCACHE": cache, "GOTOOLCHAIN": "local"}
    run("go", "build", "-C", target.parent, "-ldflags=-s -w", "-o", target, ".", **offline)
    return target


@functools.cache
def go_of_a_version(version: str) -> Path:
    """Install the same from a module proxy, as users do."""
    proxy, cache, target = (folder() / "proxy" / name for name in ("module", "cache", version))
    module, at = "example.com/shop/told", proxy / "example.com" / "shop" / "told" / "@v"
    at.mkdir(parents=True, exist_ok=True)
    (at / "list").write_text(f"{version}\n")
    (at / f"{version}.info").write_text(json.dumps({"Version": version}))
    (at / f"{version}.mod").write_text(f"module {module}\n\ngo 1.18\n")
    with zipfile.ZipFile(at / f"{version}.zip", "w") as archive:
        archive.writestr(f"{module}@{version}/go.mod", f"module {module}\n\ngo 1.18\n")
        archive.writestr(f"{module}@{version}/main.go", _GO)
    built = {"GOCACHE": str(Path(gettempdir()) / f"go-build-{os.getuid()}"), "GOTOOLCHAIN": "local"}
    places = {"GOPROXY": proxy.as_uri(), "GOSUMDB": "off", "GOMODCACHE": str(cache), "GOBIN": str(target)}
    run("go", "install", "-modcacherw", f"{module}@{version}", GOFLAGS="", **built, **places)
    return target / "told"


@contextmanager
def running(*words: str | Path) -> Iterator[tuple[int, str]]:
    """Run a program that says its version; yield its pid, and that."""
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        try:
            yield program.pid, program.stdout.readline().removeprefix("told ").strip()
        finally:
            program.kill()


def version_of(pid: int, versions: RuntimeVersions | None = None) -> str:
    found = read_process(pid)
    assert found is not None
    return (versions or RuntimeVersions()).complete(found, runtime_of(found)).version


@pytest.mark.parametrize("name", TOLD)
def test_what_the_program_says(name: str) -> None:
    """The version in its files, though nothing of it is in its name."""
    with running(name, *TOLD[name]) as (pid, told):
        assert told.count(".") == 2
        assert version_of(pid) == told


@pytest.mark.parametrize("name", interpreters())
def test_python(name: str) -> None:
    """Whole from 3.11 on, be it linked into the executable or a library; before, as far as names have it."""
    with running(interpreters()[name], "-c", _PYTHON) as (pid, told):
        major, minor, *_ = told.split(".")
        assert version_of(pid) == (told if int(minor) >= 11 else f"{major}.{minor}")


def test_java(tmp_path: Path) -> None:
    (tmp_path / "Told.java").write_text(_JAVA)
    for home in sorted({Path(one).resolve() for one in Path("/usr/lib/jvm").glob("*/bin/java")}):
        with running(home, "-Xint", "-XX:TieredStopAtLevel=1", tmp_path / "Told.java") as (pid, told):
            assert "+" in told
            assert version_of(pid) == told


def test_go() -> None:
    with running(go_program()) as (pid, told):
        assert told.startswith("go1.")
        assert version_of(pid) == told


def test_a_go_program_s_own_version() -> None:
    """Of one that was installed by its version; one that was built in a folder has none."""
    for path, version in ((go_of_a_version("v1.4.2"), "v1.4.2"), (go_program(), "")):
        with running(path) as (pid, told):
            found = read_process(pid)
            assert found is not None
            runtime = RuntimeVersions().complete(found, runtime_of(found))
        assert runtime == Runtime("go", "go", told, version)


def test_of_what_is_no_runtime_nothing_is_said() -> None:
    with subprocess.Popen(["sleep", "60"]) as program:
        assert version_of(program.pid) == ""
        program.kill()
    gone = process("/usr/bin/python3.11")
    assert RuntimeVersions().complete(gone, Runtime("python", "cpython")) == Runtime("python", "cpython")


def test_an_executable_is_looked_into_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Until it is another file, by whatever path it is run."""
    looked: list[object] = []
    version = build_info.version

    def counted(*given: object) -> str:
        looked.append(given)
        return version(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(build_info, "version", counted)
    versions = RuntimeVersions()
    linked, copied = tmp_path / "linked", tmp_path / "copied"
    shutil.copy(go_program(), linked)
    for path, times in ((linked, 1), (linked, 1), (copied, 2)):
        if not path.exists():
            shutil.copy(linked, path)
        with running(path) as (pid, _):
            assert version_of(pid, versions).startswith("go1.")
        assert len(looked) == times


def test_a_deleted_executable_still_tells(tmp_path: Path) -> None:
    program = tmp_path / "server"
    shutil.copy(go_program(), program)
    with running(program) as (pid, _):
        program.unlink()
        assert version_of(pid).startswith("go1.")


@given(st.binary(max_size=4096), st.sampled_from(NAMES), st.binary(max_size=200))
def test_any_file_is_taken(content: bytes, name: str, mapped: bytes) -> None:
    """A broken executable has no version, and raises nothing."""
    with TemporaryDirectory() as folder:
        Path(folder, "exe").write_bytes(b"\x7fELF\x02\x01" + content)
        Path(folder, "maps").write_bytes(mapped)
        with ProcDirectory(os.open(folder, os.O_RDONLY)) as directory:
            assert RuntimeVersions().of(directory, Runtime("", name)) == Runtime("", name)


@pytest.mark.parametrize(
    ("name", "path", "version"),
    [
        ("cpython", "/usr/lib/libpython3.so\n /usr/lib/libpython3.8m.so.1.0", "3.8"),
        ("ruby", "/usr/lib/libruby-2.7.so.2.7", "2.7"),
        ("php", "/usr/lib/libphp8.2.so", "8.2"),
        (".NET", "/usr/share/dotnet/shared/Microsoft.NETCore.App/8.0.11/libcoreclr.so", "8.0.11"),
        (".NET", "/opt/shop/libcoreclr.so", ""),
        ("java", "/nowhere/lib/server/libjvm.so", ""),
    ],
)
def test_what_a_library_s_path_tells(tmp_path: Path, name: str, path: str, version: str) -> None:
    """Where nothing in the files does: they are older, or not there."""
    (tmp_path / "exe").symlink_to("/bin/true")
    (tmp_path / "maps").write_text(f"7f0-7f1 r-xp 00000000 08:01 12                 {path}\n")
    with ProcDirectory(os.open(tmp_path, os.O_RDONLY)) as directory:
        assert RuntimeVersions().of(directory, Runtime("", name)).version == version
