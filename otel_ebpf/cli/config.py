"""`otel-ebpf config`: check a configuration file, print the schema."""

from __future__ import annotations

import json
import sys

import click

from otel_ebpf.config import Config, ConfigError, load

__all__ = ["command"]

INVALID = 2


@click.group()
def command() -> None:
    """Check a configuration file, or describe what may stand in one."""


@command.command()
@click.argument("file", type=click.Path())
def check(file: str) -> None:
    """Check FILE: exit status 0 if it can be used, 2 with the error on standard error if not."""
    try:
        load(file)
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(INVALID)
    click.echo(f"{file}: valid")


@command.command()
def schema() -> None:
    """Print the JSON Schema of the configuration (for editors: yaml-language-server and others)."""
    from msgspec.json import schema as describe  # noqa: PLC0415  only this command pays for it

    described = {"$schema": "https://json-schema.org/draft/2020-12/schema", **describe(Config)}
    click.echo(json.dumps(described, indent=2))
