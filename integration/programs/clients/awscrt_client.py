"""awscrt: s2n inside a Python extension; the requests are made by an event loop on a thread of its own."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import measured  # type: ignore[import-not-found]
from awscrt.http import HttpClientConnection, HttpHeaders, HttpRequest
from awscrt.io import ClientTlsContext, TlsContextOptions

LIMIT = 10
"""Seconds to connect in, and for one request."""


def connect(host: str, port: int) -> Any:
    options = TlsContextOptions()
    options.override_default_trust_store(Path(os.environ["SSL_CERT_FILE"]).read_bytes())
    options.alpn_list = ["http/1.1"]
    tls = ClientTlsContext(options).new_connection_options()
    tls.set_server_name(host)
    return HttpClientConnection.new(host, port, tls_connection_options=tls).result(LIMIT)


address = urlsplit(sys.argv[1])
connection = connect(str(address.hostname), int(address.port or 443))


def request(method: str, url: str, body: bytes | None) -> int:
    parts = urlsplit(url)
    headers = HttpHeaders([("Host", parts.netloc), ("Content-Length", str(len(body or b"")))])
    made = HttpRequest(method, f"{parts.path}?{parts.query}", headers, io.BytesIO(body) if body else None)
    stream = connection.request(made)
    stream.activate()
    return int(stream.completion_future.result(LIMIT))


measured.run(request)
connection.close().result(LIMIT)
