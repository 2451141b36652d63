"""The section of the configuration about settings that are not the same for all services."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from otel_ebpf.config_rules import ProcessRule, RouteRule

__all__ = ["OVERRIDES_MAX", "Override", "SamplerName"]

OVERRIDES_MAX = 1000

SamplerName = Literal[
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
]
"""As OTEL_TRACES_SAMPLER has them (OpenTelemetry's SDK environment variables)."""


class Override(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of some processes. Of each key the first entry that matches and gives it is used."""

    match: Annotated[ProcessRule, Meta(description="Which processes the entry is for.")]
    traces: Annotated[
        bool | None,
        Meta(
            description="Whether spans are made of what they do. `true` makes them where `traces.enabled` is "
            "false, and where `instrumented` would leave them to the service."
        ),
    ] = None
    metrics: Annotated[
        bool | None,
        Meta(
            description="Whether their requests are in metrics; `true` as for `traces`. Those of the network "
            "and of lookups are not meant."
        ),
    ] = None
    tls: Annotated[
        bool | None,
        Meta(
            description="Whether their requests over TLS are read. `true` reads them where `tls.enabled` is "
            "false, and where `tls.exclude_services` names the service."
        ),
    ] = None
    sampler: Annotated[
        SamplerName | None,
        Meta(description="Which of their requests become spans, as `OTEL_TRACES_SAMPLER`."),
    ] = None
    sampler_arg: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None,
        Meta(
            description="Ratio of the `traceidratio` samplers, as `OTEL_TRACES_SAMPLER_ARG`; of the "
            "`sampler` beside it alone, 1 where it is not given."
        ),
    ] = None
    routes: Annotated[
        Annotated[tuple[RouteRule, ...], Meta(max_length=1000)] | None,
        Meta(description="Their routes, tried before those of `routes.rules`."),
    ] = None
