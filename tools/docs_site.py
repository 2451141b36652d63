"""What mkdocs.yml cannot say: the decisions in the navigation, and links to files outside of docs/.

A page may link to any file of the repository by its relative path. Such a file becomes part of the site, in
`files/`; one that is not there is left to mkdocs, which takes it for an error.
"""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import join, normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
LINK = re.compile(r"(?<=\]\()[^)#:\s]+")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put every page of docs/adr/ into the navigation, in their order."""
    decisions = sorted(str(page.relative_to(DOCS)) for page in DOCS.glob("adr/*.md"))
    assert config.nav is not None
    config.nav.append({"Decisions": decisions})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what pages link to outside of docs/."""
    for page in list(files.documentation_pages()):
        for path in sorted(set(map(_outside, *_links(page.content_string, page.src_uri)))):
            if path and (ROOT / path).is_file() and files.get_file_from_path(f"files/{path}") is None:
                files.append(File.generated(config, f"files/{path}", abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead such links to where the files are."""
    here = page.file.src_uri

    def led(match: re.Match[str]) -> str:
        path = _outside(match[0], here)
        inside = path and files.get_file_from_path(f"files/{path}")
        return relpath(f"files/{path}", join("/", here, "..")[1:] or ".") if inside else match[0]

    return LINK.sub(led, markdown)


def _links(markdown: str, page: str) -> tuple[list[str], list[str]]:
    found = LINK.findall(markdown)
    return found, [page] * len(found)


def _outside(link: str, page: str) -> str:
    """Return the file's path in the repository, "" for one below docs/."""
    path = normpath(join("docs", page, "..", link))
    return "" if path.startswith(("docs/", "../")) else path
