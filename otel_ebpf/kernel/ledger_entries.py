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
    LOOKUP_SEEN = 14
    LOOKUP_PASSED = 15
    LOOKUP_RING_FULL = 16
    LOOKUP_DISCOVERY = 17
    LOOKUP_NUMERIC = 18
    LOOKUP_UNREAD = 19
    DATAGRAM_SEEN = 20
    DATAGRAM_PASSED = 21
    DATAGRAM_RING_FULL = 22
    DATAGRAM_LOOKUP = 23
    DATAGRAM_DISCOVERY = 24
    DATAGRAM_UNREAD = 25
    EVENT_CONTENDED = 26
    EVENT_CONNECTIONS_FULL = 27
    EVENT_THREADS_FULL = 28
    EVENT_DISCOVERY = 29
    EVENT_IGNORED = 30
    EVENT_CIPHERTEXT = 31
    EVENT_SELF = 32
    EVENT_UNSEEN_KERNEL_BUFFER = 33
    EVENT_UNSEEN_IO_URING = 34
    EVENT_UNSEEN_COMPAT = 35
    EVENT_UNSEEN_SYSCALL = 36
    EVENT_GAP = 37
    EVENT_FAULT = 38
    EVENT_MISSED = 39
    CONNECTION_ROLE_UNKNOWN = 40
    PROCESS_MAP_FULL = 41
    CONNECTS_FULL = 42
    TCP_SOCKETS_FULL = 43
    TCP_ROLE_UNKNOWN = 44
    TCP_PEER_LIMIT = 45
    TCP_PEERS_FULL = 46
    UDP_SOCKETS_FULL = 47
    READER_EXCHANGE = 48
    READER_PIECE = 49
    READER_NOTICE = 50
    READER_LOOKUP = 51
    READER_DATAGRAM = 52
    READER_MALFORMED = 53
    PROCESS_UNKNOWN = 54
    PROCESS_EVICTED = 55
    PROCESS_FACTS_LATE = 56
    PEER_ADDRESSES_FULL = 57
    PROTOCOL_PASSED = 58
    PROTOCOL_UNKNOWN = 59
    PROTOCOL_UNSUPPORTED = 60
    PROTOCOL_DISCOVERY = 61
    PROTOCOL_UNPARSED = 62
    PROTOCOL_STREAM_CALL = 63
    PROTOCOL_STREAM_UNKNOWN = 64
    PROTOCOL_STREAM_UNSUPPORTED = 65
    PROTOCOL_STREAM_DISCOVERY = 66
    PROTOCOL_STREAM_UNPARSED = 67
    PROTOCOL_STREAM_EVICTED = 68
    PROTOCOL_AMENDED = 69
    PROTOCOL_DATAGRAM_PASSED = 70
    PROTOCOL_DATAGRAM_DISCOVERY = 71
    PROTOCOL_DATAGRAM_UNMATCHED = 72
    PROTOCOL_DATAGRAM_UNPARSED = 73
    PROTOCOL_LOOKUP_SEEN = 74
    PROTOCOL_LOOKUP_PASSED = 75
    PROTOCOL_LOOKUP_IN_FLIGHT = 76
    SIGNAL_SEEN = 77
    SIGNAL_AGGREGATED = 78
    SIGNAL_SPAN = 79
    SIGNAL_UNSAMPLED = 80
    SIGNAL_SPANS_OFF = 81
    SIGNAL_ROLE_UNKNOWN = 82
    SIGNAL_FAILED = 83
    SIGNAL_TCP_PROCESS_UNKNOWN = 84
    SIGNAL_TCP_DISCOVERY = 85
    SIGNAL_HANDSHAKE_SEEN = 86
    SIGNAL_HANDSHAKE_SPAN = 87
    SIGNAL_HANDSHAKE_UNSAMPLED = 88
    SIGNAL_HANDSHAKE_NO_SPAN = 89
    SIGNAL_HANDSHAKE_DISCOVERY = 90
    SIGNAL_HANDSHAKE_NO_CALL = 91
    SIGNAL_HANDSHAKE_ROLE_UNKNOWN = 92
    SIGNAL_HANDSHAKE_FAILED = 93
    SIGNAL_HANDSHAKE_IN_FLIGHT = 94
    SIGNAL_CONNECT_SEEN = 95
    SIGNAL_CONNECT_SPAN = 96
    SIGNAL_CONNECT_UNSAMPLED = 97
    SIGNAL_CONNECT_FAILED = 98
    SIGNAL_LOOKUP_SEEN = 99
    SIGNAL_LOOKUP_SPAN = 100
    SIGNAL_LOOKUP_UNSAMPLED = 101
    SIGNAL_LOOKUP_NO_SPAN = 102
    SIGNAL_LOOKUP_DISCOVERY = 103
    SIGNAL_LOOKUP_FAILED = 104
    EXPORT_SEEN = 105
    EXPORT_PASSED = 106
    EXPORT_QUEUE_FULL = 107
    EXPORT_FAILED = 108
    EXPORT_EXPIRED = 109
    EXPORT_REJECTED = 110
    EXPORT_SHUTDOWN = 111
    EXPORT_IN_FLIGHT = 112
    EXPORT_RECOVERED = 113
    EXPORT_DISK_FULL = 114
    EXPORT_DISK_EXPIRED = 115
    EXPORT_DISK_CORRUPT = 116
    EXPORT_ON_DISK = 117
    EXPORT_POINTS_SEEN = 118
    EXPORT_POINTS_PASSED = 119
    EXPORT_POINTS_QUEUE_FULL = 120
    EXPORT_POINTS_FAILED = 121
    EXPORT_POINTS_EXPIRED = 122
    EXPORT_POINTS_REJECTED = 123
    EXPORT_POINTS_SHUTDOWN = 124
    EXPORT_POINTS_IN_FLIGHT = 125
    EXPORT_POINTS_RECOVERED = 126
    EXPORT_POINTS_DISK_FULL = 127
    EXPORT_POINTS_DISK_EXPIRED = 128
    EXPORT_POINTS_DISK_CORRUPT = 129
    EXPORT_POINTS_ON_DISK = 130
    DISK_QUEUE_CORRUPT = 131
    DISK_QUEUE_VERSION = 132
    DISK_QUEUE_UNWRITABLE = 133


KERNEL_ENTRIES = 48


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
    Description("kernel", "lookup", "seen", "",
        "A call by which a program has a name looked up has returned."),
    Description("kernel", "lookup", "passed", "",
        "The lookup stands in the ring buffer."),
    Description("kernel", "lookup", "dropped", "ring_full",
        "The ring buffer had no room."),
    Description("kernel", "lookup", "filtered", "discovery",
        "A lookup of a process that the discovery rules exclude."),
    Description("kernel", "lookup", "filtered", "numeric",
        "A call that had nothing to look up: an address in place of a name, or neither."),
    Description("kernel", "lookup", "dropped", "unread",
        "A call of which the entry was not known any more, or what was asked for could not be read."),
    Description("kernel", "datagram", "seen", "",
        "A send to port 53, or a receive from it, by UDP or TCP."),
    Description("kernel", "datagram", "passed", "",
        "What was sent or received stands in the ring buffer."),
    Description("kernel", "datagram", "dropped", "ring_full",
        "The ring buffer had no room."),
    Description("kernel", "datagram", "filtered", "lookup",
        "Part of a call by which a program has the C library look up a name, which is reported."),
    Description("kernel", "datagram", "filtered", "discovery",
        "A process that the discovery rules exclude."),
    Description("kernel", "datagram", "dropped", "unread",
        "The bytes could not be read: by io_uring, by a 32-bit program, or several messages in one call."),
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
    Description("kernel", "connection", "dropped", "connects_full",
        "Too many connections had no byte yet (capture.connections): how this one was made is not told."),
    Description("kernel", "socket", "dropped", "sockets_full",
        "The map of TCP sockets is full (network.tcp.connections); its `ebpf.tcp.*` metrics lack this one."),
    Description("kernel", "socket", "dropped", "role_unknown",
        "A connection older than the agent whose role TCP's counters do not tell: not in `ebpf.tcp.*`."),
    Description("kernel", "measurement", "filtered", "peer_limit",
        "More peers than network.tcp.peers: counted in the series with `otel.metric.overflow`."),
    Description("kernel", "measurement", "dropped", "peers_full",
        "Not even the series for what is over network.tcp.peers had room: too many processes have one."),
    Description("kernel", "socket", "filtered", "udp_sockets_full",
        "No room to remember a UDP socket's drops, at each look (4096): they are counted when it is closed."),
    Description("reader", "exchange", "seen", "",
        "Exchange records read from the ring buffer."),
    Description("reader", "piece", "seen", "",
        "Piece records read from the ring buffer."),
    Description("reader", "notice", "seen", "",
        "Close, amend and process records read from the ring buffer."),
    Description("reader", "lookup", "seen", "",
        "Lookup records read from the ring buffer."),
    Description("reader", "datagram", "seen", "",
        "Datagram records read from the ring buffer."),
    Description("reader", "record", "dropped", "malformed",
        "A record of an unknown kind, version or length."),
    Description("identity", "process", "dropped", "unknown",
        "A process of which neither its notice nor /proc told anything: its service has no name."),
    Description("identity", "process", "dropped", "evicted",
        "A process that was forgotten before its exit, for want of room: its metric series start anew."),
    Description("identity", "process", "dropped", "facts_late",
        "Facts about a process's container or pod did not come in time: it is reported without them."),
    Description("identity", "address", "dropped", "addresses_full",
        "An address of a service that found no room: client spans do not name who answers there."),
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
    Description("protocol", "datagram", "passed", "",
        "Questions to name servers and answers to them, and pieces of such by TCP."),
    Description("protocol", "datagram", "filtered", "discovery",
        "What an excluded process sent or received, captured before the kernel was told."),
    Description("protocol", "datagram", "filtered", "unmatched",
        "Answers to no question that is known and still open: late, repeated, or asked before the agent."),
    Description("protocol", "datagram", "dropped", "unparsed",
        "Messages that are none of DNS, or do not ask one question."),
    Description("protocol", "lookup", "seen", "",
        "First questions for a name by a process."),
    Description("protocol", "lookup", "passed", "",
        "Lookups that ended: all questions answered, or none for so long that they are given up."),
    Description("protocol", "lookup", "in_flight", "",
        "Lookups with questions that wait for their answer (a gauge)."),
    Description("signal", "call", "seen", "",
        "Calls handed to the signals stage: one of each request."),
    Description("signal", "call", "aggregated", "",
        "Calls counted in the request metrics."),
    Description("signal", "call", "passed", "",
        "Calls that became a span."),
    Description("signal", "call", "filtered", "unsampled",
        "Calls whose span the sampler dropped; the metrics have them."),
    Description("signal", "call", "filtered", "traces_off",
        "Calls that made no span: traces are off, for all or their service, or left to that service."),
    Description("signal", "call", "dropped", "role_unknown",
        "Calls of a connection whose role TCP did not settle: neither a server's nor a client's signal."),
    Description("signal", "call", "dropped", "failed",
        "Calls that made no span, and perhaps no metric, because of an error in the agent itself."),
    Description("signal", "peer", "dropped", "process_unknown",
        "What TCP counted of a peer for a process that has long ended, and is no longer known."),
    Description("signal", "peer", "filtered", "discovery",
        "What TCP counted of a peer for an excluded process or port, before the kernel was told."),
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
    Description("signal", "connection", "seen", "",
        "Connections of clients whose first call says how they were made."),
    Description("signal", "connection", "passed", "",
        "Connections whose making became a span."),
    Description("signal", "connection", "filtered", "unsampled",
        "Connections whose span the sampler dropped, with their first call's."),
    Description("signal", "connection", "dropped", "failed",
        "Connections whose making became no span because of an error in the agent itself."),
    Description("signal", "lookup", "seen", "",
        "Lookups of names whose record was read."),
    Description("signal", "lookup", "passed", "",
        "Lookups that became a span."),
    Description("signal", "lookup", "filtered", "unsampled",
        "Lookups whose span the sampler dropped; the metric has them."),
    Description("signal", "lookup", "filtered", "no_span",
        "Lookups that only the metric has: dns.spans or traces want no span of them."),
    Description("signal", "lookup", "filtered", "discovery",
        "A lookup of an excluded process, captured before the kernel was told."),
    Description("signal", "lookup", "dropped", "failed",
        "Lookups that made no span, and perhaps no metric, because of an error in the agent itself."),
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
        "Spans in memory, queued or being sent (a gauge)."),
    Description("export", "span", "seen", "recovered",
        "Spans that an earlier run left in the disk queue."),
    Description("export", "span", "dropped", "disk_full",
        "The oldest spans of a disk queue that had reached its size."),
    Description("export", "span", "dropped", "disk_expired",
        "Spans that were in the disk queue for longer than its age limit."),
    Description("export", "span", "dropped", "disk_corrupt",
        "Spans in the disk queue that could not be read again as they were written."),
    Description("export", "span", "in_flight", "on_disk",
        "Spans in the disk queue (a gauge)."),
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
        "Metric data points in memory, queued or being sent (a gauge)."),
    Description("export", "data_point", "seen", "recovered",
        "Metric data points that an earlier run left in the disk queue."),
    Description("export", "data_point", "dropped", "disk_full",
        "The oldest metric data points of a disk queue that had reached its size."),
    Description("export", "data_point", "dropped", "disk_expired",
        "Metric data points that were in the disk queue for longer than its age limit."),
    Description("export", "data_point", "dropped", "disk_corrupt",
        "Metric data points in the disk queue that could not be read again as they were written."),
    Description("export", "data_point", "in_flight", "on_disk",
        "Metric data points in the disk queue (a gauge)."),
    Description("export", "file", "dropped", "corrupt",
        "Files of the disk queue that were damaged, and set aside."),
    Description("export", "file", "dropped", "version",
        "Files of the disk queue that another version of the agent wrote, and that were set aside."),
    Description("export", "write", "dropped", "unwritable",
        "Attempts to use the disk queue that failed (no space, read-only, another agent's)."),
)
# fmt: on
