"""How a service gets its name: a list of namers, asked in order, each a small function.

The order is that of the conventions' table in docs (see `NAMERS`): what the process says of itself,
what the user's configuration says, then what can be observed, from what was chosen to be a
service's name down to the executable.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

from otel_ebpf.config import InjectRule, Match, NamingRule
from otel_ebpf.config_rules import ProcessRule
from otel_ebpf.environment import parse_pairs
from otel_ebpf.identity.command import interpreter_of
from otel_ebpf.identity.model import Process
from otel_ebpf.identity.names import clean_name, words
from otel_ebpf.identity.place_names import container_name, pod_name, pod_namespace
from otel_ebpf.identity.programs import program_name

__all__ = ["Name", "Namer", "declared_attributes", "matches", "name_of", "namers", "unit_name"]

UNKNOWN_NAME = "unknown_service"  # what an SDK uses (specification, resource semantic conventions)


class Name(NamedTuple):
    """A service's name and namespace, "" for none."""

    name: str
    namespace: str = ""


Namer = Callable[[Process], Name | None]
"""Names a process, or leaves that to the next namer. Never raises."""


def namers(rules: Iterable[NamingRule] = ()) -> list[tuple[str, Namer]]:
    """Return the namers in their order, each with the name by which others can be put beside it."""
    listed = tuple(rules)
    return [
        ("environment", by_environment),
        ("rule", lambda process: by_rule(process, listed)),
        ("pod", by_pod),
        ("container", by_container),
        ("unit", by_unit),
        ("program", by_program),
        ("executable", by_executable),
    ]


def name_of(process: Process, order: Iterable[tuple[str, Namer]]) -> Name:
    """Return the first name that any namer gives, cleaned; its namespace may come from the process.

    Where none does, the name says so, with what the kernel calls the process.
    """
    declared = clean_name(declared_attributes(process).get("service.namespace", ""))
    for _, namer in order:
        found = namer(process)
        name = clean_name(found.name) if found else ""
        if found and name:
            return Name(name, declared or clean_name(found.namespace))
    command = clean_name(process.command)
    return Name(f"{UNKNOWN_NAME}:{command}" if command else UNKNOWN_NAME, declared)


def declared_attributes(process: Process) -> dict[str, str]:
    """Return what the process's own OTEL_RESOURCE_ATTRIBUTES says; pairs that cannot be read are left out."""
    return dict(parse_pairs(process.environment.get("OTEL_RESOURCE_ATTRIBUTES", ""))[0])


def by_environment(process: Process) -> Name | None:
    """Name a process as its own SDK would: OTEL_SERVICE_NAME, else service.name of its attributes."""
    own = process.environment.get("OTEL_SERVICE_NAME", "").strip()
    name = own or declared_attributes(process).get("service.name", "")
    return Name(name) if name else None


def by_rule(process: Process, rules: tuple[NamingRule, ...]) -> Name | None:
    """Name a process by the first rule of the configuration's `services` that matches."""
    for rule in rules:
        if matches(rule.match, process):
            return Name(rule.name, rule.namespace or "")
    return None


def matches(rule: Match | ProcessRule | InjectRule, process: Process) -> bool:
    """Whether a rule's globs for the executable and the command line match."""
    if rule.executable is not None and not _executable_matches(rule.executable, process.executable):
        return False
    return rule.command_line is None or fnmatchcase(" ".join(process.command_line), rule.command_line)


def _executable_matches(glob: str, executable: str) -> bool:
    """Match a path, or its last component where either side is no more than that.

    Of a process that was gone before it was looked at, the kernel's record has the last component only.
    """
    if "/" in glob and "/" in executable:
        return fnmatchcase(executable, glob)
    return fnmatchcase(os.path.basename(executable), glob.rpartition("/")[2])


_IN_MEMORY = ("/memfd:", "/dev/fd/", "/proc/self/fd/")  # executables that have no name of their own
# Units that start whatever they are told to: what they started is not them.
_LAUNCHERS = words(
    "anacron atd containerd cri-o crio cron crond docker init kubelet podman rc-local snapd ssh sshd "
    "supervisor supervisord user"
)
_CONTAINER = re.compile(r"kubepods|docker|containerd|libpod|crio|lxc|machine\.slice|[0-9a-f]{32,}")
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")


def unit_name(cgroup: str) -> str:
    """Return the systemd service whose control group this is (systemd.unit(5)), "" for none.

    `/system.slice/nginx.service` is `nginx`, an instance `shop@1.service` is `shop`. Sessions and
    scopes are no services, and what runs in a container is not named by the unit that holds it.
    """
    parts = [part for part in cgroup.split("/") if part]
    if any(_CONTAINER.search(part) and not part.endswith(".service") for part in parts):
        return ""
    for part in reversed(parts):
        if part.endswith(".scope"):
            return ""
        if part.endswith(".service"):
            name = part.removesuffix(".service").partition("@")[0]
            name = _ESCAPED.sub(lambda found: chr(int(found.group(1), 16)), name)
            return "" if name in _LAUNCHERS else name
    return ""


def by_pod(process: Process) -> Name | None:
    """Name a process by its pod, which is more than its uid only where the API server is asked."""
    name = pod_name(process)
    return Name(name, pod_namespace(process)) if name else None


def by_container(process: Process) -> Name | None:
    """Name a process by its container's compose service, or its container."""
    name = container_name(process)
    return Name(name) if name else None


def by_unit(process: Process) -> Name | None:
    """Name a process by its systemd unit."""
    name = unit_name(process.cgroup)
    return Name(name) if name else None


def by_program(process: Process) -> Name | None:
    """Name a process by the script, module, jar or main class that its interpreter runs."""
    name = program_name(process)
    return Name(name) if name else None


def by_executable(process: Process) -> Name | None:
    """Name a process by its executable; an interpreter without its version (`python`, not `python3.11`)."""
    path = process.executable.rstrip("/")
    if path.startswith(_IN_MEMORY) and process.command_line:
        path = process.command_line[0]
    name = interpreter_of(path) or os.path.basename(path)
    return Name(name) if name else None
