"""The documented configuration is the one that the types declare."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import yaml

from otel_ebpf.config import Config, InjectRule, Match, NamingRule
from otel_ebpf.config_file import parse
from otel_ebpf.config_overrides import Override
from otel_ebpf.config_rules import RouteRule, Rule

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTED = ROOT / "configs" / "otel-ebpf.yaml"


def uncommented() -> str:
    """Return the documented file with its examples in place of the empty lists above them."""
    lines = DOCUMENTED.read_text().splitlines()
    kept: list[str] = []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line.endswith(": []") and re.match(r"\s*#[^#]", following):
            continue
        kept.append(re.sub(r"^(\s*)#(?!#)", r"\1", line))
    return "\n".join(kept)


def test_the_documented_file_has_every_key_with_its_default() -> None:
    written = yaml.safe_load(DOCUMENTED.read_text())
    assert written == json.loads(msgspec.json.encode(Config()))
    assert parse(DOCUMENTED.read_text()) == Config()


def test_the_examples_are_valid_and_show_every_key_of_their_items() -> None:
    config = parse(uncommented())
    assert len(config.discovery.include) == 5
    assert len(config.discovery.exclude) == 4
    assert config.redaction.query_keys
    raw = yaml.safe_load(uncommented())
    shown = {
        Rule: set().union(*raw["discovery"]["include"]),
        NamingRule: set().union(*raw["services"]),
        Match: set(raw["services"][0]["match"]),
        Override: set().union(*raw["overrides"]),
        RouteRule: set().union(*raw["routes"]["rules"]),
        InjectRule: set().union(*raw["traces"]["inject"]),
    }
    for kind, keys in shown.items():
        assert keys == set(kind.__struct_fields__)


def test_the_page_is_up_to_date() -> None:
    tool = [sys.executable, "tools/generate_configuration_docs.py", "--check"]
    done = subprocess.run(tool, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_schema_refuses_what_the_loader_refuses() -> None:
    schema = msgspec.json.schema(Config)
    capture = schema["$defs"]["Capture"]
    assert capture["additionalProperties"] is False
    assert capture["properties"]["request_bytes"]["maximum"] == 8192
    assert schema["$defs"]["Discovery"]["properties"]["include"]["maxItems"] == 64
