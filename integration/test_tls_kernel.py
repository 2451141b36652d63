"""TLS whose records the kernel makes: no TLS library sees the body, and TCP's send functions see neither."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator

import pytest

from integration.conftest import Traced
from integration.harness.certificates import certificates
from integration.harness.compare import attempt, check, check_pairs
from integration.harness.measured import drive, new_mark
from integration.harness.servers import Server
from integration.harness.spans import CLIENT, SERVER
from integration.harness.tls_exotic import ktls_nginx, sessions_sent_by_kernel

VERSIONS = {"1.3": ssl.TLSVersion.TLSv1_3, "1.2": ssl.TLSVersion.TLSv1_2}


@pytest.fixture(scope="module")
def nginx() -> Iterator[Server]:
    with ktls_nginx() as server:
        yield server


@pytest.mark.guest
@pytest.mark.parametrize("version", VERSIONS)
def test_static_files(rung: str, start_agent: Callable[..., Traced], nginx: Server, version: str) -> None:
    """Where the kernel has no TLS, OpenSSL encrypts after all: the spans must be the same."""
    context = certificates().client_context()
    context.maximum_version = context.minimum_version = VERSIONS[version]
    config = {"tls": {"enabled": True}, "discovery": {"include": [{"ports": [nginx.port]}]}}
    traced = start_agent(rung, config=config)
    paths = ["/1k.bin", "/1m.bin", "/none.bin", "/1k.bin", "/1m.bin", "/1k.bin"]

    def once() -> None:
        mark, port = new_mark(), nginx.port
        before = sessions_sent_by_kernel()
        measured = drive(port, paths, mark=mark, tls=context)
        if (after := sessions_sent_by_kernel()) is not None:
            assert after == (before or 0) + 1
        servers = traced.backend.expect(len(paths), port=port, kind=SERVER, mark=mark)
        clients = traced.backend.expect(len(paths), port=port, kind=CLIENT, mark=mark)
        check(SERVER, servers, measured, port=port, method="GET", service="nginx", tls=version)
        check(CLIENT, clients, measured, port=port, method="GET", tls=version)
        check_pairs(clients, servers, measured)

    attempt(once)
