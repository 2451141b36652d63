"""What the kernel is told of a process: the verdict, what is left out of it, and what is written into."""

from __future__ import annotations

from typing import Any

from identity_support import process

from otel_ebpf.config import Discovery as Rules
from otel_ebpf.config import InjectRule
from otel_ebpf.control import LEFT_OUT_TLS, Control
from otel_ebpf.identity.discovery import Discovery
from otel_ebpf.identity.model import Service
from otel_ebpf.identity.selection import Selection

SHOP = process("/usr/bin/python3.11", "shop.py")
SERVICE = Service(1, "shop", "python", ())


class Tables:
    """Keeps what was written, by process."""

    def __init__(self) -> None:
        self.told: list[dict[str, int]] = []

    def decide_process(self, pid: int, start: int, ruleset: int, **decision: int) -> bool:
        assert (pid, start) == (SHOP.pid, SHOP.start)
        self.told.append(decision)
        return True


def told(**settings: Any) -> list[dict[str, int]]:
    """Decide on a process, and return what the kernel was told."""
    tables: Any = Tables()
    discovery = Discovery(Rules())
    control = Control(tables, tables, discovery, **settings)
    control.decided(SHOP, SERVICE, discovery.decide(SHOP))
    return tables.told  # type: ignore[no-any-return]


def test_without_rules_nothing_is_told() -> None:
    assert told() == []
    assert told(without_tls={Service(2, "till", "python", ())}) == []


def test_whose_tls_is_left_out() -> None:
    (decision,) = told(without_tls={SERVICE})
    assert (decision["verdict"], decision["left_out"], decision["inject"]) == (1, LEFT_OUT_TLS, 0)


def test_into_whose_requests_is_written() -> None:
    inject = Selection([InjectRule(service="shop")])
    (decision,) = told(inject=inject)
    assert (decision["left_out"], decision["inject"]) == (0, 1)
    assert told(inject=inject, not_injected={SERVICE}) == []
