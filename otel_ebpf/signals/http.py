"""HTTP calls as spans, by the semantic conventions for HTTP.

Hot path. Budget: `HttpSpans.shape` and `HttpSpans.span` together at most 1.5 us a call.

What repeats (name, kind, method, route, status, server: a `Shape`) is found in a cache per service,
keyed by the values themselves, so that its attributes are one tuple object which export encodes
once. What is each call's own (path, query, client, user agent) is put together here.

`server.address` and `server.port` are those of the Host header (RFC 9110 section 7.2), else those
of the listening side; of a unix socket, its path. `client.address` is the one that a proxy named,
else the peer. A client's `url.full` begins with the Host header, else with the peer's address.
"""

from __future__ import annotations

from collections.abc import Iterable

from otel_ebpf.identity.model import Attributes, Service
from otel_ebpf.kernel.records import Capture, ContextSource, End, Exchange, Piece, Role, Transport
from otel_ebpf.protocols.calls import Call, HttpCall
from otel_ebpf.signals.endpoints import address_text, unix_path_text
from otel_ebpf.signals.http_shape import KNOWN_METHODS, OTHER_METHOD, Shape, ShapeKey
from otel_ebpf.signals.names import (
    CLIENT_ADDRESS,
    HTTP_REQUEST_METHOD_ORIGINAL,
    NETWORK_PEER_ADDRESS,
    NETWORK_PEER_PORT,
    URL_FULL,
    URL_PATH,
    URL_QUERY,
    USER_AGENT_ORIGINAL,
)
from otel_ebpf.signals.outcome import failure
from otel_ebpf.signals.redaction import Redaction
from otel_ebpf.signals.routes import Routes, ServiceRoutes
from otel_ebpf.signals.sampling import NO_PARENT
from otel_ebpf.signals.span import Span

CACHED_SHAPES = 2048  # of one service; about 1 KiB each
CACHED_PEERS = 8192  # of all services

_SERVER = int(Role.SERVER)
_TLS = int(Capture.TLS)
_UNIX = int(Transport.UNIX)
_RESET = int(End.RESET)
_HEADER = int(ContextSource.HEADER)
_SAMPLED = 1  # W3C trace flags
_RANDOM = 2
_new = tuple.__new__  # a NamedTuple's own __new__ is a Python function: 0.15 us more

_Key = tuple[bool, str, str, int, str, str, int, str, int, bytes]


class _ServiceState:
    """What is remembered of one service."""

    __slots__ = ("paths", "routes", "shapes")

    def __init__(self, routes: ServiceRoutes) -> None:
        self.routes = routes
        self.paths = routes.cache
        self.shapes: dict[_Key, Shape] = {}


class HttpSpans:
    """Makes spans of calls. `known_methods`: what is not among them is `_OTHER`."""

    def __init__(
        self, routes: Routes, redaction: Redaction, known_methods: Iterable[str] = KNOWN_METHODS
    ) -> None:
        self._routes = routes
        self._redaction = redaction
        self._methods = {method: method for method in known_methods}
        self._services: dict[Service, _ServiceState] = {}
        self._peers: dict[tuple[int, bytes], Attributes] = {}

    def forget(self, service: Service) -> None:
        """Drop what is remembered of a service that has gone."""
        self._services.pop(service, None)

    def shape(self, call: Call, service: Service) -> Shape:
        """Return what `call` has in common with others of `service`."""
        state = self._services.get(service)
        if state is None:
            state = self._services[service] = _ServiceState(self._routes.of(service.name))
        record, value, _, response_start, _, how, error, _, _, _, _, _ = call
        method, path, _, host, version, status, _, _, _, _ = value
        method = self._methods.get(method, OTHER_METHOD)
        flags = record.flags
        channel = record.family << 8 | flags & _TLS
        failed = ""
        if not status or error or how == _RESET:
            failed = failure(status, how, error, flags, response_start)
        unix = record.transport == _UNIX
        key: _Key
        if record.role == _SERVER:
            route = state.paths.get(path) or state.routes.find(path, status)
            address = record.path if unix else b"" if host else record.local_address
            key = (True, method, route, status, host, version, channel, failed, record.local_port, address)
        else:
            address = record.path if unix else record.peer_address
            key = (False, method, "", status, host, version, channel, failed, record.peer_port, address)
        return state.shapes.get(key) or self._make(service, state, key, record)

    def _make(self, service: Service, state: _ServiceState, key: _Key, record: Exchange | Piece) -> Shape:
        server, method, route, status, host, version, channel, failed, port, raw = key
        unix = record.transport == _UNIX
        address = unix_path_text(raw) if unix else address_text(record.family, raw)
        shape = Shape(
            service,
            ShapeKey(
                server, method, route, status, host, version, channel & _TLS != 0, failed, port, address, unix
            ),
        )
        if len(state.shapes) >= CACHED_SHAPES:
            state.shapes.clear()
        state.shapes[key] = shape
        return shape

    def span(self, call: Call, shape: Shape, start: int, end: int) -> Span:
        """Return the span of `call`, whose shape is `shape`. Times are Unix nanoseconds."""
        record, value, _, _, _, _, _, trace_id, span_id, parent, flags, source = call
        if source == _HEADER:
            flags = flags & _RANDOM | _SAMPLED
            remote = parent != NO_PARENT
        else:
            flags = _SAMPLED
            remote = False
        if shape.server:
            specific = self._server(value, record)
        else:
            specific = ((URL_FULL, self._url(value, shape.origin)),)
        if shape.other_method:
            specific += ((HTTP_REQUEST_METHOD_ORIGINAL, value.method),)
        return _new(
            Span,
            (
                shape.service,
                trace_id,
                span_id,
                b"" if parent == NO_PARENT else parent,
                flags,
                remote,
                shape.kind,
                shape.name,
                start,
                end,
                shape.common,
                specific,
                shape.error,
            ),
        )

    def _server(self, value: HttpCall, record: Exchange | Piece) -> Attributes:
        _, path, query, _, _, _, agent, forwarded, _, _ = value
        where = (record.family, record.peer_address)
        peer = self._peers.get(where) or self._peer(where)
        own: Attributes = ((URL_PATH, path),)
        if query and (query := self._redaction.query(query)):
            own = ((URL_PATH, path), (URL_QUERY, query))
        if forwarded or not peer or not agent:
            return self._unusual_server(own, peer, record.peer_port, agent, forwarded)
        return (*own, *peer, (NETWORK_PEER_PORT, record.peer_port), (USER_AGENT_ORIGINAL, agent))

    @staticmethod
    def _unusual_server(
        own: Attributes, peer: Attributes, port: int, agent: str, forwarded: str
    ) -> Attributes:
        pairs = (*own, (CLIENT_ADDRESS, forwarded), *peer[1:]) if forwarded else own + peer
        if peer:
            pairs += ((NETWORK_PEER_PORT, port),)
        if agent:
            pairs += ((USER_AGENT_ORIGINAL, agent),)
        return pairs

    def _url(self, value: HttpCall, origin: str) -> str:
        path = value.path
        if not path.startswith("/"):
            # "*" and an authority are no path (RFC 9112 section 3.2); the rest must not run into the host.
            path = f"/{path}" if path not in ("", "*") and value.method != "CONNECT" else ""
        query = value.query and self._redaction.query(value.query)
        return f"{origin}{path}?{query}" if query else origin + path

    def _peer(self, where: tuple[int, bytes]) -> Attributes:
        """Return client.address and network.peer.address of (family, address); none for unix."""
        address = address_text(*where)
        if not address:
            return ()
        pairs = ((CLIENT_ADDRESS, address), (NETWORK_PEER_ADDRESS, address))
        if len(self._peers) >= CACHED_PEERS:
            self._peers.clear()
        self._peers[where] = pairs
        return pairs
