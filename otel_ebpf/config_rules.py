"""Rules of the configuration that more than one section has: which processes are meant, and routes."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["Glob", "Port", "ProcessRule", "RouteRule", "Rule", "Rules"]

RULES_MAX = 64
"""Rules in each discovery list: the kernel keeps one bit for each in a 64-bit set (`port_rules`)."""

Glob = Annotated[str, Meta(min_length=1, max_length=1024)]
Pid = Annotated[int, Meta(ge=1, le=4194304)]  # PID_MAX_LIMIT, include/linux/threads.h
Port = Annotated[int, Meta(ge=1, le=65535)]
Label = Annotated[str, Meta(min_length=2, max_length=1024, pattern=r"^[^=]+=")]


class ProcessRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which processes are meant. All keys that are given must match; at least one must be given."""

    executable: Annotated[
        Glob | None,
        Meta(
            description="Glob for the path of the executable, or, where the glob has no `/`, "
            "for the last component of the path."
        ),
    ] = None
    command_line: Annotated[
        Glob | None, Meta(description="Glob for the whole command line, arguments joined by single spaces.")
    ] = None
    pids: Annotated[
        tuple[Pid, ...],
        Meta(min_length=1, max_length=1024, description="Process ids, one of which must match."),
    ] = ()
    owner: Annotated[
        Glob | None, Meta(description="Glob for the user that the process runs as: its name or its number.")
    ] = None
    service: Annotated[Glob | None, Meta(description="Glob for the `service.name`.")] = None
    language: Annotated[
        Glob | None, Meta(description="Glob for the language: `python`, `nodejs`, `java`, `go`, `ruby`, ...")
    ] = None
    unit: Annotated[
        Glob | None, Meta(description="Glob for the systemd service, without `.service` and instance.")
    ] = None
    container: Annotated[Glob | None, Meta(description="Glob for the container's name.")] = None
    image: Annotated[
        Glob | None, Meta(description="Glob for the container's image: its name, or its name and tag.")
    ] = None
    container_labels: Annotated[
        tuple[Label, ...],
        Meta(
            min_length=1,
            max_length=64,
            description="Labels of the container, all of which must match: `name=glob for the value`.",
        ),
    ] = ()
    namespace: Annotated[Glob | None, Meta(description="Glob for the Kubernetes namespace.")] = None
    pod: Annotated[Glob | None, Meta(description="Glob for the pod's name.")] = None
    pod_labels: Annotated[
        tuple[Label, ...],
        Meta(min_length=1, max_length=64, description="Labels of the pod, as those of the container."),
    ] = ()


class Rule(ProcessRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule of discovery. All keys that are given must match; at least one must be given."""

    ports: Annotated[
        tuple[Port, ...],
        Meta(
            min_length=1,
            max_length=1024,
            description="Ports of the listening side of a connection, one of which must match.",
        ),
    ] = ()


Rules = Annotated[tuple[Rule, ...], Meta(max_length=RULES_MAX)]


class RouteRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """User-given routes, tried before learned ones."""

    service: Annotated[
        Glob | None, Meta(description="Glob for the `service.name` that the patterns are for; all if absent.")
    ] = None
    patterns: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=1024)], ...],
        Meta(min_length=1, max_length=1000, description="Routes such as `/users/{id}`, tried in order."),
    ]
