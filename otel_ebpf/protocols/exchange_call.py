"""The call that a whole exchange makes, and whose child it is."""

from __future__ import annotations

from otel_ebpf.kernel.records import ContextSource, Exchange
from otel_ebpf.protocols.calls import Call, HttpCall, Operation
from otel_ebpf.protocols.traceparent import TraceParent

_FROM_HEADER = int(ContextSource.HEADER)
_DECIDED = int(ContextSource.DECIDED)


def _passed_on(exchange: Exchange, context: TraceParent) -> bool:
    """Say whether the kernel has read the traceparent, and knows a parent that is a descendant of its."""
    return bool(exchange.context_source & _DECIDED) and context.trace_id == exchange.trace_id


def make_call(exchange: Exchange, value: HttpCall | Operation, context: TraceParent | None) -> Call:
    """Return the call; `context` is the one that its head holds, as user space has read it."""
    trace_id, parent_id, flags = exchange.trace_id, exchange.parent_id, exchange.trace_flags
    source = exchange.context_source
    if context is not None and source != _FROM_HEADER and not _passed_on(exchange, context):
        trace_id, parent_id, flags = context
        source = _FROM_HEADER
    start = exchange.time
    end = exchange.response_end or exchange.request_end or start
    answered, how, error = exchange.response_start, exchange.end, exchange.error
    ids = exchange.span_id, parent_id, flags, source
    return Call(exchange, value, start, answered, end, how, error, trace_id, *ids)
