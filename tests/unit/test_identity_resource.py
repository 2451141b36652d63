"""Resources, and what is kept out of them."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from identity_support import process

from otel_ebpf import __version__
from otel_ebpf.identity.model import Pod, Process
from otel_ebpf.identity.naming import Name
from otel_ebpf.identity.process import ProcDirectory, read_process
from otel_ebpf.identity.resource import Resources, host_attributes, own_attributes
from otel_ebpf.identity.runtime import Runtime, runtime_of, runtime_of_native
from otel_ebpf.identity.secrets import command_line

HOST = (("host.name", "h"), ("host.id", "i"))


def resource_of(found: Process, **given: object) -> dict[str, object]:
    resources = Resources(host=HOST, boot_id="b", **given)  # type: ignore[arg-type]
    attributes = resources.of(found, Name("shop", "sales"), Runtime("python", "cpython"))
    assert len(dict(attributes)) == len(attributes)
    return dict(attributes)


def test_of_a_process_that_is_there() -> None:
    own = read_process(os.getpid())
    assert own is not None
    found = resource_of(own)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(found.pop("process.creation.time")))
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-.*", str(found.pop("service.instance.id")))
    found.pop("process.command_line")
    assert found == {
        **dict(HOST),
        "service.name": "shop",
        "service.namespace": "sales",
        "process.pid": os.getpid(),
        "process.parent_pid": os.getppid(),
        "process.executable.name": os.path.basename(os.path.realpath(sys.executable)),
        "process.executable.path": os.path.realpath(sys.executable),
        "process.owner": "root" if os.getuid() == 0 else found["process.owner"],
        "process.runtime.name": "cpython",
        "telemetry.sdk.name": "otel-ebpf",
        "telemetry.sdk.version": __version__,
        "telemetry.sdk.language": "python",
        "telemetry.distro.name": "otel-ebpf",
        "telemetry.distro.version": __version__,
    }


def test_what_is_unknown_is_left_out() -> None:
    bare = process(parent=0, user=-1, start=0)
    names = {name for name in resource_of(bare) if name.startswith("process.")}
    assert names == {"process.pid", "process.runtime.name"}
    assert resource_of(process("shop", user=4321))["process.owner"] == "4321"
    assert str(resource_of(process(start=2**64 - 1))["process.creation.time"]).startswith("26")


def test_every_instance_has_an_id_that_stays() -> None:
    first, second = process("a", pid=7), process("a", pid=8)
    again = process("a", pid=7, start=2_000_000_000)
    ids = {resource_of(one)["service.instance.id"] for one in (first, second, again)}
    assert len(ids) == 3
    assert resource_of(first)["service.instance.id"] in ids
    own = process("a", environment={"OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=mine"})
    assert resource_of(own)["service.instance.id"] == "mine"


def test_who_wins() -> None:
    declared = "host.name=mine,zone=a,process.pid=1,telemetry.sdk.name=opentelemetry,service.name=x,bad"
    added = (("zone", "b"), ("team", "t"), ("host.id", "given"), ("service.name", "y"), ("process.pid", "2"))
    added += (("service.instance.id", "all"),)
    found = resource_of(process(environment={"OTEL_RESOURCE_ATTRIBUTES": declared}), added=added)
    assert (found["host.name"], found["host.id"], found["zone"], found["team"]) == ("mine", "given", "a", "t")
    assert (found["service.name"], found["process.pid"]) == ("shop", 4_000_000)
    assert found["telemetry.sdk.name"] == "otel-ebpf"
    assert found["service.instance.id"] != "all"


def test_the_version_of_a_service() -> None:
    """What it says itself, then its pod, then what it was built with; last what is said of all."""
    resources = Resources(added=(("service.version", "all"),), host=HOST, boot_id="b")
    built, other = Runtime("go", "go", "go1.23.5", "v1.4.2"), Runtime("go", "go", "go1.23.5")
    pod = Pod("1", "till", labels={"app.kubernetes.io/version": "3.4"})
    own = {"OTEL_RESOURCE_ATTRIBUTES": "service.version=mine"}
    for runtime, facts, version in (
        (other, {}, "all"),
        (built, {}, "v1.4.2"),
        (built, {"pod": pod}, "3.4"),
        (built, {"pod": pod, "environment": own}, "mine"),
    ):
        found = dict(resources.of(process("till", **facts), Name("till"), runtime))
        assert (found["service.version"], found["process.runtime.version"]) == (version, "go1.23.5")


def test_of_the_host() -> None:
    found = dict(host_attributes())
    assert found["os.type"] == "linux"
    assert found["host.name"] == os.uname().nodename
    assert found["host.arch"] in ("amd64", "arm64", os.uname().machine)


@given(st.text(max_size=40), st.text(max_size=40), st.binary(max_size=60))
def test_nothing_raises_and_all_is_text(executable: str, argument: str, declared: bytes) -> None:
    environment = {"OTEL_RESOURCE_ATTRIBUTES": declared.decode("latin-1")}
    found = resource_of(process(executable, argument, environment=environment))
    for value in found.values():
        assert isinstance(value, int) or str(value).isprintable()


@pytest.mark.parametrize(
    "arguments",
    [
        "curl -u bob:hunter2 http://h",
        "curl --user=bob:hunter2 http://h",
        "curl -H|Authorization: Bearer hunter2 x",
        "curl -H|Cookie: a=hunter2; b=hunter2",
        "curl -H|X-Api-Key: hunter2",
        "curl http://bob:hunter2@h/ http://h/?a=1&api_key=hunter2&b=2",
        "curl http://h/?sig=hunter2 https://hunter2@h/",
        "app postgres://u:p@hunter2@h/db redis://:hunter2@h",
        "app --password hunter2 --db-password=hunter2 --secret-key hunter2",
        "app|--password|hunter2 with hunter2",
        "curl -ubob:hunter2 http://h",
        "app --token=hunter2 -passwd hunter2 --api-key hunter2 --client_secret=hunter2",
        "app|--db-password=hunter2 and hunter2",
        "java -Dspring.datasource.password=hunter2 -jar a.jar",
        "sh -c|PGPASSWORD=hunter2 psql host=a password=hunter2",
        'app {"password":"hunter2"}',
        "app AWS_SECRET_ACCESS_KEY=hunter2 DB_PASSWORD=hunter2 accessToken=hunter2",
        "app dsn=Server=a;Password=hunter2;User=b",
        "app --authtoken=hunter2 --auth hunter2",
        "mysql -phunter2 -u root",
        "mariadb -phunter2",
    ],
)
def test_secrets_do_not_leave(arguments: str) -> None:
    separator = "|" if "|" in arguments else " "
    split = tuple(arguments.split(separator))
    shown = command_line(split, f"/usr/bin/{split[0].partition(' ')[0]}")
    assert "hunter2" not in shown
    assert "REDACTED" in shown


def test_tokens_are_known_by_their_shape() -> None:
    tokens = (
        "AKIA" + "A1" * 8,
        "ghp_" + "a" * 36,
        "xoxb-" + "1" * 12,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIifQ.c2ln",
    )
    assert command_line(("app", *tokens)) == "app" + " REDACTED" * 4


def test_what_is_no_secret_stays() -> None:
    for kept in (
        "nginx -g daemon off; -c /etc/nginx.conf",
        "app --author=me --tokens-per-second=5 --compass=n --port 80 -p 81",
        "java -Xmx1g -Dserver.port=80 -jar shop.jar",
        "ssh -p 22 host",
        "curl http://h:80/a?b=c&d=e@f",
    ):
        assert command_line(tuple(kept.split(" ")), kept.partition(" ")[0]) == kept


def test_a_command_line_is_bounded_and_quick() -> None:
    for evil in (
        "a" * 4096,
        "a." * 2048,
        "pass" * 1024,
        "://" * 1300,
        "password " * 400,
        "x://" + "a@" * 2000,
    ):
        assert len(command_line((evil,) * 300)) == 1024


def test_the_runtime_by_the_executables_name() -> None:
    expected = {
        "/usr/bin/python3.11": Runtime("python", "cpython"),
        "/opt/pypy3.10": Runtime("python", "pypy"),
        "/usr/bin/node": Runtime("nodejs", "nodejs"),
        "/usr/lib/jvm/java-17-openjdk-amd64/bin/java": Runtime("java", "java"),
        "/usr/bin/ruby3.1": Runtime("ruby", "ruby"),
        "/usr/sbin/php-fpm8.2": Runtime("php", "php-fpm"),
        "/usr/bin/dotnet": Runtime("dotnet", ".NET"),
        "/usr/bin/unheard-of": Runtime("unknown"),
        "": Runtime("unknown"),
    }
    assert {path: runtime_of(process(executable=path)) for path in expected} == expected


def test_the_runtime_by_what_is_mapped() -> None:
    import ctypes  # noqa: PLC0415

    own = read_process(os.getpid())
    assert own is not None
    renamed = process(executable="/opt/renamed", pid=own.pid, start=own.start, visible_pid=own.pid)
    ctypes.CDLL("libstdc++.so.6")
    with open("/proc/self/maps") as maps:
        expected = "python" if "/libpython" in maps.read() else "cpp"
    assert runtime_of(renamed).language == expected


def test_go_is_known_by_the_note_of_its_linker(tmp_path: Path) -> None:
    class Executable(ProcDirectory):
        def open_executable(self) -> int:
            return os.open(file, os.O_RDONLY)

    file = tmp_path / "go"
    note = b"\x04\0\0\0\x53\0\0\0\x04\0\0\0Go\0\0" + b"build id"
    with Executable(os.open(tmp_path, os.O_RDONLY)) as directory:
        file.write_bytes(b"\x7fELF" + b"\0" * 3000 + note)
        assert runtime_of_native(directory) == Runtime("go", "go")
        file.write_bytes(b"\x7fELF" + b"\0" * 3000 + note.replace(b"Go", b"GN"))
        assert runtime_of_native(directory) == Runtime("unknown")


def test_no_two_agents_are_the_same() -> None:
    first, second = (dict(own_attributes((("team", "blue"), ("service.name", "shop")))) for _ in range(2))
    assert first["service.name"] == "otel-ebpf"
    assert first["team"] == "blue"
    assert first["host.name"]
    assert first["service.instance.id"] != second["service.instance.id"]


def test_what_is_learned_of_the_host_later() -> None:
    """It takes the place of what was known; the instance stays the same."""
    resources = Resources(added=(("host.type", "given"),), host=HOST, boot_id="b")
    one, name, runtime = process(), Name("shop"), Runtime("python", "cpython")
    before = dict(resources.of(one, name, runtime))
    resources.learn((("host.id", "i-0a1b"), ("host.type", "m5.large"), ("cloud.provider", "aws")))
    after = dict(resources.of(one, name, runtime))
    assert after == before | {"host.id": "i-0a1b", "cloud.provider": "aws"}
    assert after["host.type"] == "given"
