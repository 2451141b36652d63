"""Programs that are compiled where they run, once a session, into a folder that is removed."""

from __future__ import annotations

import atexit
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

from integration.guest.archive import cached

PROGRAMS = Path(__file__).parent.parent / "programs"
SERVERS = PROGRAMS / "servers"
CLIENTS = PROGRAMS / "clients"


@functools.cache
def folder() -> Path:
    """Where the built programs stand in this run."""
    made = Path(tempfile.mkdtemp(prefix="programs-"))
    made.chmod(0o755)
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def _run(*command: str | Path, directory: Path, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=directory,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}{done.stderr}"


def cache(name: str) -> Path:
    """Return a writable folder outside the tree and the home folder, kept between runs."""
    return Path(tempfile.gettempdir()) / f"{name}-{os.getuid()}"


@functools.cache
def go_program(source: Path) -> Path:
    """Build the Go module in `source`, which has no dependencies; return the executable."""
    target = folder() / source.name
    _run(
        "go",
        "build",
        "-o",
        target,
        ".",
        directory=source,
        environment={
            "GOFLAGS": "-mod=mod",
            "GOPROXY": "off",
            "GOCACHE": str(cache("go-build")),
            "CGO_ENABLED": "0",
        },
    )
    return target


def go_installed(source: Path, module: str, version: str, target: Path) -> Path:
    """Have the go command install the module in `source` under another name, from a proxy, as users do."""
    at = target / "proxy" / module / "@v"
    at.mkdir(parents=True)
    definition = f"module {module}\n\ngo 1.16\n"
    (at / "list").write_text(f"{version}\n")
    (at / f"{version}.info").write_text(f'{{"Version": "{version}"}}')
    (at / f"{version}.mod").write_text(definition)
    with zipfile.ZipFile(at / f"{version}.zip", "w") as archive:
        archive.writestr(f"{module}@{version}/go.mod", definition)
        for file in source.glob("*.go"):
            archive.write(file, f"{module}@{version}/{file.name}")
    places = {
        "GOPROXY": (target / "proxy").as_uri(),
        "GOBIN": str(target),
        "GOMODCACHE": str(target / "cache"),
    }
    built = {
        "GOFLAGS": "-modcacherw",
        "GOSUMDB": "off",
        "GOCACHE": str(cache("go-build")),
        "CGO_ENABLED": "0",
    }
    _run("go", "install", f"{module}@{version}", directory=target, environment={**places, **built})
    return target / module.rpartition("/")[2]


@functools.cache
def go_module(name: str, *words: str) -> Path:
    """Build a module in programs/ with all that it requires, which takes minutes, once on a machine.

    `words` are more of go build's, and end in the program, where that is one of a required module.
    """
    source = PROGRAMS / name
    files = sorted(file for file in source.rglob("*") if file.is_file())
    stamp = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]

    def make(scratch: Path, made: Path) -> None:
        # A copy: the go command adds the checksums of what it fetches.
        copy = shutil.copytree(source, scratch / "source")
        environment = {"GOFLAGS": "-mod=mod", "GOCACHE": str(cache("go-build")), "CGO_ENABLED": "0"}
        command = ["go", "build", "-ldflags=-s -w", "-o", made / name, *(words or ["."])]
        _run(*command, directory=copy, environment=environment)

    return cached(cache(name) / stamp, make) / name


@functools.cache
def java_class(source: Path) -> list[str]:
    """Compile one Java file; return the words of the command that runs its main class."""
    target = folder() / "classes"
    _run("javac", "-d", target, source, directory=source.parent)
    return [
        "java",
        "-XX:TieredStopAtLevel=1",
        "-Dsun.net.httpserver.nodelay=true",
        "-XX:+UseSerialGC",
        "-Xmx128m",
        "-cp",
        str(target),
        source.stem,
    ]


@functools.cache
def ways(bits: int = 64) -> Path:
    """Build programs/ways.c; `bits` 32 makes system calls by the 32-bit entry."""
    target = folder() / f"ways{bits}"
    sources = [PROGRAMS / name for name in ("ways.c", "ways_io.c", "ways_uring.c")]
    wanted = ["-m32"] if bits == 32 else []
    options = ["-O1", "-g", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64"]
    _run("gcc", *wanted, *options, "-o", target, *sources, directory=PROGRAMS)
    return target


@functools.cache
def c_program(source: Path, compiler: str = "gcc", *more: str) -> Path:
    """Build a program of one file in C; `more` are options, libraries among them."""
    target = folder() / "-".join((source.stem, compiler, *more))
    options = ["-O2", "-Wall", "-Wextra", "-Werror", "-pthread"]
    _run(compiler, *options, "-o", target, source, *more, directory=source.parent)
    return target
