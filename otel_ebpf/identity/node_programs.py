"""What a JavaScript runtime (Node.js, Bun, Deno) runs."""

from __future__ import annotations

import json
import os

from otel_ebpf.identity.command import Command, positional
from otel_ebpf.identity.names import directory_name, script_name, stem, words

__all__ = ["node_program", "package_name"]

EXTENSIONS = (".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".jsx", ".tsx")
PARENTS_MAX = 4  # from dist/src/server/main.js up to its package

_WITH_VALUE = words(
    "-r --require --import --loader --experimental-loader -C --conditions --env-file --title --input-type "
    "--icu-data-dir --openssl-config --config --import-map --preload --cwd -c"
)
_CODE = words("-e --eval -p --print -pe")
_SUBCOMMANDS = words("run serve start task x exec")


def node_program(command: Command) -> str:
    """Return the package's name where there is a package.json, else the script's, "" for neither."""
    arguments = command.arguments
    place, script = positional(arguments, _WITH_VALUE)
    if place < 0 or _CODE.intersection(arguments[:place]):
        return ""
    if command.interpreter in ("bun", "deno") and script in _SUBCOMMANDS:
        place, script = positional(arguments[place + 1 :], _WITH_VALUE)
        if place < 0:
            return package_name(command.directory, command)
    script = os.path.normpath(os.path.join(command.directory, script))
    if "/node_modules/" in script or script.startswith("/usr/"):
        # a tool, such as next or npm: it works for the package that it was started in
        return package_name(command.directory, command) or stem(script, "-cli.js", *EXTENSIONS)
    return package_name(os.path.dirname(script), command) or script_name(
        script, command.directory, *EXTENSIONS
    )


def package_name(directory: str, command: Command) -> str:
    """Return the name in the nearest package.json at or above a directory, without its scope."""
    for _ in range(PARENTS_MAX):
        if not directory.startswith("/") or directory == "/":
            return ""
        raw = command.read(os.path.join(directory, "package.json"))
        if raw:
            return _name_in(raw) or directory_name(directory)
        directory = os.path.dirname(directory)
    return ""


def _name_in(raw: bytes) -> str:
    try:
        package = json.loads(raw)
    except (ValueError, RecursionError):
        return ""
    name = package.get("name") if isinstance(package, dict) else None
    return name.rpartition("/")[2] if isinstance(name, str) else ""
