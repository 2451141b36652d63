"""What makes a good name: cleaning, and telling names that say something from those that do not."""

from __future__ import annotations

import os
import re

__all__ = ["GENERIC", "clean_name", "directory_name", "module_name", "script_name", "stem", "words"]

NAME_CHARACTERS = 255


def words(text: str) -> frozenset[str]:
    """Return the words of a text as a set: long sets of names stay readable so."""
    return frozenset(text.split())


GENERIC = words(
    "__init__ __main__ api app application asgi bootstrap cli index launcher main manage run server start "
    "starter wsgi"
)
"""What programs are called that are called by their role; compared in lower case."""

_LAYOUT = words(
    "app apps application backend bin build cmd code current deploy dist dist-packages html htdocs lib lib64 "
    "libexec main node_modules out project public release releases repo script scripts server service "
    "services shared site site-packages sites source src target test tests venv web webapp webapps work "
    "workdir workspace www"
)
_SYSTEM = words("boot data dev etc home local media mnt opt proc root run sbin share srv sys tmp usr var")
_NUMBER_OR_HASH = re.compile(r"v?[\d._-]+|[0-9a-f]{7,}")


def clean_name(name: str) -> str:
    """Return `name` fit to leave the process: printable, single spaces, at most 255 characters."""
    printable = "".join(c if c.isprintable() else " " for c in name[: NAME_CHARACTERS * 4])
    return " ".join(printable.split())[:NAME_CHARACTERS].strip()


def directory_name(path: str) -> str:
    """Return the last component of a directory that names an application, "" for none.

    `/srv/shop/current/src` is `shop`. A user's home, and what lies under /tmp, name nothing.
    """
    parts = [part for part in path.split("/") if part]
    if not path.startswith("/") or parts[:1] == ["tmp"] or parts[:2] == ["var", "tmp"]:
        return ""
    while parts:
        name = parts.pop()
        if name.startswith(".") or parts[-1:] == ["home"]:
            return ""
        known = name.lower()
        if known not in _LAYOUT and known not in _SYSTEM and not _NUMBER_OR_HASH.fullmatch(known):
            return name
    return ""


def stem(path: str, *extensions: str) -> str:
    """Return the last component of a path, without an extension (the first of those given that fits)."""
    name = path.rstrip("/").rpartition("/")[2]
    for extension in extensions:
        if name.endswith(extension) and len(name) > len(extension):
            return name.removesuffix(extension)
    return name


def script_name(path: str, directory: str, *extensions: str) -> str:
    """Return what a script is called: its stem, or its directory's name where the stem says nothing.

    `/srv/shop/main.py` is `shop`, `/srv/shop/server.py` is `server`; "" where the path names nothing.
    """
    if path.startswith(("/dev/", "/proc/")):  # /dev/fd/63, /dev/stdin: no file of its own
        return ""
    name = stem(path, *extensions)
    if name.lower() in GENERIC and name.lower() != "server":
        return directory_name(os.path.dirname(os.path.join(directory, path))) or name
    return name


def module_name(module: str, directory: str) -> str:
    """Return the application in a dotted module: `shop.main` is `shop`, `app.main` the directory's name."""
    parts = [part for part in module.split(".") if part]
    while len(parts) > 1 and parts[-1].lower() in GENERIC:
        parts.pop()
    name = ".".join(parts)
    return (directory_name(directory) if name.lower() in GENERIC else "") or name
