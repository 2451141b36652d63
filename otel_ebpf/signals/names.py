"""Every attribute and metric name that this stage can emit, in one place.

Taken from the constants of `opentelemetry.semconv` where the package has them. A name that is not
here does not leave the process: tests/unit/test_signals_names.py holds the code to that.
"""

from __future__ import annotations

from opentelemetry.semconv._incubating.attributes.cpu_attributes import CPU_MODE
from opentelemetry.semconv._incubating.attributes.dns_attributes import DNS_ANSWERS, DNS_QUESTION_NAME
from opentelemetry.semconv._incubating.attributes.network_attributes import NETWORK_IO_DIRECTION
from opentelemetry.semconv._incubating.attributes.service_attributes import (
    SERVICE_PEER_NAME,
    SERVICE_PEER_NAMESPACE,
)
from opentelemetry.semconv._incubating.attributes.tls_attributes import (
    TLS_CIPHER,
    TLS_NEXT_PROTOCOL,
    TLS_PROTOCOL_VERSION,
    TLS_RESUMED,
)
from opentelemetry.semconv._incubating.metrics.dns_metrics import DNS_LOOKUP_DURATION
from opentelemetry.semconv._incubating.metrics.http_metrics import (
    HTTP_CLIENT_REQUEST_BODY_SIZE,
    HTTP_CLIENT_RESPONSE_BODY_SIZE,
    HTTP_SERVER_ACTIVE_REQUESTS,
    HTTP_SERVER_REQUEST_BODY_SIZE,
    HTTP_SERVER_RESPONSE_BODY_SIZE,
)
from opentelemetry.semconv._incubating.metrics.process_metrics import (
    PROCESS_CPU_TIME,
    PROCESS_MEMORY_USAGE,
    PROCESS_NETWORK_IO,
    PROCESS_THREAD_COUNT,
    PROCESS_UNIX_FILE_DESCRIPTOR_COUNT,
)
from opentelemetry.semconv.attributes.client_attributes import CLIENT_ADDRESS
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import (
    HTTP_REQUEST_METHOD,
    HTTP_REQUEST_METHOD_ORIGINAL,
    HTTP_RESPONSE_STATUS_CODE,
    HTTP_ROUTE,
)
from opentelemetry.semconv.attributes.network_attributes import (
    NETWORK_PEER_ADDRESS,
    NETWORK_PEER_PORT,
    NETWORK_PROTOCOL_NAME,
    NETWORK_PROTOCOL_VERSION,
    NETWORK_TRANSPORT,
    NETWORK_TYPE,
)
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT
from opentelemetry.semconv.attributes.url_attributes import URL_FULL, URL_PATH, URL_QUERY, URL_SCHEME
from opentelemetry.semconv.attributes.user_agent_attributes import USER_AGENT_ORIGINAL
from opentelemetry.semconv.metrics.http_metrics import (
    HTTP_CLIENT_REQUEST_DURATION,
    HTTP_SERVER_REQUEST_DURATION,
)

# Metrics SDK specification, "Cardinality limits"; the package has no constant for it.
OTEL_METRIC_OVERFLOW = "otel.metric.overflow"

# This project's own (there is no convention for what an observer missed).
LEDGER_RECORDS = "ebpf.ledger.records"
LEDGER_STAGE = "stage"
LEDGER_OUTCOME = "outcome"
LEDGER_REASON = "reason"
DNS_LOOKUP = "ebpf.dns.lookup.duration"
DNS_RETRIES = "ebpf.dns.retries"
DNS_TRUNCATIONS = "ebpf.dns.truncations"
REQUEST_ACCEPT = "ebpf.request.accept.duration"
REQUEST_WAIT = "ebpf.request.wait.duration"
TCP_CONNECTION_ACTIVE = "ebpf.tcp.connection.active"
TCP_CONNECTION_DURATION = "ebpf.tcp.connection.duration"
TCP_CONNECT_DURATION = "ebpf.tcp.connect.duration"
TCP_CONNECT_FAILURES = "ebpf.tcp.connect.failures"
TCP_IO = "ebpf.tcp.io"
TCP_LISTEN_OVERFLOWS = "ebpf.tcp.listen.overflows"
TCP_MIN_RTT = "ebpf.tcp.min_rtt"
TCP_RESETS = "ebpf.tcp.resets"
TCP_RETRANSMITS = "ebpf.tcp.retransmits"
TCP_RTT = "ebpf.tcp.rtt"
TIME_TO_FIRST_BYTE = "ebpf.response.time_to_first_byte"
TLS_HANDSHAKE_DURATION = "ebpf.tls.handshake.duration"
TRACE_UNPARENTED = "ebpf.trace.unparented"
UDP_DROPS = "ebpf.udp.drops"
UDP_IO = "ebpf.udp.io"
RUNTIME = "runtime"  # the language of the process, as in telemetry.sdk.language
ROLE = "role"  # which end of the connection: client or server

ATTRIBUTES = frozenset(
    {
        CLIENT_ADDRESS,
        DNS_ANSWERS,
        DNS_LOOKUP,
        DNS_QUESTION_NAME,
        ERROR_TYPE,
        HTTP_REQUEST_METHOD,
        HTTP_REQUEST_METHOD_ORIGINAL,
        HTTP_RESPONSE_STATUS_CODE,
        HTTP_ROUTE,
        LEDGER_OUTCOME,
        LEDGER_REASON,
        LEDGER_STAGE,
        NETWORK_IO_DIRECTION,
        NETWORK_PEER_ADDRESS,
        NETWORK_PEER_PORT,
        NETWORK_PROTOCOL_NAME,
        NETWORK_PROTOCOL_VERSION,
        NETWORK_TRANSPORT,
        NETWORK_TYPE,
        OTEL_METRIC_OVERFLOW,
        REQUEST_ACCEPT,
        REQUEST_WAIT,
        ROLE,
        RUNTIME,
        SERVER_ADDRESS,
        SERVER_PORT,
        SERVICE_PEER_NAME,
        SERVICE_PEER_NAMESPACE,
        TCP_MIN_RTT,
        TCP_RETRANSMITS,
        TCP_RTT,
        TIME_TO_FIRST_BYTE,
        TLS_CIPHER,
        TLS_NEXT_PROTOCOL,
        TLS_PROTOCOL_VERSION,
        TLS_RESUMED,
        URL_FULL,
        URL_PATH,
        URL_QUERY,
        URL_SCHEME,
        USER_AGENT_ORIGINAL,
    }
)

METRICS = frozenset(
    {
        DNS_LOOKUP_DURATION,
        DNS_RETRIES,
        DNS_TRUNCATIONS,
        HTTP_CLIENT_REQUEST_BODY_SIZE,
        HTTP_CLIENT_REQUEST_DURATION,
        HTTP_CLIENT_RESPONSE_BODY_SIZE,
        HTTP_SERVER_ACTIVE_REQUESTS,
        HTTP_SERVER_REQUEST_BODY_SIZE,
        HTTP_SERVER_REQUEST_DURATION,
        HTTP_SERVER_RESPONSE_BODY_SIZE,
        LEDGER_RECORDS,
        TCP_CONNECTION_ACTIVE,
        TCP_CONNECTION_DURATION,
        TCP_CONNECT_DURATION,
        TCP_CONNECT_FAILURES,
        TCP_IO,
        TCP_LISTEN_OVERFLOWS,
        TCP_RESETS,
        TCP_RETRANSMITS,
        TCP_RTT,
        TLS_HANDSHAKE_DURATION,
        TRACE_UNPARENTED,
        UDP_DROPS,
        UDP_IO,
    }
)

__all__ = [
    "ATTRIBUTES",
    "CLIENT_ADDRESS",
    "CPU_MODE",
    "DNS_ANSWERS",
    "DNS_LOOKUP",
    "DNS_LOOKUP_DURATION",
    "DNS_QUESTION_NAME",
    "DNS_RETRIES",
    "DNS_TRUNCATIONS",
    "ERROR_TYPE",
    "HTTP_CLIENT_REQUEST_BODY_SIZE",
    "HTTP_CLIENT_REQUEST_DURATION",
    "HTTP_CLIENT_RESPONSE_BODY_SIZE",
    "HTTP_REQUEST_METHOD",
    "HTTP_REQUEST_METHOD_ORIGINAL",
    "HTTP_RESPONSE_STATUS_CODE",
    "HTTP_ROUTE",
    "HTTP_SERVER_ACTIVE_REQUESTS",
    "HTTP_SERVER_REQUEST_BODY_SIZE",
    "HTTP_SERVER_REQUEST_DURATION",
    "HTTP_SERVER_RESPONSE_BODY_SIZE",
    "LEDGER_OUTCOME",
    "LEDGER_REASON",
    "LEDGER_RECORDS",
    "LEDGER_STAGE",
    "METRICS",
    "NETWORK_IO_DIRECTION",
    "NETWORK_PEER_ADDRESS",
    "NETWORK_PEER_PORT",
    "NETWORK_PROTOCOL_NAME",
    "NETWORK_PROTOCOL_VERSION",
    "NETWORK_TRANSPORT",
    "NETWORK_TYPE",
    "OTEL_METRIC_OVERFLOW",
    "PROCESS_CPU_TIME",
    "PROCESS_MEMORY_USAGE",
    "PROCESS_NETWORK_IO",
    "PROCESS_THREAD_COUNT",
    "PROCESS_UNIX_FILE_DESCRIPTOR_COUNT",
    "REQUEST_ACCEPT",
    "REQUEST_WAIT",
    "ROLE",
    "RUNTIME",
    "SERVER_ADDRESS",
    "SERVER_PORT",
    "SERVICE_PEER_NAME",
    "SERVICE_PEER_NAMESPACE",
    "TCP_CONNECTION_ACTIVE",
    "TCP_CONNECTION_DURATION",
    "TCP_CONNECT_DURATION",
    "TCP_CONNECT_FAILURES",
    "TCP_IO",
    "TCP_LISTEN_OVERFLOWS",
    "TCP_MIN_RTT",
    "TCP_RESETS",
    "TCP_RETRANSMITS",
    "TCP_RTT",
    "TIME_TO_FIRST_BYTE",
    "TLS_CIPHER",
    "TLS_HANDSHAKE_DURATION",
    "TLS_NEXT_PROTOCOL",
    "TLS_PROTOCOL_VERSION",
    "TLS_RESUMED",
    "TRACE_UNPARENTED",
    "UDP_DROPS",
    "UDP_IO",
    "URL_FULL",
    "URL_PATH",
    "URL_QUERY",
    "URL_SCHEME",
    "USER_AGENT_ORIGINAL",
]
