"""The agent and the backend that most tests share: one of each for every rung."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from integration.harness import servers, tls_servers
from integration.harness.agent import Agent
from integration.harness.backend import Backend
from integration.harness.injecting import FIT
from integration.harness.ports import POOL
from integration.harness.rungs import BRIEFLY, RUNGS
from otel_ebpf.config import Runtime

ENOUGH = ("test_books", "test_servers", "test_traces", "test_tls_clients", "test_network_request")
"""Files of tests for a brief look at a rung."""
ON_ONE = ("test_inject", "test_dns")
"""More of them for the first rung, be the look at it brief too."""


_shared: list[Backend] = []


@dataclass(frozen=True)
class Traced:
    """A ready agent and the backend that it sends to."""

    agent: Agent
    backend: Backend


@pytest.fixture(scope="session", params=RUNGS)
def rung(request: pytest.FixtureRequest) -> str:
    """Each rung in turn. Tests that need an agent of their own take it from here too."""
    return str(request.param)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say with a failure what an agent that outlives the test had complained of."""
    report = yield
    traced = getattr(item, "funcargs", {}).get("traced")
    if report.failed and isinstance(traced, Traced):
        report.sections.append(("complaints of the agent", traced.agent.complaints))
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out rungs of tests that are marked as the same on all, and what is too much for a brief look."""
    others = [item for item in items if isinstance(item, pytest.Function) and _is_left_out(item)]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


def _is_left_out(item: pytest.Function) -> bool:
    if item.path.parent != Path(__file__).parent:
        return False
    rung = item.callspec.params.get("rung") if hasattr(item, "callspec") else None
    if item.get_closest_marker("unfit_sockmap" if FIT == "1" else "fit_sockmap"):
        return True
    if item.get_closest_marker("one_rung") and rung not in (None, RUNGS[0]):
        return True
    if item.path.stem in ON_ONE and rung == RUNGS[0]:
        return False
    return rung in BRIEFLY and item.path.stem not in ENOUGH


@pytest.fixture(scope="session")
def traced(rung: str) -> Iterator[Traced]:
    """An agent for all tests of one rung. It observes what they start, and no stranger on this host."""
    halves = POOL[: len(POOL) // 2], POOL[len(POOL) // 2 :]
    behind_unix_sockets = [
        {"executable": "*/nginx"},
        {"executable": "*/haproxy"},
        {"executable": "*/php-fpm*"},
        {"command_line": "*gunicorn*shop:app*"},
    ]
    include = [*({"ports": list(half)} for half in halves), *behind_unix_sockets]
    options: dict[str, Any] = {
        "config": {
            "discovery": {"include": include},
            "tls": {"enabled": True},
            "traces": {"runtimes": list(get_args(Runtime)), "runtime_percent": 100000},
            # A busy host that holds up the agent or the backend for a moment is no reason to lose spans.
            "capture": {"ring_bytes": 64 << 20},
            # Series for each of hundreds of servers: test_network_tcp has agents of its own.
            "network": {"tcp": {"enabled": False}},
        },
        "environment": {"OTEL_BSP_MAX_QUEUE_SIZE": "65536"},
    }
    with Backend() as backend, Agent(endpoint=backend.endpoint, rung=rung, **options) as agent:
        assert agent.rung_in_use() == rung
        _shared.append(backend)
        yield Traced(agent, backend)
        _shared.remove(backend)


@pytest.fixture(scope="module", autouse=True)
def _forgetful() -> Iterator[None]:
    """Each file of tests finds the shared backend empty: all that a run sends it are gigabytes."""
    yield
    for backend in _shared:
        backend.forget()


@pytest.fixture
def start_agent() -> Iterator[Callable[..., Traced]]:
    """Start agents with a configuration of the test's own; they are stopped, and that is checked."""
    with ExitStack() as stack:

        def start(rung: str = "", **options: Any) -> Traced:
            backend = options.pop("backend", None) or stack.enter_context(Backend())
            agent = stack.enter_context(Agent(endpoint=backend.endpoint, rung=rung, **options))
            return Traced(agent, backend)

        yield start


@pytest.fixture(scope="session")
def application() -> Iterator[Callable[[str], servers.Server]]:
    """Start servers by name at their first use, and keep them for the session."""
    running: dict[str, servers.Server] = {}
    with ExitStack() as stack:

        def get(name: str) -> servers.Server:
            if name not in running:
                start = {**servers.STATIC, **servers.APPLICATIONS, **tls_servers.TLS_SERVERS}[name]
                running[name] = stack.enter_context(start())
            return running[name]

        yield get
