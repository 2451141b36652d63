"""The whole configuration as declared types: each key, what it means, its limits and its default.

Everything else follows from here: `otel-ebpf config schema`, `docs/configuration.md`, the words of an
error, and the test that `configs/otel-ebpf.yaml` documents every key. Read a file with `load`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from otel_ebpf.config_export import Export
from otel_ebpf.config_overrides import OVERRIDES_MAX, Override
from otel_ebpf.config_places import Containers, Kubernetes
from otel_ebpf.config_rules import Glob, Port, RouteRule, Rules
from otel_ebpf.config_telemetry import Telemetry

INJECT_RULES_MAX = 32
"""Rules in `traces.inject`: one bit for each in a 32-bit set (`process_control.inject`)."""

Rung = Literal["auto", "trampoline", "socket_trace", "kprobe", "syscall"]
Name = Annotated[str, Meta(min_length=1, max_length=255)]


class ConfigError(Exception):
    """A configuration that cannot be used.

    The message names the file, the line, the path of the key, what was wrong and what is allowed.
    """


class Discovery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which processes and connections are observed. With nothing given, all are."""

    include: Annotated[
        Rules, Meta(description="What is observed: any rule that matches suffices. Empty means everything.")
    ] = ()
    exclude: Annotated[
        Rules, Meta(description="What is not observed, even where `include` matches: any rule suffices.")
    ] = ()


class Match(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which processes a naming rule is for. All keys given must match; at least one must be given."""

    executable: Annotated[
        Glob | None, Meta(description="As in `discovery.include`: glob for the path of the executable.")
    ] = None
    command_line: Annotated[
        Glob | None, Meta(description="As in `discovery.include`: glob for the whole command line.")
    ] = None


class NamingRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Gives a service its name. The first rule that matches is used."""

    match: Annotated[Match, Meta(description="Which processes the rule is for.")]
    name: Annotated[Name, Meta(description="Their `service.name`.")]
    namespace: Annotated[Name | None, Meta(description="Their `service.namespace`.")] = None


class Capture(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the kernel side captures, and how much."""

    rung: Annotated[
        Rung,
        Meta(
            description="Way of seeing TCP bytes. `auto` takes the best one that loads and attaches here; "
            "any other is used or the agent leaves with exit status 3 (see `otel-ebpf doctor`)."
        ),
    ] = "auto"
    request_bytes: Annotated[
        int, Meta(ge=64, le=8192, description="Bytes captured of the beginning of each request.")
    ] = 1024
    response_bytes: Annotated[
        int, Meta(ge=64, le=4096, description="Bytes captured of the beginning of each response.")
    ] = 256
    piece_bytes: Annotated[
        int,
        Meta(
            ge=256,
            le=8192,
            description="Bytes captured of each send or receive on connections in stream mode "
            "(pipelined or multiplexed).",
        ),
    ] = 4096
    ring_bytes: Annotated[
        int,
        Meta(ge=4096, le=1073741824, description="Size of the ring buffer in bytes; a power of two."),
    ] = 4194304
    connections: Annotated[
        int, Meta(ge=64, le=4194304, description="Connections followed at the same time.")
    ] = 16384
    processes: Annotated[
        int, Meta(ge=64, le=4194304, description="Processes whose discovery decision the kernel remembers.")
    ] = 8192


TlsLibrary = Literal["openssl", "gnutls", "go", "mbedtls", "wolfssl", "nss", "s2n"]


class Tls(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Requests that are encrypted, read where a TLS library takes and hands over plaintext."""

    enabled: Annotated[bool, Meta(description="Put probes into the TLS libraries of observed programs.")] = (
        True
    )
    libraries: Annotated[
        tuple[TlsLibrary, ...],
        Meta(
            max_length=7,
            description="Which ones. `openssl` is also BoringSSL and LibreSSL, `go` is Go's crypto/tls.",
        ),
    ] = ("openssl", "gnutls", "go", "mbedtls", "wolfssl", "nss", "s2n")
    exclude: Annotated[
        tuple[Glob, ...],
        Meta(
            max_length=1000,
            description="Globs for the paths, as programs see them, of libraries and executables that get "
            "no probes.",
        ),
    ] = ()
    exclude_services: Annotated[
        tuple[Glob, ...],
        Meta(
            max_length=1000,
            description="Globs for the `service.name` of services whose requests over TLS are not read.",
        ),
    ] = ()


class Dns(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lookups of names."""

    enabled: Annotated[
        bool,
        Meta(description="Measure lookups of names, by probes in the C libraries of observed programs."),
    ] = True
    packets: Annotated[
        bool,
        Meta(
            description="Measure those of programs with a resolver of their own too, by what they send "
            "to port 53."
        ),
    ] = True
    spans: Annotated[
        Literal["all", "requests", "none"],
        Meta(
            description="Which of them make spans: `requests` are those that are made on behalf of a "
            "request that is being served, and children of its span; the others are traces of their own."
        ),
    ] = "all"


class Routes(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How `http.route` is found."""

    rules: Annotated[
        tuple[RouteRule, ...], Meta(max_length=1000, description="Routes given by the user, tried first.")
    ] = ()
    learn: Annotated[
        bool,
        Meta(
            description="Learn routes where no rule matches: numbers, UUIDs, hashes, dates and long random "
            "segments become placeholders."
        ),
    ] = True
    limit: Annotated[
        int,
        Meta(ge=1, le=10000, description="Learned routes of each service; all over it are one route."),
    ] = 200


Runtime = Literal["go", "nginx", "haproxy", "python", "node", "node_async", "java", "ruby"]


class InjectRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose requests get a `traceparent`. All keys that are given must match; at least one must be given."""

    service: Annotated[
        Glob | None, Meta(description="Glob for the `service.name` of the service that makes the request.")
    ] = None
    executable: Annotated[
        Glob | None, Meta(description="As in `discovery.include`: glob for the path of its executable.")
    ] = None
    command_line: Annotated[
        Glob | None, Meta(description="As in `discovery.include`: glob for its whole command line.")
    ] = None
    ports: Annotated[
        tuple[Port, ...],
        Meta(
            min_length=1,
            max_length=1024,
            description="Ports of the servers that are asked, one of which must match.",
        ),
    ] = ()


class Traces(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Spans."""

    enabled: Annotated[bool, Meta(description="Make a span of each request that the sampler keeps.")] = True
    max_age_seconds: Annotated[
        int,
        Meta(
            ge=1,
            le=86400,
            description="How long spans are retried while the backend is unavailable, before they are "
            "dropped and counted.",
        ),
    ] = 300
    runtimes: Annotated[
        tuple[Runtime, ...],
        Meta(
            max_length=8,
            description="Runtimes in which requests are followed from what is received to what is asked of "
            "others, by probes in them; java by counting. Threads are followed without. node_async adds "
            "async functions to node, at a risk that docs/traces.md tells.",
        ),
    ] = ("go", "nginx", "haproxy", "python", "node", "java", "ruby")
    started_threads: Annotated[
        bool,
        Meta(
            description="Follow requests into threads that are started on their behalf, in processes that "
            "have shown that they start some for each request. A program that turns to a pool of threads "
            "later may be told a few wrong parents: docs/traces.md."
        ),
    ] = False
    runtime_percent: Annotated[
        int,
        Meta(
            ge=0,
            le=100000,
            description="Percent of a processor that these probes may take of a process's time, by what a "
            "hit was measured to cost here; over it, its program is no longer followed.",
        ),
    ] = 25
    network: Annotated[
        bool,
        Meta(
            description="Tell on spans what the network had to do with the request, and how its connection "
            "was made: docs/network-in-a-request.md."
        ),
    ] = True
    inject: Annotated[
        tuple[InjectRule, ...],
        Meta(
            max_length=INJECT_RULES_MAX,
            description="Whose plaintext HTTP/1 requests get a `traceparent` written into them, for servers "
            "on other hosts. Any rule that matches suffices; empty means nobody's. Refused on kernels that "
            "are found to be unfit for it: docs/traces.md.",
        ),
    ] = ()


class Metrics(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Metrics of the observed services."""

    enabled: Annotated[bool, Meta(description="Count every request, sampled or not, in metrics.")] = True
    series_limit: Annotated[
        int,
        Meta(
            ge=1,
            le=1000000,
            description="Series of each metric and service; what is over is one series with "
            "`otel.metric.overflow=true`.",
        ),
    ] = 2000
    body_sizes: Annotated[bool, Meta(description="Sizes of request and response bodies.")] = True
    active_requests: Annotated[
        bool, Meta(description="`http.server.active_requests`, for services where it is exact.")
    ] = True
    processes: Annotated[
        bool,
        Meta(
            description="What the observed processes take of the host: `process.cpu.time`, "
            "`process.memory.usage`, `process.thread.count`, `process.unix.file_descriptor.count`, and with "
            "`network.tcp` `process.network.io`."
        ),
    ] = False


class TcpMetrics(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """TCP's health, by service and peer."""

    enabled: Annotated[
        bool, Meta(description="The `ebpf.tcp` metrics, where `metrics.enabled`. See docs/network.md.")
    ] = True
    connections: Annotated[
        int,
        Meta(
            ge=64,
            le=4194304,
            description="TCP sockets of the host that the kernel remembers at the same time, observed or "
            "not; each takes about 225 bytes.",
        ),
    ] = 65536
    peers: Annotated[
        int,
        Meta(
            ge=16,
            le=1000000,
            description="Peers of all services between two readings; what is over is one series of each "
            "service with `otel.metric.overflow=true`. Each takes about 550 bytes a processor.",
        ),
    ] = 2048


class Network(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the network does to the observed services."""

    tcp: Annotated[TcpMetrics, Meta(description="TCP's health, by service and peer.")] = TcpMetrics()
    udp: Annotated[
        bool,
        Meta(
            description="The `ebpf.udp` metrics, where `metrics.enabled`; their ports count as peers. "
            "See docs/network.md."
        ),
    ] = True


class Instrumented(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Services that export spans of their own, by OTLP: which signals are left to them."""

    traces: Annotated[
        Literal["leave", "make"],
        Meta(description="Their spans: `leave` makes none of what they do, `make` makes them all the same."),
    ] = "leave"
    metrics: Annotated[
        Literal["leave", "make"],
        Meta(description="The same of the metrics of their requests. Those of the network are always made."),
    ] = "make"


class Redaction(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is hidden in what is exported, beyond what the conventions already hide."""

    query: Annotated[
        Literal["keep", "drop"],
        Meta(
            description="Query strings: `keep` exports them with the values of sensitive keys redacted, "
            "`drop` exports none."
        ),
    ] = "keep"
    query_keys: Annotated[
        tuple[Name, ...],
        Meta(
            max_length=1000,
            description="Query keys whose values become `REDACTED`, in addition to the conventions' "
            "(`X-Amz-Signature`, `sig`, ...).",
        ),
    ] = ()


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration. `Config()` is the default."""

    discovery: Annotated[Discovery, Meta(description="Which processes and connections are observed.")] = (
        Discovery()
    )
    services: Annotated[
        tuple[NamingRule, ...],
        Meta(max_length=1000, description="Names for services; the first rule that matches is used."),
    ] = ()
    overrides: Annotated[
        tuple[Override, ...],
        Meta(
            max_length=OVERRIDES_MAX,
            description="Settings of some processes, where they are not those of all the others.",
        ),
    ] = ()
    containers: Annotated[
        Containers, Meta(description="Names, images and labels of containers, from who runs them.")
    ] = Containers()
    kubernetes: Annotated[
        Kubernetes, Meta(description="Names, owners and labels of this node's pods, from the API server.")
    ] = Kubernetes()
    capture: Annotated[Capture, Meta(description="How the kernel side captures, and how much.")] = Capture()
    tls: Annotated[Tls, Meta(description="Requests that are encrypted.")] = Tls()
    dns: Annotated[Dns, Meta(description="Lookups of names.")] = Dns()
    routes: Annotated[Routes, Meta(description="How `http.route` is found.")] = Routes()
    traces: Annotated[Traces, Meta(description="Spans.")] = Traces()
    metrics: Annotated[Metrics, Meta(description="Metrics of the observed services.")] = Metrics()
    network: Annotated[Network, Meta(description="What the network does to the observed services.")] = (
        Network()
    )
    instrumented: Annotated[Instrumented, Meta(description="Services that export spans of their own.")] = (
        Instrumented()
    )
    redaction: Annotated[Redaction, Meta(description="What is hidden in what is exported.")] = Redaction()
    export: Annotated[Export, Meta(description="How it leaves the agent, beyond the standard variables.")] = (
        Export()
    )
    telemetry: Annotated[Telemetry, Meta(description="What the agent tells of itself.")] = Telemetry()


def load(path: Path | str | None) -> Config:
    """Read the configuration from a YAML file; the default where `path` is None.

    Raises ConfigError and nothing else, whatever the file holds.
    """
    if path is None:
        return Config()
    from otel_ebpf.config_file import load_file  # noqa: PLC0415  YAML costs 20 ms: only who has a file pays

    return load_file(Path(path))
