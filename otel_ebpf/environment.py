"""The agent's own environment: the standard `OTEL_*` variables, typed.

By the specification (opentelemetry-specification, "Environment variable specification"): an empty
variable is unset, only `true` is true, times are milliseconds, enum values are read without regard
to case, and a value that cannot be used is warned of and replaced by the default. Nothing raises.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, get_args
from urllib.parse import unquote_to_bytes, urlsplit

from otel_ebpf.config_overrides import SamplerName

__all__ = ["VARIABLES", "Environment", "SignalEnvironment", "Variable", "parse_pairs", "read_environment"]

PAIRS_MAX = 128
QUEUE_SIZE, BATCH_SIZE, DELAY_MS = 65_536, 4_096, 1_000
EXPORTERS = ("otlp", "console", "none")
PROTOCOLS = ("grpc", "http/protobuf")
TEMPORALITIES = ("cumulative", "delta", "lowmemory")
RATIO_SAMPLERS = ("traceidratio", "parentbased_traceidratio")
SAMPLERS: tuple[str, ...] = get_args(SamplerName)
LOG_LEVELS = {
    "none": logging.CRITICAL + 10,
    "fatal": logging.CRITICAL,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "verbose": logging.DEBUG,
    "all": logging.DEBUG,
}


class Variable(NamedTuple):
    """A variable that the agent reads: for `docs/configuration.md`."""

    name: str
    default: str
    help: str


_PER_SIGNAL = "the same with TRACES_ or METRICS_ before the last part is for one signal and wins"
VARIABLES: tuple[Variable, ...] = (
    Variable("OTEL_SDK_DISABLED", "false", "`true` exports nothing."),
    Variable("OTEL_LOG_LEVEL", "info", "Of the agent's own log: " + ", ".join(LOG_LEVELS) + "."),
    Variable("OTEL_TRACES_EXPORTER", "otlp", "Comma-separated: " + ", ".join(EXPORTERS) + "."),
    Variable("OTEL_METRICS_EXPORTER", "otlp", "Comma-separated: " + ", ".join(EXPORTERS) + "."),
    Variable(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "http://localhost:4317 (grpc), http://localhost:4318 (http/protobuf)",
        f"Where to send; {_PER_SIGNAL}. With none set and no exporter chosen, the agent shows requests "
        "in the terminal.",
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "grpc if the endpoint's port is 4317, else http/protobuf",
        f"{' or '.join(PROTOCOLS)}; {_PER_SIGNAL}.",
    ),
    Variable("OTEL_EXPORTER_OTLP_HEADERS", "", f"key=value pairs, percent-encoded; {_PER_SIGNAL}."),
    Variable("OTEL_EXPORTER_OTLP_COMPRESSION", "none", f"gzip or none; {_PER_SIGNAL}."),
    Variable("OTEL_EXPORTER_OTLP_TIMEOUT", "10000", f"Milliseconds for one batch; {_PER_SIGNAL}."),
    Variable("OTEL_EXPORTER_OTLP_CERTIFICATE", "", f"File of trusted certificates, PEM; {_PER_SIGNAL}."),
    Variable("OTEL_EXPORTER_OTLP_CLIENT_KEY", "", f"File of the client's key, PEM; {_PER_SIGNAL}."),
    Variable("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "", f"File of its certificate, PEM; {_PER_SIGNAL}."),
    Variable(
        "OTEL_EXPORTER_OTLP_INSECURE",
        "false",
        f"`true`: gRPC without TLS where the endpoint has no scheme; {_PER_SIGNAL}.",
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "cumulative", ", ".join(TEMPORALITIES) + "."
    ),
    Variable("OTEL_TRACES_SAMPLER", "parentbased_always_on", ", ".join(SAMPLERS) + "."),
    Variable("OTEL_TRACES_SAMPLER_ARG", "1.0", "Ratio from 0 to 1, for the traceidratio samplers."),
    Variable(
        "OTEL_RESOURCE_ATTRIBUTES",
        "",
        "key=value pairs, percent-encoded, added to the resource of every observed service.",
    ),
    Variable(
        "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS",
        "",
        "Comma-separated names of resource detectors that are installed beside the agent; what they find of "
        "the host and its cloud is added to the resource of every observed service.",
    ),
    Variable("OTEL_METRIC_EXPORT_INTERVAL", "60000", "Milliseconds between exports of metrics."),
    Variable("OTEL_METRIC_EXPORT_TIMEOUT", "30000", "Milliseconds for one export of metrics."),
    Variable(
        "OTEL_BSP_SCHEDULE_DELAY", str(DELAY_MS), "Milliseconds that a span waits for its batch to fill."
    ),
    Variable("OTEL_BSP_EXPORT_TIMEOUT", "30000", "Milliseconds for one export of spans."),
    Variable(
        "OTEL_BSP_MAX_QUEUE_SIZE",
        str(QUEUE_SIZE),
        "Spans that may wait. (The specification's 2048, batches of 512 and delay of 5000 are for one "
        "application; the agent's defaults are for a host.)",
    ),
    Variable(
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", str(BATCH_SIZE), "Spans in one batch; at most the queue's size."
    ),
)


@dataclass(frozen=True, slots=True)
class SignalEnvironment:
    """How one signal (traces or metrics) is exported."""

    exporters: tuple[str, ...]  # "otlp", "console"; empty for none
    exporters_given: bool  # False: the default, nobody asked for it
    protocol: str  # "grpc" or "http/protobuf"
    endpoint: str  # as a URL or host:port; for http/protobuf with the signal's path; never empty
    endpoint_given: bool
    headers: tuple[tuple[str, str], ...]  # keys in lower case
    compression: str  # "gzip" or "none"
    timeout_ms: int
    certificate: str  # "" for the system's
    client_key: str
    client_certificate: str
    insecure: bool


@dataclass(frozen=True, slots=True)
class Environment:
    """Every standard variable that the agent honours. Times are milliseconds."""

    warnings: tuple[str, ...]  # one sentence for each value that could not be used
    sdk_disabled: bool
    log_level: int  # of the logging module
    traces: SignalEnvironment
    metrics: SignalEnvironment
    sampler: str
    sampler_ratio: float  # 1.0 where the sampler takes none
    resource_attributes: tuple[tuple[str, str], ...]
    resource_detectors: tuple[str, ...]  # names of entry points
    metric_export_interval_ms: int
    metric_export_timeout_ms: int
    metric_temporality: str  # "cumulative", "delta" or "lowmemory"
    bsp_schedule_delay_ms: int
    bsp_export_timeout_ms: int
    bsp_max_queue_size: int
    bsp_max_export_batch_size: int

    @property
    def has_otlp_endpoint(self) -> bool:
        """Whether anybody said where to send; if not, the agent shows requests in the terminal."""
        return self.traces.endpoint_given or self.metrics.endpoint_given


def read_environment(variables: Mapping[str, str]) -> Environment:
    """Parse the variables (usually `os.environ`). Never raises; see `Environment.warnings`."""
    read = _Reader(variables)
    sampler = read.choice("OTEL_TRACES_SAMPLER", SAMPLERS, "parentbased_always_on")
    queue = read.number("OTEL_BSP_MAX_QUEUE_SIZE", QUEUE_SIZE, least=1, most=10_000_000)
    return Environment(
        sdk_disabled=read.flag("OTEL_SDK_DISABLED"),
        log_level=LOG_LEVELS[read.choice("OTEL_LOG_LEVEL", tuple(LOG_LEVELS), "info")],
        traces=_signal(read, "TRACES"),
        metrics=_signal(read, "METRICS"),
        sampler=sampler,
        sampler_ratio=read.ratio("OTEL_TRACES_SAMPLER_ARG", 1.0) if sampler in RATIO_SAMPLERS else 1.0,
        resource_attributes=read.pairs("OTEL_RESOURCE_ATTRIBUTES"),
        resource_detectors=read.words("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS"),
        metric_export_interval_ms=read.number("OTEL_METRIC_EXPORT_INTERVAL", 60_000, least=1),
        metric_export_timeout_ms=read.number("OTEL_METRIC_EXPORT_TIMEOUT", 30_000),
        metric_temporality=read.choice(
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", TEMPORALITIES, "cumulative"
        ),
        bsp_schedule_delay_ms=read.number("OTEL_BSP_SCHEDULE_DELAY", DELAY_MS),
        bsp_export_timeout_ms=read.number("OTEL_BSP_EXPORT_TIMEOUT", 30_000),
        bsp_max_queue_size=queue,
        bsp_max_export_batch_size=read.number(
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", min(BATCH_SIZE, queue), least=1, most=queue
        ),
        warnings=tuple(read.warnings),  # last: the reads above collect them
    )


def _signal(read: _Reader, signal: str) -> SignalEnvironment:
    def name(suffix: str) -> str:
        """Return the signal's own variable where it is set, else the one for all signals."""
        own = f"OTEL_EXPORTER_OTLP_{signal}_{suffix}"
        return own if read.text(own) else f"OTEL_EXPORTER_OTLP_{suffix}"

    exporter = f"OTEL_{signal}_EXPORTER"
    own = read.endpoint(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    endpoint = own or read.endpoint("OTEL_EXPORTER_OTLP_ENDPOINT")
    guess = "grpc" if endpoint.rpartition(":")[2].rstrip("/") == "4317" else "http/protobuf"
    protocol = read.choice(name("PROTOCOL"), PROTOCOLS, guess)
    return SignalEnvironment(
        exporters=read.exporters(exporter),
        exporters_given=bool(read.text(exporter)),
        protocol=protocol,
        endpoint=_complete(endpoint, protocol, signal, bool(own)),
        endpoint_given=bool(endpoint),
        headers=tuple((key.lower(), value) for key, value in read.pairs(name("HEADERS"))),
        compression=read.choice(name("COMPRESSION"), ("gzip", "none"), "none"),
        timeout_ms=read.number(name("TIMEOUT"), 10_000),
        certificate=read.text(name("CERTIFICATE")),
        client_key=read.text(name("CLIENT_KEY")),
        client_certificate=read.text(name("CLIENT_CERTIFICATE")),
        insecure=read.flag(name("INSECURE")),
    )


def _complete(endpoint: str, protocol: str, signal: str, own: bool) -> str:
    """Return the URL to send to: the general endpoint is a base to which HTTP adds the signal's path."""
    if protocol == "grpc":
        return endpoint or "http://localhost:4317"
    if own:
        return endpoint
    return (endpoint or "http://localhost:4318").rstrip("/") + f"/v1/{signal.lower()}"


def parse_pairs(text: str) -> tuple[tuple[tuple[str, str], ...], str]:
    """Parse `key=value,key=value` (percent-encoded, W3C baggage octets).

    Returns the pairs that can be read, the last of equal keys, and what was wrong with the first
    that cannot ("" for nothing).
    """
    pairs: dict[str, str] = {}
    wrong = ""
    for part in text.split(",", PAIRS_MAX + 1)[: PAIRS_MAX + 1]:
        key, equals, value = part.partition("=")
        if not part.strip():
            continue
        try:
            key, value = _decode(key), _decode(value)
        except ValueError:
            wrong = wrong or f"{part[:60]!r} is not percent-encoded UTF-8"
            continue
        if not equals or not key:
            wrong = wrong or f"{part[:60]!r} is not key=value"
        elif len(pairs) >= PAIRS_MAX:
            wrong = wrong or f"more than {PAIRS_MAX} pairs"
        else:
            pairs[key] = value
    return tuple(pairs.items()), wrong


def _decode(text: str) -> str:
    if re.search("%(?![0-9A-Fa-f]{2})", text):
        raise ValueError(text)
    return unquote_to_bytes(text.strip()).decode("utf-8")


class _Reader:
    """Reads variables by type and collects what could not be used."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.warnings: list[str] = []

    def text(self, name: str) -> str:
        """Return the value, "" when unset. Bytes that are not UTF-8 become replacement characters."""
        value = self._variables.get(name, "").strip()
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

    def _warn(self, name: str, problem: str, used: str) -> None:
        warning = f"{name}: {problem}; {used}"
        if warning not in self.warnings:  # both signals read the variables for all signals
            self.warnings.append(warning)

    def flag(self, name: str) -> bool:
        value = self.text(name).lower()
        if value not in ("", "true", "false"):
            self._warn(name, f"{value[:60]!r} is neither true nor false", "false is used")
        return value == "true"

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.text(name).lower()
        if value in allowed:
            return value
        if value:
            self._warn(name, f"{value[:60]!r} is not one of {', '.join(allowed)}", f"{default} is used")
        return default

    def number(self, name: str, default: int, *, least: int = 0, most: int = 2**31 - 1) -> int:
        value = self.text(name)
        if value.isascii() and value.isdigit() and len(value) <= 12 and least <= int(value) <= most:
            return int(value)
        if value:
            wanted = f"a whole number from {least} to {most}"
            self._warn(name, f"{value[:60]!r} is not {wanted}", f"{default} is used")
        return default

    def ratio(self, name: str, default: float) -> float:
        value = self.text(name)
        try:
            ratio = float(value) if value else default
        except ValueError:
            ratio = math.nan
        if 0.0 <= ratio <= 1.0:
            return ratio
        self._warn(name, f"{value[:60]!r} is not a number from 0 to 1", f"{default} is used")
        return default

    def pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        pairs, wrong = parse_pairs(self.text(name))
        if wrong:  # the specification discards the whole variable
            self._warn(name, wrong, "the whole variable is ignored")
            return ()
        return pairs

    def words(self, name: str) -> tuple[str, ...]:
        """Return what stands between commas, each once."""
        return tuple(dict.fromkeys(word for part in self.text(name).split(",") if (word := part.strip())))

    def exporters(self, name: str) -> tuple[str, ...]:
        given = tuple(dict.fromkeys(part.strip().lower() for part in self.text(name).split(",")))
        unknown = [part for part in given if part not in (*EXPORTERS, "")]
        if unknown:
            self._warn(name, f"{unknown[0][:60]!r} is not one of {', '.join(EXPORTERS)}", "it is ignored")
        known = tuple(part for part in given if part in EXPORTERS)
        if "none" in known:
            if len(known) > 1:
                self._warn(name, "none stands beside others", "none is used")
            return ()
        return known or ("otlp",)

    def endpoint(self, name: str) -> str:
        value = self.text(name)
        try:
            parts = urlsplit(value if "://" in value else f"//{value}")
            usable = parts.scheme in ("", "http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # a port that is no number, or an unfinished IPv6 address
            usable = False
        if not value or usable:
            return value
        self._warn(name, f"{value[:60]!r} is not an http:// or https:// URL", "it is ignored")
        return ""
