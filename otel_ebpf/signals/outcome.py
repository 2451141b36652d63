"""`error.type` of a call that did not end the ordinary way.

What the conventions leave to the instrumentation, as a table. The first row that fits decides:

| what the kernel saw                                             | error.type            |
| --------------------------------------------------------------- | --------------------- |
| the connection was upgraded (101, or 2xx to CONNECT)             | none                  |
| the exchange came to its end (length, last chunk, next request) | none                  |
| an errno of the socket that stands in `ERRNO`                    | its name there        |
| another errno                                                    | `_OTHER`              |
| RST (`End.RESET`)                                                | `connection_reset`    |
| a status was read                                                | none                  |
| response bytes passed, but where they could not be read          | none: not known       |
| no response, the peer's FIN had come (`Capture.PEER_CLOSED`)     | `connection_closed`   |
| no response, this side closed first (a client that gave up)      | `connection_aborted`  |
| no response, and nothing says why                                | `_OTHER`              |

"Came to its end" needs a status. A status of 5xx, or on a client 4xx, is an error of its own and
goes before all this (`http_shape.py`). So a response that was begun and then cut off by a reset is
an error, whatever its status said.
"""

from __future__ import annotations

import errno

from opentelemetry.semconv.attributes.error_attributes import ErrorTypeValues

from otel_ebpf.kernel.records import Capture, End

OTHER = ErrorTypeValues.OTHER.value
CONNECTION_RESET = "connection_reset"
CONNECTION_CLOSED = "connection_closed"
CONNECTION_ABORTED = "connection_aborted"

ERRNO = {
    errno.ECONNRESET: CONNECTION_RESET,
    # tcp_reset() reports a RST in CLOSE_WAIT as EPIPE: the peer had sent its FIN before.
    errno.EPIPE: CONNECTION_RESET,
    errno.ETIMEDOUT: "timeout",
    errno.ECONNREFUSED: "connection_refused",
    errno.ECONNABORTED: CONNECTION_ABORTED,
    errno.EHOSTUNREACH: "host_unreachable",
    errno.ENETUNREACH: "network_unreachable",
}

COMPLETE = frozenset(map(int, (End.LENGTH, End.CHUNK, End.TURN)))
_UPGRADE = int(End.UPGRADE)
_RESET = int(End.RESET)
_FIN = int(End.FIN)
_UNSEEN = int(Capture.UNSEEN)
_PEER_CLOSED = int(Capture.PEER_CLOSED)


def failure(status: int, how: int, error: int, flags: int, response_start: int) -> str:
    """Return `error.type` by the table above, "" for none.

    `status` is the final status code or 0, `how` a `kernel.records.End`, `error` an errno or 0,
    `flags` a `kernel.records.Capture`, `response_start` a time or 0.
    """
    if how == _UPGRADE or (status and how in COMPLETE):
        return ""
    if error:
        return ERRNO.get(error, OTHER)
    if how == _RESET:
        return CONNECTION_RESET
    if status or response_start or flags & _UNSEEN:
        return ""
    if flags & _PEER_CLOSED:
        return CONNECTION_CLOSED
    return CONNECTION_ABORTED if how == _FIN else OTHER
