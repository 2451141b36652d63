"""What an interpreter or virtual machine runs: `gunicorn shop.wsgi` is `shop`, not `python3.11`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from otel_ebpf.identity.command import INTERPRETERS, Command, interpreter_of, positional
from otel_ebpf.identity.java_programs import java_program
from otel_ebpf.identity.model import Process
from otel_ebpf.identity.names import directory_name, script_name, stem, words
from otel_ebpf.identity.node_programs import node_program, package_name
from otel_ebpf.identity.process import parent_of, read_file_of
from otel_ebpf.identity.python_programs import application_name, python_program, uwsgi_program

__all__ = ["program_name"]

_RUBY_SERVERS = words("falcon iodine passenger puma rackup rails resque sidekiq thin unicorn")
_PERL_SERVERS = words("hypnotoad morbo plackup starman twiggy")
_PHP_WITH_VALUE = words("-S -t -c -d -z --server --docroot --php-ini --define --zend-extension")
_FORKED = ("--multiprocessing-fork",)  # Python's multiprocessing.spawn, uvicorn --workers among its users


def program_name(process: Process) -> str:
    """Return the name of the program that the process's interpreter runs.

    "" where the executable is no interpreter, or is told nothing that names a program.
    """
    interpreter = interpreter_of(process.executable)
    if not interpreter:
        return ""
    arguments = process.command_line
    command = Command(interpreter, arguments[1:], process.directory, lambda path: read_file_of(process, path))
    if arguments and _is_title(arguments):
        return _titled(arguments[0][:512], command)  # some patterns take time by the square of its length
    name = _PROGRAMS[interpreter](command)
    if not name and any(argument in _FORKED for argument in arguments):
        parent = parent_of(process)
        if parent and interpreter_of(parent.executable) == interpreter and not _forked(parent):
            return program_name(parent)
    return name


def _forked(process: Process) -> bool:
    return any(argument in _FORKED for argument in process.command_line)


def _is_title(arguments: tuple[str, ...]) -> bool:
    """Whether the arguments were overwritten (setproctitle and its like): no command begins so."""
    first = arguments[0]
    return " " in first or (len(arguments) == 1 and not interpreter_of(first))


def _ruby(command: Command) -> str:
    with_value = words("-C -E -I -r -W --encoding --external-encoding --internal-encoding")
    if "-e" in command.arguments[:1]:
        return ""
    _, script = positional(command.arguments, with_value)
    name = stem(script, ".rb")
    if name in _RUBY_SERVERS or name in ("config.ru", "rake"):
        return directory_name(command.directory) or name
    return script_name(script, command.directory, ".rb", ".ru") if script else ""


def _php(command: Command) -> str:
    if command.interpreter in ("php-fpm", "php-cgi", "frankenphp"):
        return command.interpreter
    if "-r" in command.arguments[:1]:
        return ""
    _, script = positional(command.arguments, _PHP_WITH_VALUE)
    name = stem(script, ".php")
    if not script or name in ("artisan", "console"):  # php -S, Laravel, Symfony: of the directory
        return directory_name(command.directory)
    return script_name(script, command.directory, ".php")


def _perl(command: Command) -> str:
    if command.arguments[:1] in (("-e",), ("-E",)):
        return ""
    place, script = positional(command.arguments, frozenset(("-I", "-M")))
    if stem(script) in _PERL_SERVERS:
        rest = [
            argument for argument in command.arguments[place + 1 :] if argument.endswith((".psgi", ".pl"))
        ]
        script = (*rest, "")[0]
        return (
            script_name(script, command.directory, ".psgi", ".pl")
            if script
            else directory_name(command.directory)
        )
    return script_name(script, command.directory, ".pl", ".psgi") if script else ""


def _dotnet(command: Command) -> str:
    arguments = command.arguments[command.arguments[:1] == ("exec",) :]
    for argument in arguments:
        if argument.endswith((".dll", ".exe")):
            return stem(argument, ".dll", ".exe")
    if arguments[:1] in (("run",), ("watch",)):
        project = re.search(r"(?:^|\0)--project[=\0]([^\0]+)", "\0".join(arguments))
        path = os.path.join(command.directory, project.group(1)) if project else command.directory
        return stem(path, ".csproj", ".fsproj")
    return ""


def _erlang(command: Command) -> str:
    """Return the node's name: `-sname rabbit@host` is `rabbit`."""
    for option, value in zip(command.arguments, command.arguments[1:], strict=False):
        if option in ("-sname", "-name"):
            return value.partition("@")[0]
    return ""


def _script(command: Command) -> str:
    """Name what is run by its file (shells, Lua, R, Julia); code on the command line names nothing."""
    if command.arguments[:1] and command.arguments[0] in ("-c", "-e", "-E", "-lc", "-ec"):
        return ""
    files = [argument for argument in command.arguments if argument.startswith("--file=")]
    script = files[0].partition("=")[2] if files else positional(command.arguments, frozenset(("-o",)))[1]
    return script_name(script, command.directory, ".sh", ".lua", ".R", ".r", ".jl") if script else ""


_LANGUAGES: dict[str, Callable[[Command], str]] = {
    "python": python_program,
    "nodejs": node_program,
    "java": java_program,
    "ruby": _ruby,
    "php": _php,
    "perl": _perl,
    "dotnet": _dotnet,
    "erlang": _erlang,
}
_PROGRAMS = {name: _LANGUAGES.get(language, _script) for name, language in INTERPRETERS.items()}
_PROGRAMS["uwsgi"] = uwsgi_program


def _by_directory(found: re.Match[str], command: Command) -> str:
    return directory_name(command.directory) or found.group("name")


def _by_package(found: re.Match[str], command: Command) -> str:
    return package_name(command.directory, command) or found.group("name")


def _again(found: re.Match[str], command: Command) -> str:
    """Read a title that is a command (pm2 sets `node /srv/shop/server.js`)."""
    interpreter = interpreter_of(found.group("name"))
    if not interpreter or len(found.group("rest").split()) > 64:
        return ""
    again = command._replace(interpreter=interpreter, arguments=tuple(found.group("rest").split()))
    return _PROGRAMS[interpreter](again)


_TITLES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], Command], str]], ...] = (
    (
        re.compile(r"gunicorn: \w+ \[(?P<name>[^\]]+)\]"),
        lambda found, command: application_name(found.group("name"), command.directory),
    ),
    (
        re.compile(r"php-fpm: pool (?P<name>\S+)"),
        lambda found, _: "php-fpm" if found.group("name") == "www" else found.group("name"),
    ),
    (re.compile(r"puma\b.*\[(?P<name>[^\]]+)\]"), lambda found, _: found.group("name")),
    (re.compile(r"sidekiq \S+ (?P<name>[^\s\[]+) \["), lambda found, _: found.group("name")),
    (
        re.compile(r"Passenger \w+: (?P<name>/\S+)"),
        lambda found, _: directory_name(found.group("name")) or "passenger",
    ),
    (re.compile(r"\[(?P<name>celery)d:"), _by_directory),
    (re.compile(r"(?P<name>puma|unicorn|sidekiq|thin|resque|starman|rails)\b"), _by_directory),
    (re.compile(r"(?P<name>npm|yarn|pnpm|next-server)\b"), _by_package),
    (re.compile(r"PM2 v\S*: (?P<name>God)"), lambda *_: "pm2"),
    (re.compile(r"(?P<name>\S+) (?P<rest>\S.*)"), _again),
)
"""Titles that programs give themselves, and what each says. The first that fits and names something."""


def _titled(title: str, command: Command) -> str:
    for pattern, name in _TITLES:
        found = pattern.match(title)
        if found and (named := name(found, command)):
            return named
    first = stem(re.split("[: ]", title, maxsplit=1)[0])
    return "" if interpreter_of(first) and first not in ("php-fpm", "uwsgi") else first
