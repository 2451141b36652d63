"""The resource of an observed process: what its spans and metrics say of where they come from."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID, uuid4, uuid5

from opentelemetry.semconv._incubating.attributes import host_attributes as host_names
from opentelemetry.semconv._incubating.attributes import os_attributes
from opentelemetry.semconv._incubating.attributes import process_attributes as names
from opentelemetry.semconv._incubating.attributes import telemetry_attributes as telemetry
from opentelemetry.semconv.attributes import service_attributes as service

from otel_ebpf import __version__
from otel_ebpf.identity.model import Attributes, AttributeValue, Process
from otel_ebpf.identity.names import clean_name
from otel_ebpf.identity.naming import Name, declared_attributes
from otel_ebpf.identity.owners import owner_name
from otel_ebpf.identity.place_attributes import place_attributes
from otel_ebpf.identity.runtime import Runtime
from otel_ebpf.identity.secrets import command_line
from otel_ebpf.kernel.clock import boot_to_unix_ns

__all__ = ["Resources", "host_attributes", "own_attributes"]

DISTRO = "otel-ebpf"
VALUE_CHARACTERS = 1024
# The namespace that the conventions give for service.instance.id made by UUID version 5.
_INSTANCES = UUID("4d63009a-8d0f-11ee-aad7-4c796ed8e320")
_OBSERVED = ("process.", "telemetry.")  # nobody but the observer says these
_OF_ONE_SERVICE = (service.SERVICE_NAME, service.SERVICE_INSTANCE_ID)
_ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm32",
    "armv6l": "arm32",
    "i686": "x86",
    "ppc64le": "ppc64",
    "ppc64": "ppc64",
    "ppc": "ppc32",
    "s390x": "s390x",
}


def host_attributes() -> Attributes:
    """Return host.* and os.type of this host, those that can be had."""
    machine = os.uname().machine
    # of pid 1 first: where the agent's container shares the host's processes, that is the host's
    identity = _first_line("/proc/1/root/etc/machine-id") or _first_line("/etc/machine-id")
    found = (
        (host_names.HOST_NAME, os.uname().nodename),
        (host_names.HOST_ID, identity),
        (host_names.HOST_ARCH, _ARCHITECTURES.get(machine, machine)),
        (os_attributes.OS_TYPE, "linux"),
    )
    return tuple((key, clean_name(value)) for key, value in found if value)


def own_attributes(added: Iterable[tuple[str, str]]) -> Attributes:
    """Return the agent's own resource, unlike that of any other agent which sends to the same backend."""
    mine = (
        (service.SERVICE_NAME, DISTRO),
        (service.SERVICE_VERSION, __version__),
        (service.SERVICE_INSTANCE_ID, str(uuid4())),
    )
    return tuple({**dict(host_attributes()), **dict(added), **dict(mine)}.items())


def _first_line(path: str) -> str:
    """Return a small file's first line, "" where there is none."""
    try:
        with open(path, "rb") as file:
            return file.readline(256).decode("ascii", "replace").strip()
    except OSError:
        return ""


class Resources:
    """Makes resources. `added` is the agent's own OTEL_RESOURCE_ATTRIBUTES, which goes on every one.

    Who wins, where two say the same: what is observed of the process (process.*, telemetry.*), then
    what the process declares itself, then its pod and container, then the version that its program was built
    with, then `added`, then the host. `added` never names a service.
    """

    def __init__(
        self,
        added: Iterable[tuple[str, str]] = (),
        host: Attributes | None = None,
        boot_id: str | None = None,
    ) -> None:
        self._host = host_attributes() if host is None else host
        self._identity = dict(self._host).get(host_names.HOST_ID, "")  # whatever a cloud calls it later
        self._added = tuple(
            (key, value)
            for key, value in added
            if not key.startswith(_OBSERVED) and key not in _OF_ONE_SERVICE
        )
        self._boot = _first_line("/proc/sys/kernel/random/boot_id") if boot_id is None else boot_id
        # Once: a wall clock that is set must not make another resource of the same process.
        self._boot_time = boot_to_unix_ns()

    def learn(self, host: Attributes) -> None:
        """Take more of this host, in place of what was known, for resources that are made from now on."""
        self._host = tuple({**dict(self._host), **dict(host)}.items())

    def of(self, process: Process, name: Name, runtime: Runtime) -> Attributes:
        """Return the whole resource of one process. Never raises; what is unknown is left out."""
        found: dict[str, AttributeValue] = dict(self._host)
        found.update(self._added)
        if runtime.program:
            found[service.SERVICE_VERSION] = _printable(runtime.program)
        found.update((k, v) for k, v in place_attributes(process) if not k.startswith(_OBSERVED))
        for declared, value in declared_attributes(process).items():
            key = clean_name(declared)
            if key and not key.startswith(_OBSERVED):
                found[key] = _printable(value)
        found[service.SERVICE_NAME] = name.name
        if name.namespace:
            found[service.SERVICE_NAMESPACE] = name.namespace
        found.setdefault(service.SERVICE_INSTANCE_ID, self._instance(process))
        found.update(self._process(process, runtime))
        found[telemetry.TELEMETRY_SDK_NAME] = DISTRO  # "opentelemetry" is reserved
        found[telemetry.TELEMETRY_SDK_VERSION] = __version__
        found[telemetry.TELEMETRY_SDK_LANGUAGE] = runtime.language
        found[telemetry.TELEMETRY_DISTRO_NAME] = DISTRO
        found[telemetry.TELEMETRY_DISTRO_VERSION] = __version__
        return tuple(found.items())

    def _instance(self, process: Process) -> str:
        """Return the same id for the same process whenever it is asked, also after the agent's restart."""
        return str(uuid5(_INSTANCES, f"{self._identity}/{self._boot}/{process.pid}/{process.start}"))

    def _process(self, process: Process, runtime: Runtime) -> dict[str, AttributeValue]:
        found: dict[str, AttributeValue] = {names.PROCESS_PID: process.pid}
        if process.parent > 0:
            found[names.PROCESS_PARENT_PID] = process.parent
        if process.executable:
            found[names.PROCESS_EXECUTABLE_NAME] = _printable(os.path.basename(process.executable))
        if process.executable.startswith("/"):
            found[names.PROCESS_EXECUTABLE_PATH] = _printable(process.executable)
        if process.command_line:
            found[names.PROCESS_COMMAND_LINE] = command_line(process.command_line, process.executable)
        if process.user >= 0:
            found[names.PROCESS_OWNER] = owner_name(process)
        if created := self._wall_time(process.start):
            found[names.PROCESS_CREATION_TIME] = created
        if runtime.name:
            found[names.PROCESS_RUNTIME_NAME] = runtime.name
        if runtime.version:
            found[names.PROCESS_RUNTIME_VERSION] = _printable(runtime.version)
        return found

    def _wall_time(self, start: int) -> str:
        """Return a boot time in nanoseconds as ISO 8601 in UTC, to the millisecond, "" where unknown."""
        if start <= 0:
            return ""
        moment = datetime.fromtimestamp((self._boot_time + start) // 1_000_000 / 1000, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:VALUE_CHARACTERS])
