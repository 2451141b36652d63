"""`otel-ebpf doctor`: what this kernel offers, what is used of it, and what is missing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from otel_ebpf.config import ConfigError, load
from otel_ebpf.doctor import Report, examine
from otel_ebpf.kernel.ledger import DESCRIPTIONS, Entry


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Say it as JSON.")
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    help="Configuration of the agent to ask (status socket).",
)
def command(as_json: bool, path: Path | None) -> None:
    """Say what this kernel offers, what is used of it, and what is missing.

    Asks the running agent, or, without one, attaches for a moment. Exit status 1 where requests
    cannot be seen.
    """
    try:
        report = examine(load(path).telemetry.status_socket)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        _show(report)
    sys.exit(not report.healthy)


def _show(report: Report) -> None:
    running = (
        f"the running agent, pid {report.agent}" if report.agent else "no agent is running: tried out here"
    )
    click.echo(f"otel-ebpf doctor ({running})\n")
    for check in report.checks:
        click.echo(f"  {'ok  ' if check.good else 'BAD '} {check.name:<16} {check.found}")
        if not check.good:
            click.echo(f"       -> {check.advice}")
    click.echo()
    if report.problem:
        click.echo(f"  BAD  {report.problem}")
    for name, found in report.capabilities.items():
        click.echo(f"  {'ok  ' if found['rung'] else 'BAD '} {name:<16} {found['rung'] or 'cannot be had'}")
        if found["cost"]:
            click.echo(f"       {found['cost']}")
        for refused in found["refused"]:
            click.echo(f"       not {refused['rung']}: {refused['reason']}")
            if refused["advice"]:
                click.echo(f"         -> {refused['advice']}")
    _show_ledger(report)


def _show_ledger(report: Report) -> None:
    counted = {name: total for name, total in report.ledger.items() if total}
    if not counted:
        return
    click.echo("\n  ledger")
    for entry in Entry:
        total = counted.get(entry.name.lower())
        if total:
            description = DESCRIPTIONS[entry]
            click.echo(
                f"    {total:>12}  {description.outcome:<10} {entry.name.lower():<28} {description.help}"
            )
