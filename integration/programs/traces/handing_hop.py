"""A hop whose threads hand each request to one of a pool that was there before, which asks: PORT."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import ThreadingHTTPServer

from hops import walk
from threaded_hop import Handler

THREADS = 16
pool = ThreadPoolExecutor(THREADS)


class Hands(Handler):
    def do_GET(self) -> None:  # noqa: N802 (the name that the server calls)
        pool.submit(walk, self.path).result()
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"end\n")


if __name__ == "__main__":
    everybody = threading.Barrier(THREADS)
    for _ in range(THREADS):
        pool.submit(everybody.wait)
    ThreadingHTTPServer.request_queue_size = 256
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Hands).serve_forever()
