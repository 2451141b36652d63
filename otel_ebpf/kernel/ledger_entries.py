"""Generated from bpf/ledger.toml by tools/generate_ledger.py. Do not edit."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Entry(IntEnum):
    """Index of a counter; those of the kernel stage index its per-CPU array too."""

    EXCHANGE_SEEN = 0
    EXCHANGE_PASSED = 1
    EXCHANGE_RING_FULL = 2
    EXCHANGE_STREAMED = 3
    EXCHANGE_IGNORED = 4
    EXCHANGE_DISCOVERY = 5
    EXCHANGE_ENCRYPTED = 6
    EXCHANGE_MISMATCH = 7
    EXCHANGE_IN_FLIGHT = 8
    PIECE_SEEN = 9
    PIECE_PASSED = 10
    PIECE_RING_FULL = 11
    NOTICE_PASSED = 12
    NOTICE_RING_FULL = 13
    EVENT_CONTENDED = 14
    EVENT_CONNECTIONS_FULL = 15
    EVENT_THREADS_FULL = 16
    EVENT_DISCOVERY = 17
    EVENT_IGNORED = 18
    EVENT_CIPHERTEXT = 19
    EVENT_SELF = 20
    EVENT_UNSEEN_KERNEL_BUFFER = 21
    EVENT_UNSEEN_IO_URING = 22
    EVENT_UNSEEN_COMPAT = 23
    EVENT_UNSEEN_SYSCALL = 24
    EVENT_GAP = 25
    EVENT_FAULT = 26
    EVENT_MISSED = 27
    CONNECTION_ROLE_UNKNOWN = 28
    PROCESS_MAP_FULL = 29
    READER_EXCHANGE = 30
    READER_PIECE = 31
    READER_NOTICE = 32
    READER_MALFORMED = 33
    PROCESS_UNKNOWN = 34
    PROCESS_EVICTED = 35
    PROTOCOL_PASSED = 36
    PROTOCOL_UNKNOWN = 37
    PROTOCOL_UNSUPPORTED = 38
    PROTOCOL_DISCOVERY = 39
    PROTOCOL_UNPARSED = 40
    PROTOCOL_STREAM_CALL = 41
    PROTOCOL_STREAM_UNKNOWN = 42
    PROTOCOL_STREAM_UNSUPPORTED = 43
    PROTOCOL_STREAM_DISCOVERY = 44
    PROTOCOL_STREAM_UNPARSED = 45
    PROTOCOL_STREAM_EVICTED = 46
    PROTOCOL_AMENDED = 47
    SIGNAL_SEEN = 48
    SIGNAL_AGGREGATED = 49
    SIGNAL_SPAN = 50
    SIGNAL_UNSAMPLED = 51
    SIGNAL_SPANS_OFF = 52
    SIGNAL_ROLE_UNKNOWN = 53
    SIGNAL_FAILED = 54
    SIGNAL_HANDSHAKE_SEEN = 55
    SIGNAL_HANDSHAKE_SPAN = 56
    SIGNAL_HANDSHAKE_UNSAMPLED = 57
    SIGNAL_HANDSHAKE_NO_SPAN = 58
    SIGNAL_HANDSHAKE_DISCOVERY = 59
    SIGNAL_HANDSHAKE_NO_CALL = 60
    SIGNAL_HANDSHAKE_ROLE_UNKNOWN = 61
    SIGNAL_HANDSHAKE_FAILED = 62
    SIGNAL_HANDSHAKE_IN_FLIGHT = 63
    EXPORT_SEEN = 64
    EXPORT_PASSED = 65
    EXPORT_QUEUE_FULL = 66
    EXPORT_FAILED = 67
    EXPORT_EXPIRED = 68
    EXPORT_REJECTED = 69
    EXPORT_SHUTDOWN = 70
    EXPORT_IN_FLIGHT = 71
    EXPORT_POINTS_SEEN = 72
    EXPORT_POINTS_PASSED = 73
    EXPORT_POINTS_QUEUE_FULL = 74
    EXPORT_POINTS_FAILED = 75
    EXPORT_POINTS_EXPIRED = 76
    EXPORT_POINTS_REJECTED = 77
    EXPORT_POINTS_SHUTDOWN = 78
    EXPORT_POINTS_IN_FLIGHT = 79


KERNEL_ENTRIES = 30


class Description(NamedTuple):
    """What a counter means: the attributes it is exported with, and one sentence."""

    stage: str
    unit: str
    outcome: str
    reason: str
    help: str


# fmt: off
DESCRIPTIONS: tuple[Description, ...] = (
    Description("kernel", "exchange", "seen", "",
        "A request's first byte (or a server-first greeting) opened an exchange."),
    Description("kernel", "exchange", "passed", "",
        "The exchange stands in the ring buffer."),
    Description("kernel", "exchange", "dropped", "ring_full",
        "The ring buffer had no room: the reader is too slow, or capture.ring_bytes too small."),
    Description("kernel", "exchange", "filtered", "stream_mode",
        "The connection went over to stream mode; the exchange goes on as pieces."),
    Description("kernel", "exchange", "filtered", "connection_ignored",
        "User space said that it does not know this connection's protocol while an exchange was open."),
    Description("kernel", "exchange", "filtered", "discovery",
        "The discovery rules exclude the process or the port, decided while the exchange was open."),
    Description("kernel", "exchange", "filtered", "encrypted",
        "What looked like an exchange was the start of TLS; what a library passes is reported instead."),
    Description("kernel", "exchange", "dropped", "mismatch",
        "An open exchange of a TLS session whose socket, found later, is the other end's."),
    Description("kernel", "exchange", "in_flight", "",
        "Open exchanges, counted by walking the connections (a gauge)."),
    Description("kernel", "piece", "seen", "",
        "One send or receive on a connection in stream mode."),
    Description("kernel", "piece", "passed", "",
        "The piece stands in the ring buffer."),
    Description("kernel", "piece", "dropped", "ring_full",
        "The ring buffer had no room."),
    Description("kernel", "notice", "passed", "",
        "A close, amend or process record stands in the ring buffer."),
    Description("kernel", "notice", "dropped", "ring_full",
        "A close, amend or process record found no room in the ring buffer."),
    Description("kernel", "event", "dropped", "contended",
        "Two CPUs worked on one connection for longer than the bounded wait."),
    Description("kernel", "event", "dropped", "connections_full",
        "The map of connections is full (capture.connections)."),
    Description("kernel", "event", "dropped", "threads_full",
        "The map of calls in progress is full, or a return was missed."),
    Description("kernel", "event", "filtered", "discovery",
        "Traffic of a process or port that the discovery rules exclude."),
    Description("kernel", "event", "filtered", "connection_ignored",
        "Traffic on a connection whose protocol user space does not know, or that was upgraded."),
    Description("kernel", "event", "filtered", "ciphertext",
        "Encrypted bytes of a session whose library is not read, or not known yet."),
    Description("kernel", "event", "filtered", "self",
        "Traffic of a connection whose other end is the agent: its own exports, as the receiver sees them."),
    Description("kernel", "event", "dropped", "unseen_kernel_buffer",
        "Bytes from a page or pipe (sendfile, splice): counted, not readable."),
    Description("kernel", "event", "dropped", "unseen_io_uring",
        "Bytes moved by io_uring on a rung that reads the system call's registers."),
    Description("kernel", "event", "dropped", "unseen_compat",
        "Bytes moved by a 32-bit system call on a rung that reads the system call's registers."),
    Description("kernel", "event", "dropped", "unseen_syscall",
        "Bytes moved by a system call whose arguments this rung does not know."),
    Description("kernel", "event", "dropped", "gap",
        "TCP's own counters show bytes that no hook of this rung saw."),
    Description("kernel", "event", "dropped", "fault",
        "The bytes could not be read from the application's memory (page not present)."),
    Description("kernel", "event", "dropped", "missed",
        "The kernel did not run a hook: it was running already on that CPU, or no return probe was free."),
    Description("kernel", "connection", "dropped", "role_unknown",
        "TCP's counters did not settle who connected (fast open with data, restored sockets)."),
    Description("kernel", "process", "dropped", "processes_full",
        "The map of processes is full (capture.processes); the process is captured undecided."),
    Description("reader", "exchange", "seen", "",
        "Exchange records read from the ring buffer."),
    Description("reader", "piece", "seen", "",
        "Piece records read from the ring buffer."),
    Description("reader", "notice", "seen", "",
        "Close, amend and process records read from the ring buffer."),
    Description("reader", "record", "dropped", "malformed",
        "A record of an unknown kind, version or length."),
    Description("identity", "process", "dropped", "unknown",
        "A process of which neither its notice nor /proc told anything: its service has no name."),
    Description("identity", "process", "dropped", "evicted",
        "A process that was forgotten before its exit, for want of room: its metric series start anew."),
    Description("protocol", "exchange", "passed", "",
        "An exchange that became a call."),
    Description("protocol", "exchange", "filtered", "unknown_protocol",
        "An exchange of a connection that no protocol claims."),
    Description("protocol", "exchange", "filtered", "unsupported_protocol",
        "An exchange of a protocol that is recognised and not yet read (HTTP/2)."),
    Description("protocol", "exchange", "filtered", "discovery",
        "An exchange of an excluded process or port, captured before the kernel was told."),
    Description("protocol", "exchange", "dropped", "unparsed",
        "A claimed connection's exchange whose captured bytes do not parse."),
    Description("protocol", "call", "passed", "",
        "A call paired from the pieces of a connection in stream mode."),
    Description("protocol", "piece", "filtered", "unknown_protocol",
        "A piece of a connection that no protocol claims."),
    Description("protocol", "piece", "filtered", "unsupported_protocol",
        "A piece of a protocol that is recognised and not yet read (HTTP/2)."),
    Description("protocol", "piece", "filtered", "discovery",
        "A piece of an excluded process or port, captured before the kernel was told."),
    Description("protocol", "call", "dropped", "unparsed",
        "A message in stream mode that could not be read, or found no partner."),
    Description("protocol", "call", "dropped", "evicted",
        "A call in progress whose connection state was evicted (bounded)."),
    Description("protocol", "call", "dropped", "amended_late",
        "Response bytes that came after silence had ended their exchange and its span had left."),
    Description("signal", "call", "seen", "",
        "Calls handed to the signals stage: one of each request."),
    Description("signal", "call", "aggregated", "",
        "Calls counted in the request metrics."),
    Description("signal", "call", "passed", "",
        "Calls that became a span."),
    Description("signal", "call", "filtered", "unsampled",
        "Calls whose span the sampler dropped; the metrics have them."),
    Description("signal", "call", "filtered", "traces_off",
        "Calls that made no span because traces are switched off."),
    Description("signal", "call", "dropped", "role_unknown",
        "Calls of a connection whose role TCP did not settle: neither a server's nor a client's signal."),
    Description("signal", "call", "dropped", "failed",
        "Calls that made no span, and perhaps no metric, because of an error in the agent itself."),
    Description("signal", "handshake", "seen", "",
        "TLS handshakes whose record was read."),
    Description("signal", "handshake", "passed", "",
        "Handshakes that became a span: of clients, beside the first call, or at once where they failed."),
    Description("signal", "handshake", "filtered", "unsampled",
        "Handshakes whose span the sampler dropped; the metric has them."),
    Description("signal", "handshake", "filtered", "no_span",
        "Handshakes that only the metric has: all of servers, and of clients where traces are switched off."),
    Description("signal", "handshake", "filtered", "discovery",
        "A handshake of an excluded process or port, captured before the kernel was told."),
    Description("signal", "handshake", "filtered", "no_call",
        "Handshakes of clients that no call followed to which the span would belong; the metric has them."),
    Description("signal", "handshake", "dropped", "role_unknown",
        "Handshakes of a connection whose role is not settled: neither a server's nor a client's signal."),
    Description("signal", "handshake", "dropped", "failed",
        "Handshakes that made no span, and perhaps no metric, because of an error in the agent itself."),
    Description("signal", "handshake", "in_flight", "",
        "Handshakes of clients that wait for the first call of their connection (a gauge)."),
    Description("export", "span", "seen", "",
        "Spans handed to the export stage."),
    Description("export", "span", "passed", "",
        "Spans that the backend accepted."),
    Description("export", "span", "dropped", "queue_full",
        "Spans for which the bounded queue had no room."),
    Description("export", "span", "dropped", "export_failed",
        "Spans that the backend refused for good."),
    Description("export", "span", "dropped", "expired",
        "Spans that were retried until the queue's age limit."),
    Description("export", "span", "dropped", "rejected",
        "Spans that the backend rejected in a partial success."),
    Description("export", "span", "dropped", "shutdown",
        "Spans still queued when the time to stop ran out."),
    Description("export", "span", "in_flight", "",
        "Spans queued or being sent (a gauge)."),
    Description("export", "data_point", "seen", "",
        "Metric data points handed to the export stage."),
    Description("export", "data_point", "passed", "",
        "Metric data points that the backend accepted."),
    Description("export", "data_point", "dropped", "queue_full",
        "Metric data points of an interval for which the bounded queue had no room."),
    Description("export", "data_point", "dropped", "export_failed",
        "Metric data points that could not be encoded, or that the backend refused for good."),
    Description("export", "data_point", "dropped", "expired",
        "Metric data points that were retried until the queue's age limit."),
    Description("export", "data_point", "dropped", "rejected",
        "Metric data points that the backend rejected in a partial success."),
    Description("export", "data_point", "dropped", "shutdown",
        "Metric data points still queued when the time to stop ran out."),
    Description("export", "data_point", "in_flight", "",
        "Metric data points queued or being sent (a gauge)."),
)
# fmt: on
