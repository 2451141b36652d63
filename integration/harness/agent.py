"""The agent under test: its command line, from `ready` to the exit status."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from integration.harness.limits import DIES_WITH_US, PATIENCE, slack, wait_until

COMMAND = os.environ.get("OTEL_EBPF_COMMAND", str(Path(sys.executable).parent / "otel-ebpf")).split()
"""How the agent is called; another build of it can be put to the same tests."""


class AgentError(AssertionError):
    """The agent did not do what its command line promises. The message holds the end of its log."""


class Agent:
    """`otel-ebpf run` with a configuration of its own, sending to `endpoint`.

    `config` is merged over the defaults of the tests: the forced rung and the status socket. `command` is how
    another installation of it is called.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        rung: str = "",
        config: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        protocol: str = "grpc",
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.rung = rung
        self._command = command
        self.ready_after = 0.0
        self._folder = tempfile.TemporaryDirectory(prefix="agent-")
        folder = Path(self._folder.name)
        self.status_socket = folder / "status"
        self._log = folder / "log"
        self._config = folder / "config.yaml"
        self._config.write_text(yaml.safe_dump(self._configuration(config or {})))
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("OTEL_")},
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_INSECURE": "true",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_METRIC_EXPORT_INTERVAL": "500",
            **(environment or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def reconfigure(self, config: Mapping[str, Any] | str, *, unnoticed: bool = False) -> None:
        """Write another configuration, or any text; `unnoticed` with the time that the last one had."""
        before = self._config.stat()
        text = config if isinstance(config, str) else yaml.safe_dump(self._configuration(config))
        self._config.write_text(text)
        if unnoticed:
            assert self._config.stat().st_size == before.st_size
            os.utime(self._config, ns=(before.st_atime_ns, before.st_mtime_ns))

    def _configuration(self, config: Mapping[str, Any]) -> dict[str, Any]:
        merged: dict[str, Any] = {
            key: dict(value) if isinstance(value, Mapping) else value for key, value in config.items()
        }
        if os.environ.get("OTEL_EBPF_GUEST"):  # emulated, the verifier takes twice as long with it
            merged.setdefault("tls", {"enabled": False})
        if self.rung:
            merged.setdefault("capture", {}).setdefault("rung", self.rung)
        merged.setdefault("telemetry", {})["status_socket"] = str(self.status_socket)
        return merged

    @property
    def pid(self) -> int:
        """Process id of the command."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """Its standard error so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def complaints(self) -> str:
        """The last of its log from WARNING on."""
        words = (" WARNING ", " ERROR ", " CRITICAL ")
        return "\n".join(
            [line for line in self.log.splitlines() if any(word in line for word in words)][-20:]
        )

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Self:
        self.launch()
        self.wait_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if value is None:
                self.stop()
            else:
                value.add_note(f"--- log of the agent:\n{self.log[-3000:]}")
        finally:
            self.close()

    def close(self) -> None:
        """Kill it if it still runs, and remove its files."""
        self.kill()
        self._folder.cleanup()

    def command(self, name: str) -> list[str]:
        """Return one of the program's commands, with this agent's configuration."""
        return [*self._command, name, "--config", str(self._config)]

    def launch(self) -> None:
        """Start the process, and do not wait for anything."""
        started = time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*DIES_WITH_US, *self.command("run")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
            )
        self._started = started

    def wait_ready(self) -> None:
        """Wait for the line that says `ready`; `ready_after` is then the seconds since `launch`."""
        wait_until(lambda: self._is_ready() or not self.running, every=0.005)
        if not self._is_ready() or not self.running:
            status = self._process.poll() if self._process else None
            message = f"the agent is not ready (exit status {status}):\n{self.log[-4000:]}"
            self.close()
            raise AgentError(message)
        self.ready_after = time.monotonic() - self._started

    def _is_ready(self) -> bool:
        return any("ready" in line for line in self.log.splitlines())

    def wait_exit(self) -> int:
        """Return the exit status of a process that ends by itself."""
        assert self._process is not None
        try:
            return self._process.wait(slack(PATIENCE))
        except subprocess.TimeoutExpired as too_slow:
            raise AgentError(f"it does not end:\n{self.log[-4000:]}") from too_slow

    def stop(self, with_signal: int = signal.SIGTERM) -> float:
        """End it as a user would; return the seconds that took (benchmarks/startup.py judges them).

        Raises AgentError when the status was not 0.
        """
        if self._process is None or self._process.returncode is not None:
            return 0.0
        asked = time.monotonic()
        self._process.send_signal(with_signal)
        status = self.wait_exit()
        took = time.monotonic() - asked
        if status != 0:
            raise AgentError(f"exit status {status}:\n{self.log[-4000:]}")
        return took

    def signal(self, number: int) -> None:
        """Send a signal, e.g. SIGSTOP to pause the reader."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def status(self) -> dict[str, Any]:
        """Read the status socket: pid, capabilities, ledger."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(slack(PATIENCE))
            connection.connect(str(self.status_socket))
            received = b"".join(iter(lambda: connection.recv(65536), b""))
        answer: dict[str, Any] = json.loads(received)
        return answer

    def doctor(self) -> dict[str, Any]:
        """Capabilities of the running agent: the rung each stands on, and why not a higher one."""
        answer: dict[str, Any] = self.status()["capabilities"]
        return answer

    def ledger(self) -> dict[str, int]:
        """Every entry of the ledger, now."""
        return {name: int(value) for name, value in self.status()["ledger"].items()}

    def unread(self, pid: int) -> str:
        """Why the TLS of a process cannot be read, in one word; empty if it can, or has not been told yet."""
        told = self.status()["tls"]["unread"]
        return next((str(one["reason"]) for one in told if one["pid"] == pid), "")

    def rung_in_use(self) -> str:
        """The rung on which `tcp_payload` stands."""
        return str(self.doctor()["tcp_payload"]["rung"])

    def resident_bytes(self) -> int:
        """RSS of the process."""
        statm = Path(f"/proc/{self.pid}/statm").read_text().split()
        return int(statm[1]) * os.sysconf("SC_PAGE_SIZE")
