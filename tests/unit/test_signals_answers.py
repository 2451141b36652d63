"""The name of a client's server by what its process has asked for."""

from __future__ import annotations

from typing import Any

import pytest
from signals_support import CLIENT, SECOND, SERVER, SHOP, UNIX, Bench, attributes, call, ipv4, record, value
from test_signals_lookups import lookup

from otel_ebpf.kernel.records import Exchange, LookupCall, Transport
from otel_ebpf.kernel.vantage import Vantage
from otel_ebpf.signals.answers import LEAST_SECONDS, UNTOLD_SECONDS, Answers

DATABASE = ((2, ipv4("10.0.0.1")),)
MAPPED = ((10, bytes(10) + b"\xff\xff" + bytes((10, 0, 0, 1))),)


def asked(**changes: Any) -> Exchange:
    return record(**({"role": CLIENT, "time": SECOND * 2, "connection": 1} | changes))


def name(answers: Answers, **changes: Any) -> str:
    return answers.of(asked(**changes))


def learned(*lookups: Any) -> Answers:
    answers = Answers()
    for one in lookups:
        answers.learn(one)
    return answers


@pytest.mark.parametrize("addresses", [DATABASE, MAPPED])
def test_the_name_that_was_asked_for(addresses: Any) -> None:
    answers = learned(lookup(name=b"DB.example.", addresses=addresses))
    assert name(answers) == "db.example"
    assert name(answers, server_address=ipv4("10.0.0.9"), connection=2) == ""


def test_of_another_process_it_says_nothing() -> None:
    answers = learned(lookup(addresses=DATABASE))
    assert name(answers, process=11) == ""
    assert name(answers, process_start=2, connection=2) == ""
    assert name(answers, transport=int(Transport.UNKNOWN), connection=3) == ""
    assert name(answers, transport=int(Transport.UNIX), family=UNIX, connection=4) == ""


def test_two_names_are_none() -> None:
    both = (lookup(name=b"a.example", addresses=DATABASE), lookup(name=b"b.example", addresses=DATABASE))
    assert name(learned(*both)) == ""
    assert name(learned(both[0], both[0])) == "a.example"


@pytest.mark.parametrize(("told", "held"), [(0, UNTOLD_SECONDS), (5, LEAST_SECONDS), (4711, 4711)])
def test_it_holds_as_long_as_is_told(told: int, held: int) -> None:
    one = lookup(addresses=DATABASE, seconds=told, end=SECOND)
    answers = learned(one)
    assert name(answers, time=SECOND * (held + 1) - 1) == "shop.example"
    assert name(answers, time=SECOND * (held + 1), connection=2) == ""
    later = SECOND * (held + 2)
    answers.learn(lookup(name=b"other.example", addresses=DATABASE, time=later, end=later))
    assert name(answers, time=SECOND * (held + 3), connection=3) == "other.example"


def test_a_connection_keeps_its_name() -> None:
    answers = learned(lookup(addresses=DATABASE))
    assert name(answers) == "shop.example"
    answers.learn(lookup(name=b"other.example", addresses=DATABASE))
    assert name(answers, time=SECOND * 10**6) == "shop.example"
    assert name(answers, connection=2) == ""


@pytest.mark.parametrize(
    "changes",
    [{"result": -2}, {"call": int(LookupCall.GETNAMEINFO)}, {"call": int(LookupCall.GETHOSTBYADDR)}],
)
def test_what_found_nothing_is_not_remembered(changes: dict[str, Any]) -> None:
    assert name(learned(lookup(addresses=DATABASE, **changes))) == ""


def test_it_is_bounded() -> None:
    answers = Answers(kept=3)
    for number in range(10):
        answers.learn(lookup(name=b"a%d.example" % number, addresses=((2, ipv4(f"10.0.1.{number}")),)))
        answers.learn(lookup(name=b"b%d.example" % number, addresses=DATABASE))
        name(answers, connection=number)
    assert len(answers._names) == len(answers._connections) == 3
    assert max(map(len, answers._names.values())) <= 4


def server_address(bench: Bench, host: str = "", **changes: Any) -> object:
    bench.stage.call(call(value(host=host), asked(**changes)), SHOP)
    return attributes(bench.spans[-1]).get("server.address")


def test_a_request_without_a_host_header_has_the_name() -> None:
    bench = Bench()
    assert server_address(bench) == "10.0.0.1"
    bench.stage.lookups.seen(lookup(name=b"db.example", addresses=DATABASE), SHOP)
    assert server_address(bench, connection=2) == "db.example"
    span = bench.spans[-1]
    assert attributes(span)["url.full"] == "http://db.example:8080/"
    assert attributes(span)["network.peer.address"] == "10.0.0.1"
    assert server_address(bench, connection=1) == "10.0.0.1", "it had none at its first request"
    assert server_address(bench, "named.example", connection=3) == "named.example"
    assert server_address(bench, role=SERVER, connection=4) == "10.0.0.1"


def test_it_is_not_taken_for_that_of_another_connection() -> None:
    bench = Bench()
    plan = bench.stage.call(call(value(host=""), asked()), SHOP)
    assert plan is not None
    assert not plan.settled
    assert isinstance(asked().vantage, Vantage)
