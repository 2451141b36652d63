"""The section of the configuration about what the agent tells of itself."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Literal

from msgspec import Meta, Struct

__all__ = ["Health", "Log", "Telemetry", "listen_address"]


class Health(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the agent is alive and ready, by HTTP: docs/health.md."""

    listen: Annotated[
        str,
        Meta(
            max_length=64,
            description="Address and port that answer `/healthz` and `/readyz`, as `127.0.0.1:9464` or "
            "`[::1]:9464`. An address that others reach, which Kubernetes' HTTP probes need, is as good and "
            "has to be written out: `0.0.0.0:9464`. Empty: none.",
        ),
    ] = ""
    metrics: Annotated[
        bool,
        Meta(
            description="Answer `/metrics` there too, with the agent's own metrics in Prometheus' text "
            "format; to clients on this host alone, whatever the address."
        ),
    ] = False


class Log(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The agent's log, on standard error. Its level is that of `OTEL_LOG_LEVEL`."""

    format: Annotated[
        Literal["text", "json"],
        Meta(description="A line for people or a JSON object for programs, for each event."),
    ] = "text"


class Telemetry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the agent tells of itself."""

    status_socket: Annotated[
        str,
        Meta(
            max_length=107,  # sun_path of unix(7) is 108 bytes, its NUL included
            description="Path of the unix socket on which `otel-ebpf doctor` and `otel-ebpf health` ask a "
            "running agent. Empty: none.",
        ),
    ] = "/run/otel-ebpf/status.sock"
    metrics: Annotated[
        bool, Meta(description="Export the agent's own metrics, the ledger among them, as its own resource.")
    ] = True
    bpf_statistics: Annotated[
        bool,
        Meta(
            description="Have the kernel time each run of the agent's BPF programs, for "
            "`ebpf.program.run.time` and `ebpf.program.runs`. It times those of others as well, and each run "
            "of any costs a little more."
        ),
    ] = False
    health: Annotated[Health, Meta(description="Whether the agent is alive and ready, by HTTP.")] = Health()
    log: Annotated[Log, Meta(description="The agent's log.")] = Log()


def listen_address(text: str) -> tuple[str, int]:
    """Return the address and the port of `telemetry.health.listen`. Raises ValueError, in words."""
    address, _, port = text.rpartition(":")
    bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
    try:
        if (":" in bare) != (bare != address) or not (port.isascii() and port.isdigit() and len(port) < 6):
            raise ValueError(text)
        if not 0 < int(port) < 1 << 16:
            raise ValueError(text)
        return str(ip_address(bare)), int(port)
    except ValueError:
        raise ValueError(
            "not an address and a port, as 127.0.0.1:9464 for this host alone, or 0.0.0.0:9464 for all who "
            "reach it"
        ) from None
