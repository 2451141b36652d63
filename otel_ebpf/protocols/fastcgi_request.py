"""What a FastCGI request says: HTTP's, put into parameters by the web server (RFC 3875, section 4.1)."""

from __future__ import annotations

from typing import NamedTuple

from otel_ebpf.protocols.calls import HttpRequest
from otel_ebpf.protocols.fastcgi_records import Kind, pairs, records
from otel_ebpf.protocols.http1_fields import declared_length
from otel_ebpf.protocols.http1_forwarded import forwarded_for
from otel_ebpf.protocols.http1_head import is_token, split_target
from otel_ebpf.protocols.traceparent import TraceParent, parse_traceparent, trace_state

RESPONDER = 1
_DEFAULT_PORTS = ("", "80", "443")
_NO_NAMES = ("", "_")  # nginx's name for a server that has none
_UNKNOWN = -1


class Asked(NamedTuple):
    """A request, the length of its body (-1 if that is not known), and its `traceparent`."""

    request: HttpRequest
    body: int
    context: TraceParent | None


def read_request(data: bytes) -> Asked | None:
    """Read what was captured; None if it is no request, or not one alone, or does not say what is asked."""
    others = records(data)
    first = next(others, None)
    if first is None or first.kind != Kind.BEGIN_REQUEST or first.content[:2] != bytes((0, RESPONDER)):
        return None
    parameters, complete = [], False
    for kind, request, content, _ in others:
        if request != first.request or kind == Kind.BEGIN_REQUEST:
            return None  # several at once: which answer is whose is not told
        if kind == Kind.PARAMS:
            parameters.append(content)
            complete = complete or not content
    return _asked(dict(pairs(b"".join(parameters))), complete)


def _asked(said: dict[bytes, bytes], complete: bool) -> Asked | None:
    method = said.get(b"REQUEST_METHOD", b"")
    target = said.get(b"REQUEST_URI") or _script(said)
    if not is_token(method) or not target.strip():
        return None
    name = method.decode()
    path, query, authority = split_target(name, target)
    request = HttpRequest(
        name,
        path,
        query,
        authority or _host(said),
        _version(said),
        _text(said, b"HTTP_USER_AGENT"),
        forwarded_for(said.get(b"HTTP_FORWARDED", b""), said.get(b"HTTP_X_FORWARDED_FOR", b""))
        or _text(said, b"REMOTE_ADDR"),
        trace_state(said.get(b"HTTP_TRACESTATE", b"")) if b"HTTP_TRACESTATE" in said else "",
        "https" if _text(said, b"REQUEST_SCHEME") == "https" or _text(said, b"HTTPS") == "on" else "",
    )
    context = parse_traceparent(said.get(b"HTTP_TRACEPARENT", b""))
    return Asked(request, _body(said, complete), context)


def _script(said: dict[bytes, bytes]) -> bytes:
    """Return what a web server that gives no REQUEST_URI (it is no part of CGI) was asked for."""
    path = said.get(b"SCRIPT_NAME", b"") + said.get(b"PATH_INFO", b"")
    query = said.get(b"QUERY_STRING", b"")
    return path + b"?" + query if path and query else path


def _host(said: dict[bytes, bytes]) -> str:
    """Return the Host header, else the server's own name."""
    host = _text(said, b"HTTP_HOST")
    name, port = _text(said, b"SERVER_NAME"), _text(said, b"SERVER_PORT")
    if host or name in _NO_NAMES:
        return host
    return name if port in _DEFAULT_PORTS else f"{name}:{port}"


def _version(said: dict[bytes, bytes]) -> str:
    """Return HTTP's version as the conventions write it."""
    number = _text(said, b"SERVER_PROTOCOL").removeprefix("HTTP/")
    return number.removesuffix(".0") if number in ("2.0", "3.0") else number


def _body(said: dict[bytes, bytes], complete: bool) -> int:
    length = said.get(b"CONTENT_LENGTH")
    if not length:
        return 0 if complete or length is not None else _UNKNOWN
    return max(declared_length(b"", length), _UNKNOWN)


def _text(said: dict[bytes, bytes], name: bytes) -> str:
    return said.get(name, b"").decode("utf-8", "replace")
