"""The Debian package: installed, run, replaced and removed in a Debian that systemd has booted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import indent

import pytest

from integration.guest.run import CHECKOUT
from integration.harness.backend import Backend
from integration.harness.booted import Booted, booted
from integration.harness.installed import run, wheel
from integration.harness.limits import wait_until
from integration.harness.measured import drive, new_mark
from integration.harness.ports import free_port, is_listening
from integration.harness.spans import SERVER

SHOP = """[Service]
ExecStart=/usr/bin/python3 /programs/servers/threaded.py {port}
"""

AS_NOBODY = """[Service]
DynamicUser=yes
CapabilityBoundingSet=
CapabilityBoundingSet=CAP_BPF CAP_PERFMON CAP_SYS_PTRACE CAP_DAC_READ_SEARCH
AmbientCapabilities=CAP_BPF CAP_PERFMON CAP_SYS_PTRACE CAP_DAC_READ_SEARCH
"""

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(CHECKOUT / "tools" / "build-deb.sh", wheel(), folder)
    (package,) = folder.glob("*.deb")
    return package


@pytest.fixture(scope="module")
def debian() -> Iterator[Booted]:
    with booted() as there:
        yield there


def test_the_package_from_installation_to_removal(package: Path, debian: Booted) -> None:
    archive = debian.copy(package)
    debian.run("dpkg", "--install", archive)
    debian.run("systemd-analyze", "verify", "--man=no", "otel-ebpf.service")
    port = free_port()
    with Backend() as backend:
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": backend.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_INSECURE": "true",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        lines = "".join(f"{key}={value}\n" for key, value in settings.items())
        debian.write("/etc/otel-ebpf/environment", lines)
        debian.run("systemctl", "enable", "--now", "otel-ebpf")
        debian.write("/etc/systemd/system/shop.service", SHOP.format(port=port))
        debian.run("systemctl", "start", "shop")
        assert wait_until(lambda: is_listening(port))
        _is_traced(backend, port)
        debian.run("/opt/otel-ebpf/bin/otel-ebpf", "doctor")
        before = _main_pid(debian)
        debian.run("dpkg", "--install", archive)
        assert _main_pid(debian) not in (before, "0"), "the new version does not run"
        assert debian.run("cat", "/etc/otel-ebpf/environment") == lines
        _is_traced(backend, port)
        debian.write("/etc/systemd/system/otel-ebpf.service.d/user.conf", AS_NOBODY)
        debian.run("systemctl", "daemon-reload")
        debian.run("systemctl", "restart", "otel-ebpf")
        _is_traced(backend, port)
        assert debian.run("stat", "--format=%U", f"/proc/{_main_pid(debian)}/task") != "root\n"
    debian.run("dpkg", "--remove", "otel-ebpf")
    assert _main_pid(debian) == "0"
    debian.run("test", "!", "-e", "/opt/otel-ebpf")
    debian.run("dpkg", "--purge", "otel-ebpf")
    debian.run("test", "!", "-e", "/etc/otel-ebpf")


def test_the_page_has_the_same_settings() -> None:
    page = (CHECKOUT / "docs" / "install.md").read_text()
    assert indent(AS_NOBODY, "    ") in page


def _is_traced(backend: Backend, port: int) -> None:
    mark = new_mark()
    drive(port, ["/json"] * 3, mark=mark)
    spans = backend.expect(3, port=port, kind=SERVER, mark=mark)
    assert {span.service for span in spans} == {"shop"}, "not named by its unit"


def _main_pid(debian: Booted) -> str:
    return debian.run("systemctl", "show", "--property=MainPID", "--value", "otel-ebpf").strip()
