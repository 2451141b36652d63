"""The configuration: what is accepted, and what an error says."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from otel_ebpf.config import Config, ConfigError, load
from otel_ebpf.config_file import PORTS_MAX, SIZE_MAX, parse
from otel_ebpf.environment import SAMPLERS


def error_of(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, "f.yaml")
    return str(caught.value)


def test_nothing_given_is_the_default() -> None:
    assert load(None) == parse("") == parse("# only a comment\n") == Config()
    assert parse("discovery:\n  # include:\ncapture:\n") == Config()


def test_every_kind_of_value_is_read() -> None:
    config = parse("""
discovery:
  include:
    - {executable: "/usr/*/nginx", ports: [80, 443]}
    - {pids: [7]}
  exclude: [{command_line: "*secret*"}]
services: [{match: {executable: java}, name: shop, namespace: sales}]
capture: {rung: kprobe, request_bytes: 64, ring_bytes: 4096}
routes: {rules: [{patterns: ["/users/{id}"]}], learn: false, limit: 1}
traces: {enabled: false, max_age_seconds: 5}
redaction: {query: drop, query_keys: [session]}
telemetry: {status_socket: "", metrics: false}
""")
    first, second = config.discovery.include
    assert (first.executable, first.ports, first.pids) == ("/usr/*/nginx", (80, 443), ())
    assert second.pids == (7,)
    assert config.discovery.exclude[0].command_line == "*secret*"
    assert (config.services[0].name, config.services[0].namespace) == ("shop", "sales")
    assert (config.capture.rung, config.capture.request_bytes) == ("kprobe", 64)
    assert config.capture.response_bytes == 256
    assert config.routes.rules[0].service is None
    assert config.telemetry.status_socket == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("capture:\n  rung: foo\n", ["f.yaml:2: capture.rung: 'foo'", "one of auto, kprobe,"]),
        ("capture:\n  request_bytes: 63", ["f.yaml:2: capture.request_bytes: 63", "from 64 to 8192"]),
        ("capture: {request_bytes: 8193}", ["8193 is not allowed"]),
        ("capture: {request_bytes: '99'}", ["capture.request_bytes: '99'", "(without quotes)"]),
        ("traces: {max_age_seconds: 1.5}", ["1.5 is not allowed", "a whole number from 1 to 86400"]),
        ("traces: {enabled: 1}", ["traces.enabled: 1 is not allowed; allowed is true or false"]),
        (
            "capture: 3",
            ["f.yaml:1: capture: 3 is not allowed", "a mapping with the keys rung, request_bytes"],
        ),
        ("- 1", ["f.yaml:1: the document: a list of 1 items"]),
        ("\ncaptures: {}", ["f.yaml:2: captures: there is no such key; did you mean capture?"]),
        ("capture:\n  conn: 1", ["f.yaml:2: capture.conn:", "did you mean connections?"]),
        ("a: &a [*a]", ["f.yaml:1: a: there is no such key"]),
        ("capture:\n  rung: auto\n  rung: auto\n", ["f.yaml:3: capture.rung: stands twice, first in line 2"]),
        ("on: 1", ["'on' is not allowed as a key"]),
        (
            "discovery: {include: [{}]}",
            ["discovery.include[0]: the rule is empty", "executable, command_line"],
        ),
        ("discovery: {exclude: [{pids: [1]}, {executable: }]}", ["discovery.exclude[1]: the rule is empty"]),
        ("services: [{name: a}]", ["services[0]: the key match is missing"]),
        ("services: [{match: {}, name: a}]", ["services[0].match: the rule is empty"]),
        ("services: [{match: {executable: x}, name: yes}]", ["services[0].name: true", "put it in quotes"]),
        ("discovery: {include: [{pids: []}]}", ["discovery.include[0].pids: a list of 0 items"]),
        ("discovery: {include: [{ports: [80, 0]}]}", ["discovery.include[0].ports[1]: 0 is not allowed"]),
        ("discovery: {include: [{executable: ''}]}", ["include[0].executable: ''", "1 to 1024 characters"]),
        ("capture: {ring_bytes: 8388607}", ["capture.ring_bytes: 8388607", "4194304 and 8388608"]),
        (
            "routes:\n  rules:\n  - patterns: [/a, users]",
            ["f.yaml:3: routes.rules[0].patterns[1]:", "'users' must start with '/'"],
        ),
        (
            "overrides:\n- match: {service: a, ports: [80]}\n  traces: false",
            [
                "f.yaml:2: overrides[0].match.ports: settings are those of a process",
                "(keys here: executable,",
            ],
        ),
        (
            "overrides: [{match: {service: a}}]",
            ["overrides[0]: the entry gives no setting; give at least one"],
        ),
        ("overrides: [{match: {}, tls: false}]", ["overrides[0].match: the rule is empty"]),
        ("overrides: [{tls: false}]", ["overrides[0]: the key match is missing; it is a mapping"]),
        (
            "overrides: [{match: {service: a}, sampler: none}]",
            ["overrides[0].sampler: 'none'", "allowed is one of always_off, always_on,"],
        ),
        (
            "overrides: [{match: {service: a}, sampler: traceidratio, sampler_arg: 1.5}]",
            ["overrides[0].sampler_arg: 1.5 is not allowed; allowed is a number from 0 to 1"],
        ),
        (
            "overrides: [{match: {service: a}, sampler: traceidratio, sampler_arg: .nan}]",
            ["overrides[0].sampler_arg: nan is not allowed; allowed is a number from 0 to 1"],
        ),
        (
            "overrides: [{match: {service: a}, sampler: always_on, sampler_arg: 0.5}]",
            ["overrides[0].sampler_arg: goes with a sampler", "traceidratio, parentbased_traceidratio"],
        ),
        (
            "overrides: [{match: {service: a}, routes: [{patterns: ['/{a']}]}]",
            ["overrides[0].routes[0].patterns[0]: route pattern '/{a'", "'{a' is not understood"],
        ),
        ("a: [", ["f.yaml:1:5: not YAML"]),
        ("capture:\n  rung: auto\n bad", ["f.yaml:3:2: not YAML"]),
        ("a: 2024-13-45", ["f.yaml: not YAML: month must be in 1..12"]),
        ("\x00", ["f.yaml: not YAML: special characters"]),
        ("a: !!python/object:os.system x", ["f.yaml:1:4: not YAML", "could not determine a constructor"]),
        ("---\na: 1\n---\nb: 2", ["f.yaml:3:1: not YAML", "another document"]),
        ("[" * 5000, ["nested too deeply"]),
        (
            "metrics: {series_limit: 0x" + "f" * 5000 + "}",
            ["metrics.series_limit: that number is not allowed"],
        ),
        ("metrics: {series_limit: .nan}", ["nan is not allowed"]),
    ],
)
def test_an_error_says_where_what_and_what_is_allowed(text: str, expected: list[str]) -> None:
    message = error_of(text)
    for part in expected:
        assert part in message


def test_overrides_are_read() -> None:
    first, second = parse("""
overrides:
  - {match: {namespace: sales, pod_labels: ["app=till*"]}, traces: false, metrics: true, tls: false}
  - {match: {owner: shop}, sampler: parentbased_traceidratio, sampler_arg: 1, routes: [{patterns: [/a]}]}
""").overrides
    assert (first.match.namespace, first.match.pod_labels) == ("sales", ("app=till*",))
    assert (first.traces, first.metrics, first.tls) == (False, True, False)
    assert (first.sampler, first.sampler_arg, first.routes) == (None, None, None)
    assert (second.traces, second.sampler, second.sampler_arg) == (None, "parentbased_traceidratio", 1.0)
    assert second.routes is not None
    assert second.routes[0].patterns == ("/a",)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_overrides_know_every_sampler(sampler: str) -> None:
    (entry,) = parse(f"overrides: [{{match: {{service: a}}, sampler: {sampler}}}]").overrides
    assert entry.sampler == sampler


def test_the_kernels_bit_sets_bound_the_rules() -> None:
    rules = "{executable: a}," * 64
    assert len(parse(f"discovery: {{include: [{rules}]}}").discovery.include) == 64
    assert "at most 64 items" in error_of(f"discovery: {{include: [{rules} {{pids: [1]}}]}}")


def test_the_kernels_map_bounds_the_ports() -> None:
    ports = [str(list(range(first, first + 1024))) for first in range(1, PORTS_MAX + 1, 1024)]
    rules = ",".join(f"{{ports: {listed}}}" for listed in ports)
    assert len(parse(f"discovery: {{include: [{rules}]}}").discovery.include) == PORTS_MAX // 1024
    assert f"at most {PORTS_MAX} are allowed" in error_of(
        f"discovery: {{include: [{rules}], exclude: [{{ports: [60000]}}]}}"
    )


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    missing = tmp_path / "none.yaml"
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        load(missing)
    with pytest.raises(ConfigError, match="Is a directory"):
        load(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load("a\0b")
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"traces:\n  # caf\xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.yaml:2: not UTF-8 \(byte 0xe9\)"):
        load(latin)
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (SIZE_MAX + 1))
    with pytest.raises(ConfigError, match="larger than"):
        load(large)


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_KEYS = st.sampled_from(["discovery", "include", "capture", "rung", "services", "match", "name", "pids"])
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=8,
)


def message_of(text: str) -> str:
    try:
        parse(text)
    except ConfigError as error:
        return str(error)
    return ""


@given(st.dictionaries(_KEYS, _VALUES, max_size=3))
def test_no_document_raises_anything_else(document: dict[str, object]) -> None:
    assert len(message_of(yaml.safe_dump(document))) < 1000


@given(st.text(max_size=60))
def test_no_text_raises_anything_else(text: str) -> None:
    message = message_of(text)
    assert not message or message.startswith("configuration")
