"""HTTP calls as spans, by the semantic conventions for HTTP.

Hot path. Budget: `HttpSpans.plan` and `HttpSpans.span` together at most 0.8 us a call.

Clients repeat themselves, so what follows from the request, the status and the vantage alone is made
once, a `Plan`: everything but ids, times and the peer. Plans are cached per service, and share their
metric series by `Shape`, which does not depend on the path or the user agent.

`server.address` and `server.port` are those of the Host header (RFC 9110 section 7.2), else those
of the listening side, on clients by the name that led there (`answers.py`); of a unix socket, its path. A
client's `server.address` is first of all the name that it asked for in its TLS handshake, where that was
seen; who answers at its server's address, in a cluster, is its `service.peer.name`. `client.address` is the
one that a proxy named, else the peer. A client's `url.full` begins with the Host header, else with
`server.address`.

Of a TLS session whose socket is not known (`Transport.UNKNOWN`) there is neither peer nor listening side,
and what is not told otherwise is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from otel_ebpf.identity.model import Attributes, Service
from otel_ebpf.identity.peer_names import PeerNames
from otel_ebpf.kernel.records import Capture, ContextSource, End, Exchange, Piece, Role, Transport
from otel_ebpf.kernel.vantage import Vantage
from otel_ebpf.protocols.calls import Call, HttpCall, HttpRequest
from otel_ebpf.protocols.claims import connection_key
from otel_ebpf.signals.answers import Answers
from otel_ebpf.signals.endpoints import address_text, parse_authority, unix_path_text
from otel_ebpf.signals.http_shape import KNOWN_METHODS, OTHER_METHOD, Shape, ShapeKey
from otel_ebpf.signals.names import (
    CLIENT_ADDRESS,
    HTTP_REQUEST_METHOD_ORIGINAL,
    URL_FULL,
    URL_PATH,
    URL_QUERY,
    USER_AGENT_ORIGINAL,
)
from otel_ebpf.signals.network_part import NetworkPart
from otel_ebpf.signals.outcome import failure
from otel_ebpf.signals.peers import Peers
from otel_ebpf.signals.redaction import Redaction
from otel_ebpf.signals.route_rules import RouteRules
from otel_ebpf.signals.routes import Routes, ServiceRoutes
from otel_ebpf.signals.sampling import NO_PARENT
from otel_ebpf.signals.span import NO_ATTRIBUTES, Span, SpanTemplate
from otel_ebpf.signals.tls import tls_attributes

CACHED_PLANS = 2048  # of one service; about 1.5 KiB each
CACHED_SHAPES = 2048  # of one service; about 1 KiB each
RENAMED = 1024

_SERVER = int(Role.SERVER)
_TLS = int(Capture.TLS)
_TCP = int(Transport.TCP)
_UNIX = int(Transport.UNIX)
_RESET = int(End.RESET)
_ROOT = int(ContextSource.ROOT)
_HEADER = int(ContextSource.HEADER)
_SERVED = int(ContextSource.SERVED)
_DECIDED = int(ContextSource.DECIDED)
_SAMPLED = 1  # W3C trace flags
_RANDOM = 2
_new = tuple.__new__  # a NamedTuple's own __new__ is a Python function: 0.15 us more


class Plan:
    """What all calls have in common that ask the same of the same server and are answered alike."""

    __slots__ = ("peers", "settled", "shape", "template")

    def __init__(self, shape: Shape, template: SpanTemplate, peers: Peers | None) -> None:
        """`peers`: None where no peer is told of, or the template has it."""
        self.settled = False  # True: it holds for all such calls, until routes are learned anew
        self.shape = shape
        self.template = template
        self.peers = peers


class _ServiceState:
    """What is remembered of one service."""

    __slots__ = ("merges", "paths", "plans", "routes", "shapes")

    def __init__(self, routes: ServiceRoutes) -> None:
        self.routes = routes
        self.merges = routes.merges
        self.paths = routes.cache
        self.plans: dict[tuple[object, ...], Plan] = {}
        self.shapes: dict[ShapeKey, Shape] = {}


class HttpSpans:
    """Makes spans of calls. `known_methods`: what is not among them is `_OTHER`.

    `rerouted` is called when plans that were settled are so no longer. `server_names` has the name that a
    client asked for in its TLS handshake, by `connection_key`; `answers` the names of its lookups;
    `peer_names` those of who answers where; `own_routes` are rules of a service's own.
    """

    def __init__(  # noqa: PLR0917 (as the stage gives them)
        self,
        routes: Routes,
        redaction: Redaction,
        rerouted: Callable[[], None],
        known_methods: Iterable[str] = KNOWN_METHODS,
        server_names: Mapping[int, str] = MappingProxyType({}),
        answers: Answers | None = None,
        peer_names: PeerNames | None = None,
        own_routes: Mapping[Service, RouteRules] = MappingProxyType({}),
    ) -> None:
        self._routes = routes
        self._own_routes = own_routes
        self._redaction = redaction
        self._rerouted = rerouted
        self._methods = {method: method for method in known_methods}
        self._services: dict[Service, _ServiceState] = {}
        self._peers: dict[tuple[int, bool], Peers] = {}
        self._server_names = server_names
        self._answers = answers or Answers()
        self._peer_names = peer_names
        # Where a connection's name and its Host header were once not the same: exchanges that are alike
        # may then be of connections with other names.
        self._renamed: set[Vantage] = set()

    def forget(self, service: Service) -> None:
        """Drop what is remembered of a service that has gone."""
        self._services.pop(service, None)

    def renew(self, service: Service) -> None:
        """The service's own routes, or whether its series are wanted, may be others now."""
        state = self._services.get(service)
        if state is not None:
            self._routes.renew(state.routes, service.name, self._own_routes.get(service))
            state.plans.clear()
            state.shapes.clear()  # they hold series
        self._rerouted()

    def renamed(self) -> None:
        """What peers are called has changed."""
        for state in self._services.values():
            state.plans.clear()
        self._rerouted()

    def plan(self, call: Call, service: Service) -> Plan | None:
        """Return what `call` has in common with others of `service`; None where it is not HTTP's."""
        record, value, _, _, _, how, error, _, _, _, _, _ = call
        if type(value) is not HttpCall:
            return None
        state = self._services.get(service)
        if state is None:
            state = self._services[service] = _ServiceState(
                self._routes.of(service.name, self._own_routes.get(service))
            )
        request, status, _, _ = value
        if error or not status or how == _RESET:
            return self._make(service, state, call, value)
        tls = record.flags & _TLS and (record.tls, self._server_names.get(connection_key(record)))
        found = "" if request.host or record.vantage.role == _SERVER else self._answers.of(record)
        key = (record.vantage, request, status, tls, record.path, found)
        return state.plans.get(key) or self._keep(service, state, call, value, key)

    def _keep(
        self, service: Service, state: _ServiceState, call: Call, value: HttpCall, key: tuple[object, ...]
    ) -> Plan:
        plan = self._make(service, state, call, value)
        request = value.request
        if request.trace_state:
            return plan  # as good as never the same again
        if len(state.plans) >= CACHED_PLANS:
            state.plans.clear()
        if not plan.shape.server or state.routes.settled(request.path):
            state.plans[key] = plan
            named = plan.shape.server or bool(request.host)  # else the connection's name, which is its own
            plan.settled = named and call.record.vantage not in self._renamed
        return plan

    def _make(self, service: Service, state: _ServiceState, call: Call, value: HttpCall) -> Plan:
        record, request = call.record, value.request
        shape = self._shape(service, state, call, value)
        own: Attributes
        peers = None
        if shape.server:
            own = self._asked(request)
            if record.vantage.transport == _TCP:
                peers = self._peers_of(record.vantage.family, client=not request.forwarded_for)
        elif shape.origin:
            own = ((URL_FULL, self._url(request, shape.origin)),)
        else:
            own = self._target(request)
        if record.flags & _TLS:
            own = tls_attributes(record.tls) + own
        if shape.other_method:
            own += ((HTTP_REQUEST_METHOD_ORIGINAL, request.method),)
        trace_state = request.trace_state if call.context_source == _HEADER else ""
        template = SpanTemplate(service, shape.kind, shape.name, shape.error, shape.common + own, trace_state)
        return Plan(shape, template, peers)

    def _peers_of(self, family: int, *, client: bool) -> Peers:
        peers = self._peers.get((family, client))
        if peers is None:
            peers = self._peers[family, client] = Peers(family, client=client)
        return peers

    def _shape(self, service: Service, state: _ServiceState, call: Call, value: HttpCall) -> Shape:
        record, request, status = call.record, value.request, value.status
        vantage = record.vantage
        server, unix = vantage.role == _SERVER, vantage.transport == _UNIX
        route = failed = address = named = ""
        if server:
            route = state.paths.get(request.path) or self._find_route(state, request.path, status)
        if not status or call.error or call.how == _RESET:
            failed = failure(status, call.how, call.error, record.flags, call.response_start)
        if unix:
            address = unix_path_text(record.path)
        elif not server or not request.host:
            address = address_text(vantage.family, vantage.server_address)
        if record.flags & _TLS:
            named = self._other_name(state, record, request.host)
        if not (server or request.host or named):
            named = self._answers.of(record)
        asked = self._peer_names if address else None
        key = ShapeKey(
            server=server,
            method=self._methods.get(request.method, OTHER_METHOD),
            route=route,
            status=status,
            host=request.host,
            named=named,
            version=request.version,
            https=record.flags & _TLS != 0 or request.scheme == "https",
            failure=failed,
            port=vantage.server_port,
            address=address,
            unix=unix,
            service=asked.at(address, vantage.server_port) if asked is not None and not server else None,
        )
        shape = state.shapes.get(key)
        if shape is None:
            if len(state.shapes) >= CACHED_SHAPES:
                state.shapes.clear()
            shape = state.shapes[key] = Shape(service, key)
        return shape

    def _other_name(self, state: _ServiceState, record: Exchange | Piece, host: str) -> str:
        """Return the name of the TLS handshake, if there is one and it is not that of the Host header."""
        name = self._server_names.get(connection_key(record), "")
        if not name or name == parse_authority(host).name.lower().rstrip("."):
            return ""
        if record.vantage not in self._renamed:
            if len(self._renamed) >= RENAMED:
                self._renamed.clear()
            self._renamed.add(record.vantage)
            state.plans.clear()
            self._rerouted()
        return name

    def _find_route(self, state: _ServiceState, path: str, status: int) -> str:
        route = state.routes.find(path, status)
        if state.routes.merges != state.merges:
            state.merges = state.routes.merges
            state.plans.clear()
            self._rerouted()
        return route

    def span(  # noqa: PLR0917 (hot path: names cost)
        self,
        plan: Plan,
        start: int,
        end: int,
        address: bytes,
        port: int,
        context: tuple[bytes, bytes, bytes, int, int],
        network: NetworkPart | None,
    ) -> Span:
        """Return the span of a call. Times are Unix nanoseconds.

        `address` and `port` are the client's, `context` is trace id, span id, parent, flags and where from.
        """
        trace_id, span_id, parent, flags, source = context
        flags = flags & _RANDOM | _SAMPLED
        remote = source != _ROOT and source & ~_DECIDED != _SERVED and parent != NO_PARENT
        peers = plan.peers
        if peers is not None:
            shared = peers.blocks.get(address) or peers.make(address)
        else:
            shared, port = NO_ATTRIBUTES, 0
        if parent == NO_PARENT:
            parent = b""
        return _new(
            Span,
            (plan.template, trace_id, span_id, parent, flags, remote, start, end, shared, port, (), network),
        )

    def _asked(self, request: HttpRequest) -> Attributes:
        """Return what a server's span says of its request alone."""
        pairs = self._target(request)
        if request.forwarded_for:
            pairs += ((CLIENT_ADDRESS, request.forwarded_for),)
        if request.user_agent:
            pairs += ((USER_AGENT_ORIGINAL, request.user_agent),)
        return pairs

    def _target(self, request: HttpRequest) -> Attributes:
        pairs: Attributes = ((URL_PATH, request.path),)
        if request.query and (query := self._redaction.query(request.query)):
            pairs += ((URL_QUERY, query),)
        return pairs

    def _url(self, request: HttpRequest, origin: str) -> str:
        path = request.path
        if not path.startswith("/"):
            # "*" and an authority are no path (RFC 9112 section 3.2); the rest must not run into the host.
            path = f"/{path}" if path not in ("", "*") and request.method != "CONNECT" else ""
        query = request.query and self._redaction.query(request.query)
        return f"{origin}{path}?{query}" if query else origin + path
