"""Make docs/pictures/jaeger.png: Jaeger's page with a trace that the agent made of services of other people.

    python tools/picture_of_jaeger.py

A visitor asks `shop`, which asks `stock` over TLS and `prices`, all in a network of their own whose name
server knows them. None of them is instrumented. Needs root, the test suites' set-up and Debian's chromium.
"""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from integration.harness.jaeger import Jaeger

CHECKOUT = Path(__file__).resolve().parent.parent
PICTURE = CHECKOUT / "docs" / "pictures" / "jaeger.png"
WINDOW = "1500,620"
ATTEMPTS = 20
SHOP, STOCK, PRICES = "http://shop.test:8000", "https://stock.shop.test:8443", "http://prices.shop.test:8001"
THINKS = 0.012
"""Seconds, of each service."""


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asks: tuple[str, ...] = ()

    def do_GET(self) -> None:
        time.sleep(THINKS)
        for url in self.asks:
            visit(url)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def visit(url: str) -> None:
    with urllib.request.urlopen(url, timeout=30) as answer:
        answer.read()


def serve(port: int, certificate: str, asks: tuple[str, ...]) -> None:
    Service.asks = asks
    server = ThreadingHTTPServer(("", port), Service)
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


@contextmanager
def shown_trace() -> Iterator[tuple[Jaeger, str]]:
    """Run it all; give a Jaeger with its page and the id of a whole trace. SystemExit if there is none."""
    import trustme  # noqa: PLC0415 (the services need no more than Python)

    from integration.harness.agent import Agent  # noqa: PLC0415
    from integration.harness.jaeger import jaeger  # noqa: PLC0415
    from integration.harness.name_server import name_server  # noqa: PLC0415
    from integration.harness.network import HOST  # noqa: PLC0415
    from integration.harness.program import Program  # noqa: PLC0415

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="picture-")))
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "authority.pem"))
        authority.issue_cert("stock.shop.test").private_key_and_cert_chain_pem.write_to_path(
            str(folder / "stock.pem")
        )
        trusting = {"SSL_CERT_FILE": str(folder / "authority.pem")}
        resolving = stack.enter_context(name_server())
        itself = [sys.executable, str(Path(__file__).resolve())]
        for name, port, certificate, *asks in (
            ("stock", "8443", str(folder / "stock.pem")),
            ("prices", "8001", ""),
            ("shop", "8000", "", f"{STOCK}/stock/1042", f"{PRICES}/prices/1042"),
        ):
            words = resolving.within(*itself, "serve", port, certificate, *asks)
            stack.enter_context(Program(words, environment={**trusting, "OTEL_SERVICE_NAME": name}))
            resolving.wait_listening(HOST, int(port))
        shown = stack.enter_context(jaeger(page=True))
        config = {"discovery": {"include": [{"command_line": f"*{Path(__file__).name}*"}]}}
        endpoint = f"http://127.0.0.1:{shown.grpc}"
        stack.enter_context(Agent(endpoint=endpoint, config=config))
        environment = {**os.environ, "OTEL_SERVICE_NAME": "visitor"}
        for _ in range(ATTEMPTS):
            resolving.run([*itself, "visit", f"{SHOP}/orders/1042"], environment=environment)
            time.sleep(1)
            traces = shown.ask("traces", service="visitor", limit=ATTEMPTS)
            complete = max(traces, key=lambda trace: len(trace["spans"]), default=None)
            if complete and is_complete(complete):
                break
        else:
            raise SystemExit(f"none of {ATTEMPTS} traces is complete")
        yield shown, complete["traceID"]


def is_complete(trace: dict) -> bool:  # type: ignore[type-arg]
    """Say whether all three connections are in it, the handshake, and the lookups within a request."""
    names = [span["operationName"].partition(" ")[0] for span in trace["spans"]]
    return [names.count(word) for word in ("GET", "DNS", "socket", "TLS")] == [6, 2, 3, 1]


def look(url: str, *how: str) -> str:
    """Have a browser without a window open a page, and let its scripts run; return what it writes."""
    browser = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    words = [*browser, "--virtual-time-budget=20000", *how, url]
    done = subprocess.run(
        words, check=True, timeout=300, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    return done.stdout


def main() -> None:
    with shown_trace() as (shown, trace):
        url = f"{shown.url}/trace/{trace}"
        PICTURE.parent.mkdir(exist_ok=True)
        look(url, f"--window-size={WINDOW}", f"--screenshot={PICTURE}")
        print(f"{PICTURE.relative_to(CHECKOUT)}: {PICTURE.stat().st_size >> 10} KiB, of {url}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]), sys.argv[3], tuple(sys.argv[4:]))
    elif sys.argv[1:2] == ["visit"]:
        visit(sys.argv[2])
    else:
        sys.path.insert(0, str(CHECKOUT))
        main()
