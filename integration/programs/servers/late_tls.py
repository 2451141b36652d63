"""An HTTP server that loads TLS when it is asked to, long after it has begun to serve.

    late_tls.py PORT TLS_PORT CERTIFICATE KEY

/load at PORT, which is without TLS, lets it load the library and serve at TLS_PORT too.
"""

from __future__ import annotations

import sys
from threading import Thread

sys.modules["ssl"] = None  # type: ignore[assignment]  # or the next line loads the library

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer  # noqa: E402

del sys.modules["ssl"]

plain, tls = (int(word) for word in sys.argv[1:3])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path.startswith("/load"):
            serve_tls()
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")


def serve_tls() -> None:
    import ssl  # noqa: PLC0415

    server = ThreadingHTTPServer(("127.0.0.1", tls), Handler)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*sys.argv[3:5])
    server.socket = context.wrap_socket(server.socket, server_side=True)
    Thread(target=server.serve_forever, daemon=True).start()


ThreadingHTTPServer(("127.0.0.1", plain), Handler).serve_forever()
