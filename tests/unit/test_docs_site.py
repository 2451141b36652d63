"""The documentation is a whole site: no link or anchor leads nowhere, and nothing comes from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOADED = re.compile(
    r'<(?:script|img|iframe|source)[^>]*\ssrc="(?:https?:)?//|<link[^>]*href="https?://[^"]*\.(?:css|js)'
)


def build(site: Path, *options: str, config: Path = ROOT / "mkdocs.yml") -> subprocess.CompletedProcess[str]:
    """mkdocs, in strict mode by its configuration: it ends with an error for a link that leads nowhere."""
    command = [sys.executable, "-m", "mkdocs", "build", "--config-file", config, "--site-dir", site, *options]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_there(site: Path) -> None:
    for page in (ROOT / "docs").glob("**/*.md"):
        built = page.relative_to(ROOT / "docs").with_suffix(".html")
        assert (site / built).is_file(), built


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for page in site.glob("**/*.html"):
        assert not LOADED.search(page.read_text()), page.relative_to(site)


def test_what_stands_outside_of_docs_is_in_it(site: Path) -> None:
    assert (site / "files/configs/otel-ebpf.yaml").read_text() == (
        ROOT / "configs/otel-ebpf.yaml"
    ).read_text()


MISTAKES = (
    "[a page](none.md)",
    "[an anchor](tls.md#none)",
    "[a file](../configs/none.yaml)",
    "![a picture](none.svg)",
)


def test_links_that_lead_nowhere_and_pages_that_are_not_listed_are_errors(tmp_path: Path) -> None:
    """In a site of two pages, by the same configuration."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text(f"# One\n\n[right](tls.md#two)\n\n{' '.join(MISTAKES)}\n")
    (docs / "tls.md").write_text("# Two\n")
    (docs / "forgotten.md").write_text("# Three\n")
    config = tmp_path / "mkdocs.yml"
    config.write_text(
        f"INHERIT: {ROOT / 'mkdocs.yml'}\ndocs_dir: {docs}\nhooks: []\nnav: [index.md, tls.md]\n"
    )
    done = build(tmp_path / "site", config=config)
    assert done.returncode != 0, done.stderr
    assert done.stderr.count("WARNING") == len(MISTAKES) + 1, done.stderr
    (docs / "forgotten.md").unlink()
    (docs / "index.md").write_text("# One\n\n[right](tls.md#two)\n")
    assert build(tmp_path / "site", config=config).returncode == 0
