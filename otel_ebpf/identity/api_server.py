"""The Kubernetes API over HTTPS, with a service account's credentials: objects, lists and watches."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from otel_ebpf import __version__
from otel_ebpf.identity.watching import SourceError, object_of

__all__ = ["ApiServer", "ExpiredError", "RefusedError"]

TIMEOUT_SECONDS = 15.0
WATCH_SECONDS = 240  # after which the server ends it, and another begins where it stood
SHORTEST_WATCH_SECONDS = 1.0
PAGE = 100
PAGES_MAX = 100
ANSWER_BYTES = 64 << 20
LINE_BYTES = 4 << 20  # an object is 1.5 MB at most (etcd's limit)

_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_TOKEN_BYTES = 64 << 10


class ExpiredError(SourceError):
    """The version that a watch was to begin at is too old (410): list anew."""


class RefusedError(SourceError):
    """An object is not there, or may not be read."""


class ApiServer:
    """One thread uses it. Raises OSError, HTTPException and `SourceError`."""

    def __init__(self, url: str, credentials: str) -> None:
        self._url = urlsplit(url)
        self._credentials = Path(credentials)

    def metadata(self, path: str) -> Mapping[str, Any]:
        """Return an object's metadata, which is all that is asked for."""
        with self._answer(path, {}, _METADATA) as answer:
            found = object_of(answer.read(ANSWER_BYTES)).get("metadata")
        return found if isinstance(found, dict) else {}

    def items(self, path: str, query: Mapping[str, str]) -> tuple[list[Any], str]:
        """Return what a list has, and its version, from which a watch goes on."""
        items: list[Any] = []
        more = {"limit": str(PAGE)}
        for _ in range(PAGES_MAX):
            with self._answer(path, {**query, **more}) as answer:
                page = object_of(answer.read(ANSWER_BYTES))
            listed, about = page.get("items"), page.get("metadata")
            if not isinstance(about, dict):
                raise SourceError("a list without metadata")
            items += listed if isinstance(listed, list) else []
            if not about.get("continue"):
                return items, str(about.get("resourceVersion", ""))
            more["continue"] = str(about["continue"])
        raise SourceError(f"a list of more than {PAGE * PAGES_MAX} objects")

    def changes(self, path: str, query: Mapping[str, str], version: str) -> Iterator[tuple[str, Any]]:
        """Yield the type and the object of each change, until the server ends the watch.

        A server that ends each watch at once is not to be asked in a loop: that takes a second at least.
        """
        began = time.monotonic()
        watch = {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_SECONDS)}
        timeout = WATCH_SECONDS + TIMEOUT_SECONDS
        with self._answer(path, {**query, **watch, "resourceVersion": version}, timeout=timeout) as answer:
            while line := answer.readline(LINE_BYTES):
                event = object_of(line)
                changed = event.get("object")
                if event.get("type") == "ERROR":
                    code = changed.get("code") if isinstance(changed, dict) else None
                    raise ExpiredError("expired") if code == 410 else SourceError(f"error {code} in a watch")
                yield str(event.get("type", "")), changed
        time.sleep(max(0.0, SHORTEST_WATCH_SECONDS - (time.monotonic() - began)))

    @contextmanager
    def _answer(
        self,
        path: str,
        query: Mapping[str, str],
        accept: str = "application/json",
        timeout: float = TIMEOUT_SECONDS,
    ) -> Iterator[HTTPResponse]:
        connection = self._connection()
        try:
            where = f"{self._url.path.rstrip('/')}{path}" + (f"?{urlencode(query)}" if query else "")
            headers = {"Accept": accept, "User-Agent": f"otel-ebpf/{__version__}", **self._authorization()}
            connection.request("GET", where, headers=headers)
            answer = connection.getresponse()
            if answer.status == 410:
                raise ExpiredError("HTTP status 410")
            if answer.status in {403, 404}:
                raise RefusedError(f"HTTP status {answer.status} for {path}")
            if answer.status != 200:
                raise SourceError(f"HTTP status {answer.status} for {path}")
            if connection.sock is not None:
                connection.sock.settimeout(timeout)
            yield answer
        finally:
            connection.close()

    def _connection(self) -> HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "http":
            return HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
        authority = self._credentials / "ca.crt"
        context = ssl.create_default_context(cafile=str(authority) if authority.exists() else None)
        return HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=context)

    def _authorization(self) -> Mapping[str, str]:
        """Read the token: the kubelet replaces it about once an hour."""
        try:
            with (self._credentials / "token").open("rb") as file:
                token = file.read(_TOKEN_BYTES).decode("ascii").strip()
        except FileNotFoundError:
            return {}
        return {"Authorization": f"Bearer {token}"} if token else {}
