"""What the tests of the ledger share: an agent for one port, and waiting for an entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from signal import SIGCONT, SIGSTOP
from typing import Any

from integration.conftest import Traced
from integration.harness.conversation import Steps, converse
from integration.harness.limits import wait_until
from integration.harness.ports import free_port

StartAgent = Callable[..., Traced]


def only(*ports: int) -> dict[str, Any]:
    """Return a configuration that observes these ports."""
    return {"discovery": {"include": [{"ports": list(ports)}]}}


def observe(start_agent: StartAgent, rung: str, client: Steps, server: Steps) -> tuple[Traced, int]:
    """Start an agent for one port, play a conversation there; return the agent and the port."""
    port = free_port()
    traced = start_agent(rung, config=only(port))
    converse(client, server, server_options={"port": port})
    return traced, port


def reaches(traced: Traced, entry: str, count: int) -> None:
    """Wait until an entry of the ledger is at least `count`, or fail with all that were counted."""
    reached = wait_until(lambda: traced.agent.ledger()[entry] >= count, every=0.1)
    ledger = traced.agent.ledger()
    assert reached, (
        f"{entry} is {ledger[entry]}, {count} were due: { {k: v for k, v in ledger.items() if v} }"
    )


def notices_arrive(traced: Traced, count: int) -> None:
    """Wait until the reader has as many notices as the kernel handed over, and at least `count`."""

    def balanced() -> bool:
        ledger = traced.agent.ledger()
        return ledger["notice_passed"] == ledger["reader_notice"] >= count

    assert wait_until(balanced, every=0.1), traced.agent.ledger()


@contextmanager
def paused(traced: Traced) -> Iterator[None]:
    """Stop the reader: what happens meanwhile is decided on when it goes on."""
    traced.agent.signal(SIGSTOP)
    try:
        yield
    finally:
        traced.agent.signal(SIGCONT)
