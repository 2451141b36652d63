"""`otel-ebpf doctor`: what this kernel offers, what is used of it, and what is missing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from otel_ebpf.config import ConfigError, load
from otel_ebpf.doctor import Report, examine
from otel_ebpf.kernel.ledger import DESCRIPTIONS, Entry

_SHOWN = 8
"""Processes with the same reason that the text names."""


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
        report = examine(load(path))
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
    _show_tls(report)
    _show_resolvers(report)
    _show_runtimes(report)
    _show_injected(report)
    _show_ledger(report)


def _show_tls(report: Report) -> None:
    tls, running = report.tls, bool(report.agent)
    if tls["libraries"]:
        click.echo(f"\n  TLS libraries {'with probes' if running else 'that would get probes'}")
    for one in tls["libraries"]:
        click.echo(f"    {_processes(one['processes']):>14}  {one['library']:<8} {_plain(one['path'])}")
    if tls["unread"]:
        of = "processes that made handshakes" if running else "processes, if they use it"
        click.echo(f"\n  TLS that is not read, of {of}")
    by_obstacle: dict[tuple[str, str], list[str]] = {}
    for one in tls["unread"]:
        by_obstacle.setdefault((one["text"], one["advice"]), []).append(f"{one['command']} ({one['pid']})")
    for (text, advice), processes in by_obstacle.items():
        more = len(processes) - _SHOWN
        click.echo(f"    {_plain(text)}")
        click.echo(
            f"         {_plain(', '.join(processes[:_SHOWN]))}{f' and {more} more' if more > 0 else ''}"
        )
        click.echo(f"         -> {advice}")
    if tls["left_out"]:
        why = "no room to tell of" if running else "no time to look at"
        click.echo(f"\n  TLS: {why} {_processes(tls['left_out'])} more")


def _show_resolvers(report: Report) -> None:
    libraries = report.dns.get("libraries", ())
    if libraries:
        click.echo("\n  Libraries with probes for lookups of names")
    for one in libraries:
        click.echo(f"    {_processes(one['processes']):>14}  {one['library']:<8} {_plain(one['path'])}")


def _show_runtimes(report: Report) -> None:
    followed = report.runtimes.get("followed", ())
    if followed:
        click.echo("\n  Runtimes in which requests are followed")
    for one in followed:
        cost = f", {one['hits']} hits a second, {one['percent']} % of a processor" if one["hits"] else ""
        click.echo(f"    {_processes(one['processes']):>14}  {one['runtime']:<8} {_plain(one['path'])}{cost}")
    given_up = report.runtimes.get("given_up", ())
    if given_up:
        click.echo("\n  Programs in which they are not, though they have a runtime")
    for one in given_up[:_SHOWN]:
        click.echo(f"    {_plain(one['path'])}: {_plain(one['reason'])}")


def _show_injected(report: Report) -> None:
    counted = {outcome: number for outcome, number in report.injected.items() if number}
    if counted:
        click.echo("\n  Requests that traceparent was to be written into")
    for outcome, number in counted.items():
        click.echo(f"    {number:>12}  {outcome}")


def _processes(number: int) -> str:
    return f"{number} process{'' if number == 1 else 'es'}"


def _plain(text: str) -> str:
    """Take from names, which are anybody's, what a terminal would obey."""
    return "".join(one if one.isprintable() else "?" for one in text)


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
