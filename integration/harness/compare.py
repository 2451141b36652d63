"""Spans against what the client measured: count, names, peers, kinds, status, durations, TLS."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from integration.harness.limits import slack
from integration.harness.measured import Measured
from integration.harness.spans import CLIENT, SeenSpan, describe

T = TypeVar("T")

NEAR = 5_000_000
"""Nanoseconds by which a span may be shorter than what the client measured."""

_CLOCKS = 2_000_000
"""Nanoseconds by which two conversions of the boot clock to the Unix clock may differ."""

_RETURN = 1_000_000
"""A server's last send returns after its bytes may have been received: its stamps are late by that, and
by more where it lost its processor meanwhile."""

_NEAR_SHARE = 0.5
"""Of the requests, how many must be near: any one may have waited for a processor, not most of them."""

_ATTEMPTS = 10


class TooFarError(AssertionError):
    """A span and what the client measured are far apart: wrong, or one of them waited for a processor."""


def attempt(check: Callable[[], T], because: type[AssertionError] = TooFarError) -> T:
    """Make requests and check their spans; again, with new ones, if only the clocks were too far apart.

    Or only `because` of what else another time can be without.

    A stamp that is wrong is wrong each time; a host that is busy with something else is not for long.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return check()
        except because:
            time.sleep(1)
    return check()


def one_for_each(spans: Sequence[SeenSpan], measured: Sequence[Measured]) -> dict[str, SeenSpan]:
    """Return the spans by mark; fail unless every request has exactly one, and nothing else has any."""
    marks = sorted(span.mark for span in spans)
    assert marks == sorted(one.mark for one in measured), f"one span for each request:\n{describe(spans)}"
    return {span.mark: span for span in spans}


def check(
    kind: int,
    spans: Sequence[SeenSpan],
    measured: Sequence[Measured],
    *,
    port: int,
    method: str,
    service: str = "",
    near: int = NEAR,
    tls: str = "",
) -> None:
    """Check the spans of one kind, CLIENT or SERVER, of these requests to `port` of loopback.

    `tls` is the version that must have been spoken, "1.3" or "1.2"; none for HTTP without TLS.
    """
    check_one = _check_client if kind == CLIENT else _check_server
    by_mark = one_for_each(spans, measured)
    for one in measured:
        span = by_mark[one.mark]
        assert span.kind == kind
        _check_common(span, one, method, service, is_error=one.status >= (400 if kind == CLIENT else 500))
        assert span.attributes["server.port"] == port, span.attributes
        assert span.attributes["network.peer.address"] == "127.0.0.1", span.attributes
        check_one(span, one, port, method)
        check_scheme(span, "https" if tls else "http")
        check_tls(span, tls)
    _check_near([(by_mark[one.mark], one) for one in measured], near)


def check_tls(span: SeenSpan, version: str) -> None:
    """Check what a span says of the handshake of its connection: "" that it says nothing."""
    assert span.attributes.get("tls.protocol.version", "") == version, span.attributes
    # All registered names of cipher suites begin so, whatever the library calls them.
    suite = str(span.attributes.get("tls.cipher", ""))
    assert suite.startswith("TLS_") if version else not suite, span.attributes


def check_scheme(span: SeenSpan, scheme: str) -> None:
    """Check which kind of URL a span says was asked for, "http" or "https"."""
    if span.kind == CLIENT:
        assert str(span.attributes["url.full"]).startswith(f"{scheme}://"), span.attributes
    else:
        assert span.attributes["url.scheme"] == scheme, span.attributes


def _check_client(span: SeenSpan, one: Measured, port: int, method: str) -> None:
    assert span.name == method, span
    assert span.attributes["server.address"] == "127.0.0.1", span.attributes
    assert span.attributes["network.peer.port"] == port, span.attributes
    assert f"://127.0.0.1:{port}/" in str(span.attributes["url.full"]), span.attributes
    # The client's clock began before its first byte and stopped after its last.
    assert span.duration <= one.duration, f"longer than the client measured ({one}): {span}"


def _check_server(span: SeenSpan, one: Measured, port: int, method: str) -> None:
    route = span.attributes.get("http.route")
    assert span.name == (f"{method} {route}" if route else method), span
    assert one.mark not in span.name
    assert str(span.attributes["url.path"]).startswith("/"), span.attributes
    assert span.attributes["network.peer.port"] not in (0, port), span.attributes
    if one.local_port:
        assert span.attributes["network.peer.port"] == one.local_port, f"another's peer ({one}): {span}"
    check_inside(span, one)


def check_inside(span: SeenSpan, one: Measured) -> None:
    """Check that a server's span is not longer than what its client measured."""
    if span.duration > one.duration + slack(_RETURN):
        raise TooFarError(f"longer than the client measured ({one}): {span}")


def check_pairs(
    clients: Sequence[SeenSpan], servers: Sequence[SeenSpan], measured: Sequence[Measured]
) -> None:
    """Check that a server's span lies inside its client's, as the clock of one host must show it."""
    by_client, by_server = one_for_each(clients, measured), one_for_each(servers, measured)
    for one in measured:
        outer, inner = by_client[one.mark], by_server[one.mark]
        assert outer.pid != inner.pid or outer.service == inner.service
        if outer.start > inner.start + slack(_RETURN):
            raise TooFarError(f"{outer} began after {inner}")
        if inner.end > outer.end + slack(_RETURN):
            raise TooFarError(f"{inner} ended after {outer}")


def _check_common(span: SeenSpan, one: Measured, method: str, service: str, *, is_error: bool) -> None:
    assert span.method == method, span
    assert span.status == one.status, span
    assert span.is_error == is_error, span
    assert span.attributes.get("error.type") == (str(one.status) if is_error else None), span
    assert span.attributes["network.protocol.version"] == "1.1", span.attributes
    assert span.pid > 0, span.resource
    assert span.duration > 0, span
    if service:
        assert span.service == service, span
    if one.start:
        assert span.start >= one.start - slack(_CLOCKS), f"before the client began ({one}): {span}"
        if span.end > one.start + one.duration + slack(2 * _CLOCKS):
            raise TooFarError(f"after its end ({one}): {span}")


def _check_near(pairs: Sequence[tuple[SeenSpan, Measured]], limit: int) -> None:
    """The first request of a client is not judged: connecting and loading are not part of a span."""
    judged = pairs[1:]
    gaps = sorted(one.duration - span.duration for span, one in judged)
    near = [gap for gap in gaps if gap <= slack(limit)]
    if len(near) < _NEAR_SHARE * len(judged):
        raise TooFarError(f"shorter than the client measured by {[round(gap / 1e6, 2) for gap in gaps]} ms")
