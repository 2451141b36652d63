"""The sdist and the wheel: built from nothing but what they declare, and installed where no compiler is."""

from __future__ import annotations

import os
import sys
import tarfile
import zipfile
from collections import defaultdict
from pathlib import Path, PurePosixPath

import pytest

from integration.guest.run import CHECKOUT
from integration.harness.installed import alone, dist, run, rung_by_doctor, spans_of_a_server, wheel
from otel_ebpf import __version__

ARCHITECTURES = {"x86_64", "aarch64"}

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of an environment that has the wheel in it."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", folder)
    clean = {**os.environ, "PYTHONPATH": "", "PATH": str(folder / "bin")}
    run(folder / "bin/pip", "install", "--quiet", wheel(), env=clean)
    return folder / "bin/otel-ebpf"


def test_the_sdist_is_what_the_build_needs() -> None:
    with tarfile.open(dist() / f"otel_ebpf-{__version__}.tar.gz") as sdist:
        paths = [PurePosixPath(name) for name in sdist.getnames()]
    wanted = {"bpf", "otel_ebpf", "hatch_build.py", "pyproject.toml", "LICENSE", "README.md", "PKG-INFO"}
    assert {path.parts[1] for path in paths} - {".gitignore"} == wanted
    assert not [path for path in paths if path.suffix in (".o", ".pyc")], "built, not source"


def test_the_wheel_is_the_package_and_the_objects_of_every_architecture() -> None:
    assert wheel().name == f"otel_ebpf-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel()) as archive:
        paths = [PurePosixPath(name) for name in archive.namelist()]
    assert {path.parts[0] for path in paths} == {"otel_ebpf", f"otel_ebpf-{__version__}.dist-info"}
    assert {path.suffix for path in paths if path.parts[0] == "otel_ebpf"} == {".py", ".o"}
    objects: dict[str, set[str]] = defaultdict(set)
    for path in paths:
        if path.suffix == ".o":
            objects[path.parent.name].add(path.name)
    programs = {path.name.removesuffix(".bpf.c") for path in (CHECKOUT / "bpf/probes").glob("*.bpf.c")}
    assert set(objects) == ARCHITECTURES
    for names in objects.values():
        assert names == {f"{name}{variant}.bpf.o" for name in programs for variant in ("", ".baseline")}


def test_doctor_finds_a_rung(installed: Path) -> None:
    assert rung_by_doctor(alone(installed))


def test_it_traces_a_program_of_the_host(installed: Path) -> None:
    assert spans_of_a_server(alone(installed))
