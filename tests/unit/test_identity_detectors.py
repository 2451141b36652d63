"""Resource detectors: what is taken of them, and for how long they are waited for."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from otel_ebpf.identity.detectors import PATIENCE_SECONDS, Detectors
from tests.waiting import wait_for

ADVICE = "take it out of OTEL_EXPERIMENTAL_RESOURCE_DETECTORS"
Install = Callable[[str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a detector whose `detect` returns what an expression says, as the attributes of a resource."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def one(name: str, expression: str) -> None:
        about = tmp_path / f"{name}_package-1.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-package\nVersion: 1\n")
        points = f"[opentelemetry_resource_detector]\n{name} = {name}_module:Detector\n"
        (about / "entry_points.txt").write_text(points)
        (tmp_path / f"{name}_module.py").write_text(
            "from types import SimpleNamespace\n"
            "class Detector:\n"
            "    def detect(self):\n"
            f"        return SimpleNamespace(attributes={expression})\n"
        )
        monkeypatch.delitem(sys.modules, f"{name}_module", raising=False)

    return one


def test_what_is_of_the_host_is_taken_and_the_later_wins(install: Install) -> None:
    install("first", "{'host.id': 'a', 'cloud.region': 'eu', 'service.name': 'agent', 'process.pid': 1}")
    install(
        "second", "{'host.id': 'b', 'host.cpus': 4, 'host.tags': ['x'], 'host.name': '', 'cloud.zone': None}"
    )
    detectors = Detectors(("first", "second"))
    detectors.start()
    found: dict[str, object] = {}
    wait_for(lambda: found.update(detectors.take()) or found)
    assert found == {"host.id": "b", "cloud.region": "eu", "host.cpus": 4}
    assert detectors.take() == (), "it is told once"


def test_one_that_does_not_answer_is_given_up(
    install: Install, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    never, now = Event(), 100.0
    monkeypatch.setattr(sys, "never_of_the_test", never, raising=False)
    install("quick", "{'host.id': 'a'}")
    install("hung", "__import__('sys').never_of_the_test.wait() and {}")
    detectors = Detectors(("quick", "hung"), lambda: now)
    detectors.start()
    assert detectors.take() == ()
    wait_for(lambda: detectors._found)
    now += PATIENCE_SECONDS - 1
    assert detectors.take() == ()
    now += 1
    assert detectors.take() == (("host.id", "a"),)
    assert "hung does not answer" in caplog.text
    assert ADVICE in caplog.text
    never.set()


def test_one_that_fails_and_one_that_is_not_there(install: Install, caplog: pytest.LogCaptureFixture) -> None:
    install("wrong", "1 / 0")
    caplog.set_level(logging.WARNING)
    detectors = Detectors(("wrong", "not_installed"))
    detectors.start()
    wait_for(lambda: "division" in caplog.text and "by the name not_installed" in caplog.text)
    assert [ADVICE in one.getMessage() for one in caplog.records] == [True, True]
    assert detectors.take() == ()


def test_none_are_asked_for() -> None:
    detectors = Detectors(())
    detectors.start()
    assert detectors.take() == ()
