"""nginx, and what is built from it: which request it works on when it asks another server.

Its functions stand among the dynamic symbols, for its modules, from 1.9.11 on: also in packages that are
stripped, Debian's and nginx.org's. The fields that the probe reads are the first of their structs, and say
themselves whether they are what they should be: see bpf/probes/nginx_runtime.bpf.c.
"""

from __future__ import annotations

from typing import Final

from otel_ebpf.kernel.binaries import BinaryError, Elf
from otel_ebpf.kernel.messages import Point
from otel_ebpf.kernel.runtimes.base import Runtime

__all__ = ["NAME", "find"]

NAME: Final = "nginx"
_KIND: Final = 2  # RUNTIME_NGINX
_SENDS: Final = "ngx_chain_writer"
_PROXY: Final = "ngx_http_upstream_create"


def find(elf: Elf) -> Runtime | None:
    """Return what follows requests through nginx; None for other programs, and for one that asks nobody.

    Raises `BinaryError` for one that cannot be followed.
    """
    functions = elf.functions((_SENDS, _PROXY))
    if _PROXY not in functions:
        return None
    if _SENDS not in functions:
        raise BinaryError(f"has no function {_SENDS}")
    return Runtime(NAME, _KIND, (Point("nginx_sends", elf.probed_entry(functions[_SENDS])),), b"")
