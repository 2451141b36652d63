"""`otel-ebpf health`: say whether the running agent is alive, or ready, for probes that run a command."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from otel_ebpf.config import ConfigError, load
from otel_ebpf.status import ask


@click.command()
@click.option("--ready", is_flag=True, help="Say whether requests are observed, not only whether it lives.")
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    help="Configuration of the agent to ask (status socket).",
)
def command(ready: bool, path: Path | None) -> None:
    """Say whether the running agent is alive, or with --ready, whether it observes requests.

    One line, and exit status 0 for yes and 1 for no. An agent answers from the moment when it is ready.
    """
    try:
        good, reason = _examine(ready, path)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    click.echo(reason)
    sys.exit(not good)


def _examine(ready: bool, path: Path | None) -> tuple[bool, str]:
    status_socket = load(path).telemetry.status_socket
    if not status_socket:
        return False, "telemetry.status_socket is empty: give it a path, and restart the agent"
    told = ask(status_socket)
    if told is None:
        return False, f"no agent answers at {status_socket}: it is starting, or stopped, or this is not root"
    verdict = told["health"]["ready" if ready else "alive"]
    return bool(verdict["good"]), str(verdict["reason"])
