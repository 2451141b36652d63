"""A command as the functions that name programs see it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["INTERPRETERS", "Command", "interpreter_of", "positional"]

_VERSION = re.compile(r"[-.]?\d[\d.]*[a-z]?$")

INTERPRETERS = {
    "python": "python",
    "pypy": "python",
    "node": "nodejs",
    "nodejs": "nodejs",
    "bun": "nodejs",
    "deno": "nodejs",
    "java": "java",
    "ruby": "ruby",
    "jruby": "ruby",
    "php": "php",
    "php-fpm": "php",
    "php-cgi": "php",
    "frankenphp": "php",
    "perl": "perl",
    "dotnet": "dotnet",
    "mono": "dotnet",
    "beam.smp": "erlang",
    "uwsgi": "python",
    "bash": "shell",
    "dash": "shell",
    "sh": "shell",
    "zsh": "shell",
    "lua": "lua",
    "luajit": "lua",
    "Rscript": "r",
    "R": "r",
    "julia": "julia",
}
"""Executables that run somebody else's program, without versions, and the language that they run."""


class Command(NamedTuple):
    """What a process was started with. `read` returns a file as the process sees it, b"" for none."""

    interpreter: str  # a key of INTERPRETERS
    arguments: tuple[str, ...]  # without argv[0]
    directory: str  # working directory, "" where unknown
    read: Callable[[str], bytes]


def interpreter_of(executable: str) -> str:
    """Return the interpreter that an executable's path is ("python" for python3.11), "" for none."""
    name = executable.rstrip("/").rpartition("/")[2]
    if name in INTERPRETERS:
        return name
    name = _VERSION.sub("", name)
    return name if name in INTERPRETERS else ""


def positional(arguments: tuple[str, ...], with_value: frozenset[str]) -> tuple[int, str]:
    """Return the first argument that is no option, with its place; (-1, "") for none.

    `with_value` are the options that take the argument after them.
    """
    skip = False
    for place, argument in enumerate(arguments):
        if skip:
            skip = False
        elif argument == "--":
            rest = arguments[place + 1 : place + 2]
            return (place + 1, rest[0]) if rest else (-1, "")
        elif argument.startswith("-") and len(argument) > 1:
            skip = argument in with_value
        else:
            return place, argument
    return -1, ""
