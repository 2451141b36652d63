"""What pages for users name is there: keys of the configuration, entries of the ledger, variables, files."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest

from otel_ebpf.config import load
from otel_ebpf.environment import VARIABLES
from otel_ebpf.kernel.ledger import Entry
from otel_ebpf.signals import names

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
SITE = ("index", "quick-start", "concepts", "troubleshooting", "security", "performance")
PAGES = [*(DOCS / f"{name}.md" for name in SITE), ROOT / "README.md"]
CONFIGURATION = (DOCS / "configuration.md").read_text()
SECTION = re.compile(r"^### `([\w.\[\]]+)`\n(.*?)(?=^##)", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)

KEYS = {f"{path}.{key}" for path, text in SECTION.findall(CONFIGURATION) for key in ROW.findall(text)}
SECTIONS = {path for path, _ in SECTION.findall(CONFIGURATION)}
NAMES = names.ATTRIBUTES | names.METRICS
ENTRIES = {one.name.lower() for one in Entry}
FIRST_WORDS = sorted({one.split("_")[0] for one in ENTRIES}), sorted({one.split(".")[0] for one in KEYS})
ENTRY_LIKE, KEY_LIKE = (
    re.compile(rf"(?:{'|'.join(map(re.escape, words))}){mark}[a-z_.]*[a-z]")
    for words, mark in zip(FIRST_WORDS, ("_", r"\."), strict=True)
)
VARIABLE = re.compile(r"OTEL_[A-Z_]+[A-Z]")
SIGNAL = re.compile(r"OTEL_EXPORTER_OTLP_(?:TRACES|METRICS)_")
FILE = re.compile(r"(?<![\w/-])(?:otel_ebpf|bpf|tests|integration|benchmarks|tools|configs)/[\w./-]+\.\w+")
LINK = re.compile(r"\]\(([^)#:\s]+)[)#]")
CODE = re.compile(r"`([^`\n]+)`")
BLOCK = re.compile(r"(?:^    .*\n)+", re.MULTILINE)


def code(page: Path) -> set[str]:
    return set(CODE.findall(page.read_text()))


@pytest.fixture(params=PAGES, ids=lambda page: page.name)
def page(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_keys_of_the_configuration(page: Path) -> None:
    named = {word for word in code(page) if KEY_LIKE.fullmatch(word)}
    assert not named - KEYS - SECTIONS - NAMES


def test_entries_of_the_ledger(page: Path) -> None:
    assert not {word for word in code(page) if ENTRY_LIKE.fullmatch(word)} - ENTRIES


def test_variables(page: Path) -> None:
    known = {variable.name for variable in VARIABLES} | {"OTEL_SERVICE_NAME"}  # the observed process's
    named = {SIGNAL.sub("OTEL_EXPORTER_OTLP_", one) for one in VARIABLE.findall(page.read_text())}
    assert not {one for one in named if not any(name.startswith(one) for name in known)}


def test_examples_of_the_configuration(page: Path, tmp_path: Path) -> None:
    sections = tuple(f"{one}:" for one in SECTIONS)
    for block in BLOCK.findall(page.read_text()):
        text = dedent(block)
        if text.startswith(sections):
            (tmp_path / "config.yaml").write_text(text)
            load(tmp_path / "config.yaml")  # raises for a key that there is not


def test_files(page: Path) -> None:
    assert not {path for path in FILE.findall(page.read_text()) if not (ROOT / path).is_file()}


def test_links_of_pages_that_are_not_in_the_site() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"):
        relative = {path for path in LINK.findall(page.read_text()) if not path.startswith("http")}
        assert not {path for path in relative if not (ROOT / path).exists()}, page.name
