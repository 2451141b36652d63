"""Layer: unit. Whether the agent's threads go on, and how that is told by the command."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from otel_ebpf.cli import main
from otel_ebpf.export import sender as sender_module
from otel_ebpf.export.books import SPANS
from otel_ebpf.export.outcome import Outcome, Verdict
from otel_ebpf.export.queue import SpanQueue
from otel_ebpf.export.sender import Sender
from otel_ebpf.export.settings import QueueSettings
from otel_ebpf.health import Health, Pulse
from otel_ebpf.kernel.ledger import DESCRIPTIONS, Ledger
from otel_ebpf.status import StatusServer
from tests.export_samples import SHOP
from tests.waiting import wait_for


class Exporter:
    """Does with each batch what it is told."""

    target = "http://backend"

    def __init__(self, verdict: Verdict | None) -> None:
        self.verdict = verdict
        self.closed = threading.Event()
        self.attempts = 0

    def send(self, body: bytes, timeout: float) -> Outcome:
        self.attempts += 1
        if self.verdict is None:
            self.closed.wait()
        return Outcome(self.verdict or Verdict.ACCEPTED)

    def close(self) -> None:
        self.closed.set()


class Faulty(Exporter):
    def send(self, body: bytes, timeout: float) -> Outcome:
        raise RuntimeError("a fault")


def sending(exporter: Exporter) -> Sender:
    ledger = Ledger()
    queue = SpanQueue(QueueSettings(batch=1), ledger.shard())
    sender = Sender(queue, exporter, SPANS, ledger.shard(), delay=0.01, timeout=0.01, age=300.0)
    sender.start()
    queue.put(SHOP, b"x")
    return sender


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_module, "GRACE_SECONDS", 0.5)
    monkeypatch.setattr(sender_module, "TICK", 0.05)


def stop(sender: Sender) -> None:
    sender.ask_to_stop(time.monotonic() + 5)
    sender.stop()


@pytest.mark.usefixtures("_impatient")
def test_a_sender_that_hangs() -> None:
    sender = sending(exporter := Exporter(None))
    wait_for(sender.pulse.complaint)
    assert "the thread that sends spans has made no progress for" in sender.pulse.complaint()
    exporter.closed.set()
    wait_for(lambda: not sender.pulse.complaint())
    stop(sender)


@pytest.mark.usefixtures("_impatient")
def test_a_backend_that_is_away_is_no_fault_of_the_sender() -> None:
    sender = sending(exporter := Exporter(Verdict.RETRY))
    until = time.monotonic() + 1.5  # three times its patience
    while time.monotonic() < until:
        assert not sender.pulse.complaint()
        time.sleep(0.01)
    assert exporter.attempts
    stop(sender)
    assert not sender.pulse.complaint(), "it was to end"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_sender_that_dies() -> None:
    sender = sending(Faulty(None))
    wait_for(sender.pulse.complaint)
    assert sender.pulse.complaint().startswith("the thread that sends spans has died: ")
    stop(sender)


def test_alive_and_ready() -> None:
    health = Health()
    assert health.is_alive() == (True, "alive")
    assert not health.is_ready().good
    assert "starting" in health.is_ready().reason
    health.ready()
    assert health.is_ready() == (True, "ready")
    stuck = Pulse("waits", patience=-1.0)
    stuck.begin()
    health.pulses = (Pulse("has not begun"), stuck)
    assert not health.is_alive().good
    assert health.is_ready() == health.is_alive()
    health.stopping()
    assert health.is_ready() == (False, "the agent is stopping")
    assert not health.attached
    stuck.end()
    assert health.is_alive().good


def test_nothing_can_be_seen() -> None:
    health = Health()
    health.ready("no way to see requests")
    assert health.is_alive().good
    assert health.is_ready() == (False, "no way to see requests")


@pytest.fixture
def status(tmp_path: Path) -> Iterator[tuple[Health, Path]]:
    """An agent of which there is nothing but its status socket, and its configuration."""
    path, config = tmp_path / "status", tmp_path / "config.yaml"
    config.write_text(f"telemetry: {{status_socket: {path}}}\n")
    health = Health()
    server = StatusServer(str(path), [], lambda: [0] * len(DESCRIPTIONS), dict, health)
    server.start()
    yield health, config
    server.stop()


def test_the_command(status: tuple[Health, Path]) -> None:
    health, config = status

    def run(*options: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["health", "--config", str(config), *options])
        return result.exit_code, result.stdout

    assert run() == (0, "alive\n")
    assert run("--ready") == (1, "the agent is starting: its probes are not attached yet\n")
    health.ready()
    assert run("--ready") == (0, "ready\n")
    stuck = Pulse("waits", patience=-1.0)
    stuck.begin()
    health.pulses = (stuck,)
    code, said = run()
    assert (code, said.count("\n")) == (1, 1)
    assert "the thread that waits has made no progress" in said


def test_the_command_without_an_agent(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"telemetry: {{status_socket: {tmp_path / 'none'}}}\n")
    result = CliRunner().invoke(main, ["health", "--config", str(config)])
    assert result.exit_code == 1
    assert result.stdout.startswith(f"no agent answers at {tmp_path / 'none'}: ")
    config.write_text("telemetry: {status_socket: ''}\n")
    result = CliRunner().invoke(main, ["health", "--config", str(config)])
    assert result.exit_code == 1
    assert "telemetry.status_socket is empty" in result.stdout
