"""Start a few sample services under light load on loopback, and watch them with the agent.

    python tools/demo.py [--seconds 60]

`gateway` (nginx, where it is installed) passes requests to `shop`, which asks `stock`; both are plain
Python without any instrumentation. Some requests are slow, some are for nothing, some fail: what the
agent prints should show which. Everything ends after the given time, or at Ctrl-C.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

HOST = "127.0.0.1"
REQUESTS_PER_SECOND = 8
FAILING_PRODUCT = 13

NGINX = """
daemon off;
worker_processes 1;
error_log stderr error;
pid {folder}/nginx.pid;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen {host}:{port}; location / {{ proxy_pass http://{host}:{upstream}; }} }}
}}
"""


class Service(BaseHTTPRequestHandler):
    """What the two Python services share: HTTP/1.1, JSON, and no access log."""

    protocol_version = "HTTP/1.1"
    upstream = 0

    def answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing: the agent is to tell."""


class Stock(Service):
    """GET /stock/{product}: how many there are; now and then slowly, and for one product not at all."""

    def do_GET(self) -> None:
        product = int(self.path.rpartition("/")[2])
        time.sleep(random.choice([0.002, 0.004, 0.008, 0.15]))
        if product == FAILING_PRODUCT:
            self.answer(500, {"error": "the shelf fell over"})
        else:
            self.answer(200, {"product": product, "count": product % 7})


class Shop(Service):
    """GET /products/{product} and POST /orders, each with a question to the stock."""

    def ask_stock(self, product: int) -> int:
        connection = http.client.HTTPConnection(HOST, self.upstream, timeout=5)
        try:
            connection.request("GET", f"/stock/{product}")
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if not path.startswith("/products/"):
            self.answer(404, {"error": "no such page"})
            return
        product = int(path.rpartition("/")[2])
        available = self.ask_stock(product) == http.HTTPStatus.OK
        self.answer(200 if available else 502, {"product": product})

    def do_POST(self) -> None:
        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.ask_stock(order["product"])
        self.answer(201, {"order": random.randrange(10_000)})


SERVICES: dict[str, type[Service]] = {"shop": Shop, "stock": Stock}


def serve(name: str, port: int, upstream: int) -> None:
    service = SERVICES[name]
    service.upstream = upstream
    ThreadingHTTPServer((HOST, port), service).serve_forever()


def visit(port: int) -> None:
    """Be a visitor: ask for products, order some, and mistype an address now and then."""
    while True:
        connection = http.client.HTTPConnection(HOST, port, timeout=5)
        with suppress(OSError, http.client.HTTPException):
            for _ in range(random.randrange(1, 20)):
                choice = random.random()
                product = random.randrange(1, 30)
                if choice < 0.15:
                    headers = {"Content-Type": "application/json"}
                    connection.request("POST", "/orders", json.dumps({"product": product}), headers)
                else:
                    connection.request("GET", f"/products/{product}" if choice < 0.95 else "/prodcuts")
                connection.getresponse().read()
                time.sleep(random.expovariate(REQUESTS_PER_SECOND))
        connection.close()


def free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(0.05)
    raise SystemExit(f"demo: nothing listens on port {port}")


class Demo:
    """The sample services and their visitor, ended with the `with` block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._programs: list[subprocess.Popen[bytes]] = []
        self.ports: list[int] = []

    def start(self) -> None:
        stock, shop = free_port(), free_port()
        self._python("stock", stock)
        self._python("shop", shop, stock)
        self.ports = [stock, shop]
        if nginx := shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin"):
            self.ports.append(free_port())
            self._gateway(nginx, self.ports[-1], shop)
        for port in self.ports:
            wait_for(port)

    def start_visitor(self) -> None:
        self._launch("visitor", [sys.executable, __file__, "visit", str(self.ports[-1])])

    def stop(self) -> None:
        for program in self._programs:
            program.terminate()
        for program in self._programs:
            program.wait()

    def _python(self, name: str, port: int, upstream: int = 0) -> None:
        self._launch(name, [sys.executable, __file__, "serve", name, str(port), str(upstream)])

    def _gateway(self, nginx: str, port: int, upstream: int) -> None:
        file = self._folder / "nginx.conf"
        file.write_text(NGINX.format(folder=self._folder, host=HOST, port=port, upstream=upstream))
        self._launch("gateway", [nginx, "-e", "stderr", "-p", str(self._folder), "-c", str(file)])

    def _launch(self, service: str, command: list[str]) -> None:
        """A session of its own: Ctrl-C is for the agent and the demo."""
        environment = os.environ | {"OTEL_SERVICE_NAME": service}
        with (self._folder / f"{service}.log").open("wb") as log:
            self._programs.append(
                subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
            )


def watch(demo: Demo, folder: Path, seconds: float) -> int:
    """Run the agent on the demo's ports until the time is over or Ctrl-C; return its exit status."""
    config = folder / "otel-ebpf.yaml"
    config.write_text(f"discovery:\n  include:\n    - ports: {demo.ports}\n")
    command = [str(Path(sys.executable).with_name("otel-ebpf")), "run", "--console", "--config", str(config)]
    agent = subprocess.Popen(command)
    try:
        demo.start_visitor()
        return agent.wait(seconds)
    except subprocess.TimeoutExpired:
        agent.send_signal(signal.SIGINT)
        return agent.wait(10)
    except KeyboardInterrupt:  # the agent, in this terminal, has had it too
        return agent.wait(10)


def main() -> int:
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    if sys.argv[1:2] == ["visit"]:
        visit(int(sys.argv[2]))
    parser = argparse.ArgumentParser(description="Watch a few sample services under light load.")
    parser.add_argument("--seconds", type=float, default=60, help="how long (default: 60)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="otel-ebpf-demo-") as folder, ExitStack() as stack:
        Path(folder).chmod(0o755)  # nginx's worker is another user
        demo = Demo(Path(folder))
        stack.callback(demo.stop)
        demo.start()
        return watch(demo, Path(folder), arguments.seconds)


if __name__ == "__main__":
    sys.exit(main())
