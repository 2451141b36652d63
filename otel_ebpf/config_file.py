"""Reads a configuration file, and says exactly what is wrong with one that cannot be used.

YAML is composed to nodes first, which know their lines and show keys that stand twice (a plain
load keeps the last and says nothing); the values are then checked by msgspec against `config.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import msgspec
import yaml
from msgspec import inspect

from otel_ebpf import config_types
from otel_ebpf.config import Config, ConfigError, InjectRule, Match
from otel_ebpf.config_overrides import Override
from otel_ebpf.config_rules import ProcessRule, RouteRule
from otel_ebpf.config_telemetry import listen_address
from otel_ebpf.environment import RATIO_SAMPLERS
from otel_ebpf.route_patterns import compile_pattern

__all__ = ["load_file", "parse"]

SIZE_MAX = 1 << 20
VALUE_SHOWN = 60
PORTS_MAX = 4096  # entries of the kernel's map `ports` (bpf/core/process.h)

Step = str | int
Steps = tuple[Step, ...]

_PATH = re.compile(r"at `\$([^`]*)`$")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")


class Problem(NamedTuple):
    """One thing that is wrong: where in the document, and in words."""

    steps: Steps
    words: str


def load_file(path: Path) -> Config:
    """Read `path`. Raises ConfigError and nothing else."""
    try:
        with path.open("rb") as file:
            raw = file.read(SIZE_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # a NUL in the path
        raise ConfigError(f"{path!s}: cannot be read: {error}") from None
    if len(raw) > SIZE_MAX:
        raise ConfigError(f"{path}: larger than {SIZE_MAX} bytes, which no configuration is")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: not UTF-8 (byte {raw[error.start]:#04x})") from None
    return parse(text, str(path))


def parse(text: str, source: str = "configuration") -> Config:
    """Read a configuration from YAML text; `source` names it in errors. Raises only ConfigError."""
    try:
        return _parse(text, source)
    except RecursionError:
        raise ConfigError(f"{source}: nested too deeply; nothing here is deeper than 4 levels") from None


def _parse(text: str, source: str) -> Config:
    root, values = _read_yaml(text, source)
    if root is None or values is None:
        return Config()
    problem = _key_problem(root)
    config = None
    if problem is None:
        try:
            config = msgspec.convert(_without_nulls(values), Config)
        except msgspec.ValidationError as error:
            problem = _explain(str(error), _without_nulls(values))
    if config is not None:
        problem = next(_rule_problems(config), None)
    if config is None or problem is not None:
        assert problem is not None
        raise ConfigError(f"{source}:{_line(root, problem.steps)}: {_dotted(problem.steps)}: {problem.words}")
    return config


def _read_yaml(text: str, source: str) -> tuple[yaml.Node | None, object]:
    """Return the document's node tree and its values."""
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        return root, loader.construct_document(root) if root is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        words = ", ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError(f"{source}{place}: not YAML: {words}") from None
    except yaml.reader.ReaderError as error:
        raise ConfigError(f"{source}: not YAML: {error.reason} at character {error.position}") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # ValueError: such as the timestamp 2024-13-45, which the loader passes to datetime
        raise ConfigError(f"{source}: not YAML: {error}") from None


def _key_problem(root: yaml.Node) -> Problem | None:
    """Find a key that stands twice in its mapping, or that is not text."""
    seen: set[int] = set()  # an alias leads to a node again, and can lead to itself
    waiting: list[tuple[Steps, yaml.Node]] = [((), root)]
    while waiting:
        steps, node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += [((*steps, number), item) for number, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode) or not key.tag.endswith((":str", ":merge")):
                    shown = _shown(getattr(key, "value", ""))
                    return Problem(steps, f"{shown} is not allowed as a key; keys are text")
                if key.value in lines:
                    first = lines[key.value]
                    return Problem((*steps, key.value), f"stands twice, first in line {first}; keep one")
                lines[key.value] = key.start_mark.line + 1
                waiting.append(((*steps, key.value), value))
    return None


def _without_nulls(value: object, depth: int = 0) -> object:
    """Drop keys that have no value: a section whose lines are all commented out is not given."""
    if depth > 8:  # deeper than any type here; also ends a document that contains itself
        return value
    if isinstance(value, dict):
        return {key: _without_nulls(item, depth + 1) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item, depth + 1) for item in value]
    return value


def _explain(message: str, values: object) -> Problem:
    """Turn msgspec's error into a path, what was wrong there and what is allowed there."""
    found = _PATH.search(message)
    steps: Steps = tuple(
        name or int(number) for name, number in _STEP.findall(found.group(1) if found else "")
    )
    kind, value = _resolve(steps, values)
    if isinstance(kind, inspect.StructType) and isinstance(value, dict):
        known = config_types.fields(kind)
        unknown = [key for key in value if key not in known]
        if unknown:
            words = _unknown_key(str(unknown[0]), list(known))
            if kind.cls is ProcessRule and unknown[0] == "ports":
                words = f"settings are those of a process, whichever its connections are: {words}"
            return Problem((*steps, str(unknown[0])), words)
        missing = [name for name, field in known.items() if field.required and name not in value]
        if missing:
            allowed = config_types.allowed(known[missing[0]].type)
            return Problem(steps, f"the key {missing[0]} is missing; it is {allowed}")
    words = f"{_shown(value)} is not allowed; allowed is {config_types.allowed(kind)}"
    if isinstance(kind, inspect.StrType) and isinstance(value, bool | int | float):
        words += " (put it in quotes)"
    if isinstance(kind, inspect.IntType) and isinstance(value, str) and value.isdecimal():
        words += " (without quotes)"
    return Problem(steps, words)


def _resolve(steps: Steps, value: object) -> tuple[inspect.Type, object]:
    """Follow a path through the types and the values."""
    kind: inspect.Type = config_types.struct_of(Config)
    for step in steps:
        if isinstance(kind, inspect.StructType) and isinstance(step, str) and isinstance(value, dict):
            kind, value = config_types.bare(config_types.fields(kind)[step].type), value[step]
        elif isinstance(kind, inspect.VarTupleType) and isinstance(step, int) and isinstance(value, list):
            kind, value = config_types.bare(kind.item_type), value[step]
    return kind, value


def _unknown_key(key: str, known: list[str]) -> str:
    near = get_close_matches(key[:100], known, n=1) or [name for name in known if name.startswith(key)]
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"there is no such key{hint} (keys here: {', '.join(known)})"


def _rule_problems(config: Config) -> Iterator[Problem]:
    """Check what types cannot say."""
    ring = config.capture.ring_bytes
    if ring & (ring - 1):
        below = 1 << (ring.bit_length() - 1)
        words = f"{ring} is not a power of two; the nearest are {below} and {below * 2}"
        yield Problem(("capture", "ring_bytes"), words)
    if listen := config.telemetry.health.listen:
        try:
            listen_address(listen)
        except ValueError as error:
            yield Problem(("telemetry", "health", "listen"), f"{_shown(listen)} is {error}")
    discovery = config.discovery
    ports = {port for rule in (*discovery.include, *discovery.exclude) for port in rule.ports}
    if len(ports) > PORTS_MAX:
        yield Problem(("discovery",), f"the rules name {len(ports)} ports; at most {PORTS_MAX} are allowed")
    if len({port for rule in config.traces.inject for port in rule.ports}) > PORTS_MAX:
        yield Problem(("traces", "inject"), f"the rules name more than {PORTS_MAX} ports")
    yield from _route_problems(("routes", "rules"), config.routes.rules)
    for number, override in enumerate(config.overrides):
        yield from _override_problems(("overrides", number), override)
    rules: list[tuple[Steps, ProcessRule | Match | InjectRule]] = []
    for name, listed in (("include", discovery.include), ("exclude", discovery.exclude)):
        rules += [(("discovery", name, number), rule) for number, rule in enumerate(listed)]
    rules += [(("traces", "inject", number), rule) for number, rule in enumerate(config.traces.inject)]
    rules += [(("services", number, "match"), rule.match) for number, rule in enumerate(config.services)]
    rules += [(("overrides", number, "match"), one.match) for number, one in enumerate(config.overrides)]
    for steps, rule in rules:
        if rule == type(rule)():
            keys = ", ".join(config_types.fields(config_types.struct_of(type(rule))))
            yield Problem(steps, f"the rule is empty and would match everything; give at least one of {keys}")


def _override_problems(steps: Steps, override: Override) -> Iterator[Problem]:
    if override == Override(match=override.match):
        known = "traces, metrics, tls, sampler, routes"
        yield Problem(steps, f"the entry gives no setting; give at least one of {known}")
    ratio = override.sampler_arg
    if ratio is not None and override.sampler not in RATIO_SAMPLERS:
        words = f"goes with a sampler of this entry that is one of {', '.join(RATIO_SAMPLERS)}"
        yield Problem((*steps, "sampler_arg"), words)
    if ratio is not None and ratio != ratio:  # noqa: PLR0124  nan, which is neither below nor above anything
        yield Problem((*steps, "sampler_arg"), "nan is not allowed; allowed is a number from 0 to 1")
    yield from _route_problems((*steps, "routes"), override.routes or ())


def _route_problems(steps: Steps, rules: Sequence[RouteRule]) -> Iterator[Problem]:
    for number, rule in enumerate(rules):
        for place, pattern in enumerate(rule.patterns):
            try:
                compile_pattern(pattern)
            except ValueError as error:
                yield Problem((*steps, number, "patterns", place), str(error))


def _line(root: yaml.Node, steps: Steps) -> int:
    """Return the line of the last step of a path that the document has."""
    line, node = root.start_mark.line, root
    for step in steps:
        if isinstance(node, yaml.MappingNode):
            # the last of equal keys: it is the second of two that is wrong
            entry = next(((k, v) for k, v in reversed(node.value) if k.value == step), None)
            if entry is None:
                break
            line, node = entry[0].start_mark.line, entry[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line
    return int(line) + 1


def _dotted(steps: Steps) -> str:
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return _printable(text) or "the document"


def _shown(value: object) -> str:
    """Return a value as a user would write it, bounded."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else f"a list of {len(value)} items"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and value.bit_length() > 256:
        return "that number"  # str() refuses integers of thousands of digits
    return _printable(repr(value[:VALUE_SHOWN]) if isinstance(value, str) else str(value))


def _printable(text: str) -> str:
    text = "".join(character if character.isprintable() else "?" for character in text[: VALUE_SHOWN + 1])
    return text if len(text) <= VALUE_SHOWN else text[:VALUE_SHOWN] + "..."
