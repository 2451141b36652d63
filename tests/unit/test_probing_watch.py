"""Which files get probes, for how long, and what is told of them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from threading import Event
from typing import Any

import pytest
from tls_support import Host, NotingAttacher, NotingTables, host

from otel_ebpf.config import Dns, Tls, Traces
from otel_ebpf.probing.probes import KEPT_SECONDS
from otel_ebpf.probing.watch import Watch
from tests.waiting import wait_for

__all__ = ["host"]

StartWatch = Callable[..., Watch]


class Told:
    """What `Watch` told others to do."""

    def __init__(self) -> None:
        self.attacher = NotingAttacher()
        self.tables = NotingTables()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    monkeypatch.setattr("otel_ebpf.probing.watch._SWEEP_SECONDS", 0.01)
    return Told()


@pytest.fixture
def watch(host: Host, told: Told) -> Iterator[StartWatch]:
    """Start looking at the host; stop at the end."""
    with ExitStack() as stack:

        def start(
            config: Tls | None = None, pids: frozenset[int] = frozenset(), dns: Dns | None = None
        ) -> Watch:
            own = (told.attacher.as_attacher, told.tables.as_tables)
            libraries = Watch(*own, config or Tls(), Traces(), pids, dns or Dns())
            libraries.start()
            stack.callback(libraries.stop)
            return libraries

        yield start


def users(libraries: Watch) -> dict[str, int]:
    return {one["path"]: one["processes"] for one in libraries.tls()["libraries"]}


def reasons(libraries: Watch) -> dict[int, str]:
    return {one["pid"]: one["reason"] for one in libraries.tls()["unread"]}


def shows(ask: Callable[[Watch], Any], libraries: Watch, value: object) -> None:
    wait_for(lambda: ask(libraries) == value, partial(str, libraries.tls))


def test_what_runs_at_the_start_is_attached_once_for_each_file(
    host: Host, told: Told, watch: StartWatch
) -> None:
    library, program = host.file("libssl.so.3", "openssl"), host.file("program")
    for _ in range(2):
        host.process(program, library)
    assert users(watch()) == {"/usr/lib/libssl.so.3": 2}
    assert told.attacher.attached == [(library.path, 0)]
    assert sorted(host.looked_into) == [library.path, program.path]


def test_what_is_installed_is_attached_ahead(host: Host, watch: StartWatch) -> None:
    host.ahead = [host.file("libssl.so.3", "openssl")]
    assert users(watch()) == {"/usr/lib/libssl.so.3": 0}


def test_a_process_that_starts_is_looked_at_and_again_for_what_it_loads_late(
    host: Host, watch: Watch
) -> None:
    libraries = watch()
    program = host.file("program")
    pid = host.process(program)
    libraries.started(pid, pid)
    wait_for(lambda: program.path in host.looked_into)
    host.mapped[pid] = [program, host.file("libgnutls.so", "gnutls")]
    shows(users, libraries, {"/usr/lib/libgnutls.so": 1})


def test_the_agent_itself_is_left_alone(host: Host, told: Told, watch: StartWatch) -> None:
    host.mapped[os.getpid()] = [host.file("python", "openssl")]
    assert users(watch()) == {}


def test_of_libraries_only_those_with_a_telling_name_are_looked_into(host: Host, watch: StartWatch) -> None:
    watched = [host.file("program"), host.file("libm.so.6", "openssl"), host.file("libssl.so.3", "openssl")]
    host.process(*watched)
    assert users(watch()) == {"/usr/lib/libssl.so.3": 1}
    assert watched[1].path not in host.looked_into


def test_one_file_with_two_libraries_is_told_of_twice(host: Host, watch: StartWatch) -> None:
    host.process(host.file("program", "openssl", "gnutls"))
    told = watch().tls()["libraries"]
    assert [(one["library"], one["path"], one["processes"]) for one in told] == [
        ("openssl", "/usr/lib/program", 1),
        ("gnutls", "/usr/lib/program", 1),
    ]


def test_files_of_the_same_name_are_told_apart(host: Host, watch: StartWatch) -> None:
    """As libssl in two containers."""
    one, other = host.file("libssl.so.3", "openssl"), host.file("libssl.so.3.other", "openssl")
    for file in (one, other):
        host.process(host.file("program"), file._replace(name="/usr/lib/libssl.so.3"))
    assert [file["processes"] for file in watch().tls()["libraries"]] == [1, 1]


def test_files_without_users_are_let_go_and_the_kernel_tells_again(
    host: Host, told: Told, watch: Watch
) -> None:
    pid = host.process(host.file("program", "openssl"))
    libraries = watch()
    host.end(pid)
    shows(users, libraries, {"/usr/lib/program": 0})
    host.now += KEPT_SECONDS + 1
    shows(users, libraries, {})
    wait_for(lambda: told.tables.let_go == 1)
    assert told.attacher.detached == [1]


def test_a_program_that_starts_does_not_wait_until_all_others_were_looked_at(
    host: Host, told: Told, watch: StartWatch
) -> None:
    library, program = host.file("libssl.so.3", "openssl"), host.file("program", "gnutls")
    running = [host.process(library) for _ in range(3)]
    ended = host.process(program)
    libraries = watch()
    started: list[int] = []

    def start() -> None:
        started.append(host.process(host.file("another")))
        libraries.started(started[0], started[0])

    host.end(ended)
    host.looked_at.clear()
    host.meanwhile[running[0]] = start
    host.now += KEPT_SECONDS + 1
    wait_for(lambda: running[2] in host.looked_at)
    assert host.looked_at[:3] == [running[0], *started, running[1]]


def test_where_few_processes_are_selected_probes_are_theirs_alone(
    host: Host, told: Told, watch: Watch
) -> None:
    file, others = host.file("program", "openssl"), host.file("others", "gnutls")
    chosen, other = host.process(file), host.process(file, others)
    libraries = watch(pids=frozenset([chosen]))
    libraries.started(other, other)
    libraries.handshake(other)
    libraries.stop()
    assert told.attacher.attached == [(file.path, chosen)]
    assert others.path not in host.looked_into


def test_what_the_kernel_refuses_is_tried_once_and_told(host: Host, told: Told, watch: StartWatch) -> None:
    file = host.file("program", "openssl")
    pid = host.process(file)
    told.attacher.refuses.add(file.path)
    libraries = watch()
    libraries.handshake(pid)
    shows(reasons, libraries, {pid: "not_attached"})
    assert told.attacher.attached == [(file.path, 0)]


def test_nothing_is_attached_where_it_is_switched_off(host: Host, told: Told, watch: StartWatch) -> None:
    host.ahead = [host.file("libssl.so.3", "openssl")]
    pid = host.process(host.file("program"), *host.ahead)
    libraries = watch(Tls(enabled=False))
    libraries.handshake(pid)
    shows(reasons, libraries, {pid: "disabled"})
    assert told.attacher.attached == []


def test_a_process_with_handshakes_and_no_probes_is_told_until_it_is_gone(
    host: Host, watch: StartWatch
) -> None:
    java, rust, fine = (
        host.process(host.file("java"), host.file("libjvm.so")),
        host.process(host.file("rust")),
        host.process(host.file("curl"), host.file("libssl.so.3", "openssl")),
    )
    silent = host.process(host.file("silent"))
    libraries = watch()
    for pid in (java, rust, fine):
        libraries.handshake(pid)
    shows(reasons, libraries, {java: "java", rust: "no_symbols"})
    assert silent not in reasons(libraries)
    assert {one["command"] for one in libraries.tls()["unread"]} == {"sleep"}
    host.end(java)
    assert reasons(libraries) == {rust: "no_symbols"}


def test_a_process_that_has_ended_is_not_told_of(host: Host, watch: StartWatch) -> None:
    ended, runs = host.process(), host.process(host.file("program"))
    host.end_unheeded(ended)
    libraries = watch()
    libraries.handshake(ended)
    libraries.handshake(runs)
    shows(reasons, libraries, {runs: "no_symbols"})


def test_a_process_is_told_no_more_when_it_is_another_program(host: Host, watch: StartWatch) -> None:
    program = host.file("rust")
    pid = host.process(program)
    libraries = watch()
    libraries.handshake(pid)
    shows(reasons, libraries, {pid: "no_symbols"})
    libraries.started(pid, pid)
    shows(reasons, libraries, {})


def test_a_process_is_told_no_more_when_its_library_is_found(host: Host, watch: StartWatch) -> None:
    program = host.file("program")
    pid = host.process(program)
    libraries = watch()
    libraries.handshake(pid)
    shows(reasons, libraries, {pid: "no_symbols"})
    host.mapped[pid] = [program, host.file("libssl.so.3", "openssl")]
    shows(reasons, libraries, {})  # by one of the looks that a first handshake brings


def test_a_thousand_handshakes_bring_few_looks(host: Host, watch: StartWatch) -> None:
    pid = host.process(host.file("program"))
    libraries = watch()
    for _ in range(1000):
        libraries.handshake(pid)
    shows(reasons, libraries, {pid: "no_symbols"})
    assert len(host.looked_at) < 100
    assert len(host.looked_into) == 1


def resolvers(watch: Watch) -> dict[str, int]:
    return {one["path"]: one["processes"] for one in watch.resolvers()}


def test_the_c_library_has_probes_of_its_own(host: Host, told: Told, watch: StartWatch) -> None:
    libc, tls = host.file("libc.so.6", resolver=True), host.file("libssl.so.3", "openssl")
    host.ahead = [libc]
    for _ in range(2):
        host.process(host.file("program"), libc, tls)
    libraries = watch()
    assert resolvers(libraries) == {"/usr/lib/libc.so.6": 2}
    assert users(libraries) == {"/usr/lib/libssl.so.3": 2}
    assert told.attacher.attached == [(libc.path, 0), (tls.path, 0)]


def test_without_dns_it_has_none(host: Host, told: Told, watch: StartWatch) -> None:
    host.process(host.file("program"), host.file("libc.so.6", resolver=True))
    assert resolvers(watch(dns=Dns(enabled=False))) == {}
    assert told.attacher.attached == []


def test_without_tls_it_has_them_still(host: Host, watch: StartWatch) -> None:
    host.process(host.file("program"), host.file("ld-musl-x86_64.so.1", resolver=True))
    assert resolvers(watch(Tls(enabled=False))) == {"/usr/lib/ld-musl-x86_64.so.1": 1}


def test_a_program_with_tls_inside_is_looked_at_until_its_c_library_is_there(
    host: Host, watch: StartWatch
) -> None:
    """When the kernel tells of it, its loader has not mapped that yet."""
    libraries, program = watch(), host.file("node", "openssl")
    pid = host.process(program)
    libraries.started(pid, pid)
    shows(users, libraries, {"/usr/lib/node": 1})
    host.mapped[pid] = [program, host.file("libc.so.6", resolver=True)]
    shows(resolvers, libraries, {"/usr/lib/libc.so.6": 1})


def test_probes_of_a_c_library_that_nobody_uses_any_more_are_taken_away(
    host: Host, told: Told, watch: StartWatch
) -> None:
    pid = host.process(host.file("static", resolver=True))
    libraries = watch()
    assert resolvers(libraries) == {"/usr/lib/static": 1}
    host.end(pid)
    host.now += KEPT_SECONDS + 1
    shows(resolvers, libraries, {})
    assert told.attacher.detached == [1]


def test_a_c_library_whose_probes_are_refused_is_tried_once(
    host: Host, told: Told, watch: StartWatch
) -> None:
    libc = host.file("libc.so.6", "openssl", resolver=True)
    told.attacher.refuses.add(libc.path)
    for _ in range(3):
        host.process(libc)
    assert resolvers(watch()) == {}
    assert told.attacher.attached == [(libc.path, 0)] * 2, "once for TLS, and once for lookups"


def test_all_that_runs_is_looked_at_again_when_files_could_not_be_attached_to(
    host: Host, told: Told, watch: StartWatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The process that has one mapped may never be told of again."""
    file = host.file("libssl.so.3", "openssl")
    host.process(file)
    host.ahead = [file]
    told.attacher.refuses, told.attacher.code = {file.path}, errno.EMFILE
    watching = watch()
    assert not watching.tls()["libraries"]
    assert "looked into now" in caplog.text
    told.attacher.refuses = set()
    wait_for(lambda: watching.tls()["libraries"])


def test_more_new_processes_than_can_wait_are_found_by_looking_at_all(
    host: Host, told: Told, watch: StartWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otel_ebpf.probing.watch._WAITING_MAX", 2)
    watching, go_on, held = watch(), Event(), Event()
    first = host.process()

    def hold() -> None:
        held.set()
        go_on.wait(10)

    host.meanwhile[first] = hold
    watching.started(first, first)
    assert held.wait(10)
    files = [host.file(f"libssl.so.{number}", "openssl") for number in range(4)]
    for pid in [host.process(file) for file in files]:
        watching.started(pid, pid)
    go_on.set()
    wait_for(lambda: {path for path, _ in told.attacher.attached} == {file.path for file in files})
