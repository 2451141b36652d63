"""Commands of the `otel-ebpf` program, one file each: a module here has its command as `command`.

A command's module is imported when that command is called, so that `--help` and `config check` do
not pay for gRPC and libbpf; the lines of the overview stand in `COMMANDS` for the same reason.
"""

from __future__ import annotations

from importlib import import_module

import click

from otel_ebpf import __version__

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "run": "Observe this host and export what is seen.",
    "doctor": "Say what this kernel offers, what is used of it, and what is missing.",
    "health": "Say whether the running agent is alive, or with --ready, whether it observes requests.",
    "config": "Check a configuration file, or describe what may stand in one.",
}
"""Each command's name, which is its module's, and its line in the overview."""


class _LazyGroup(click.Group):
    """Imports the module of a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"{__name__}.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="otel-ebpf")
def main() -> None:
    """OpenTelemetry auto-instrumentation for Linux, by eBPF: nothing in the applications is changed."""
