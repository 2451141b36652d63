"""The command line."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import click
import pytest
from click.testing import CliRunner

import otel_ebpf.cli
from otel_ebpf import __version__
from otel_ebpf.cli import COMMANDS, main

MODULES = [module.name for module in iter_modules(otel_ebpf.cli.__path__) if not module.name.startswith("_")]


@pytest.mark.parametrize("name", sorted(set(MODULES) & set(COMMANDS)))
def test_the_overview_says_of_a_command_what_it_says_of_itself(name: str) -> None:
    command = import_module(f"otel_ebpf.cli.{name}").command
    assert isinstance(command, click.Command)
    assert command.get_short_help_str(200).rstrip(".") == COMMANDS[name].rstrip(".")


def test_help_lists_every_command_and_imports_none() -> None:
    code = (
        "import sys; from otel_ebpf.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as done: assert not done.code\n"
        "heavy = {'grpc', 'yaml', 'msgspec', 'opentelemetry', 'psutil', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in COMMANDS:
        assert f"\n  {name} " in done.stdout


def test_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"otel-ebpf, version {__version__}\n"


def test_an_unknown_command_is_a_usage_error() -> None:
    result = CliRunner().invoke(main, ["destroy"])
    assert result.exit_code == 2
    assert "No such command 'destroy'" in result.output


def test_config_check(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("capture: {rung: kprobe}\n")
    result = CliRunner().invoke(main, ["config", "check", str(file)])
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{file}: valid\n", "")
    file.write_text("capture: {rung: best}\n")
    result = CliRunner().invoke(main, ["config", "check", str(file)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"{file}:1: capture.rung: 'best' is not allowed")
    assert CliRunner().invoke(main, ["config", "check", str(tmp_path / "none")]).exit_code == 2


def test_config_schema() -> None:
    schema = json.loads(CliRunner().invoke(main, ["config", "schema"]).stdout)
    assert schema["$schema"].endswith("2020-12/schema")
    assert "discovery" in schema["$defs"]["Config"]["properties"]
