"""What a Python interpreter runs: a module, a script, or an application in a server."""

from __future__ import annotations

import re

from otel_ebpf.identity.command import Command
from otel_ebpf.identity.names import GENERIC, directory_name, module_name, script_name, stem, words

__all__ = ["python_program", "server_application", "uwsgi_program"]

_SERVERS = words(
    "daphne fastapi flask granian gunicorn hypercorn litestar quart sanic uvicorn waitress waitress-serve"
)
_NAMED_BY_DIRECTORY = words("django django-admin pserve")
_APPLICATION = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*(?::[\w.]+(?:\(.*\))?)?")
_FLAGS = words(
    "-D --access-log --check-config --daemon --debug --dev --factory --no-access-log --no-date-header "
    "--no-server-header --preload --proxy-headers --reload"
)
_SUBCOMMANDS = words("run dev runserver shell serve")
_APPLICATION_OPTIONS = ("--app", "-A", "--call", "--name", "-n")


def python_program(command: Command) -> str:
    """Return the name of what is run, "" for none (interactive, or code on the command line)."""
    module, script, rest = _target(command.arguments)
    if not module and not script:
        return ""
    launcher = module.partition(".")[0] if module else stem(script, ".py", ".pyc", ".pyw")
    if launcher in _SERVERS:
        return server_application(launcher, rest, command.directory)
    if launcher == "celery":
        return _celery(rest, command.directory)
    if launcher in _NAMED_BY_DIRECTORY:
        return directory_name(command.directory) or launcher
    if module:
        # http.server is a module's name, not an application's role within a package
        keep = module.removesuffix(".__main__")
        return keep if keep.endswith(".server") else module_name(keep, command.directory)
    return script_name(script, command.directory, ".py", ".pyc", ".pyw")


def _target(arguments: tuple[str, ...]) -> tuple[str, str, tuple[str, ...]]:
    """Return (module, script, the arguments after it), by python(1): options may stand in clusters."""
    place = 0
    while place < len(arguments):
        argument = arguments[place]
        after = arguments[place + 1 :]
        if argument == "--check-hash-based-pycs":
            place += 1
        elif argument.startswith("-") and not argument.startswith("--"):
            letters = argument[1:]
            option = next((n for n, letter in enumerate(letters) if letter in "mcWXQ"), -1)
            if option < 0 and letters:
                place += 1
                continue
            attached = letters[option + 1 :]
            if not letters or letters[option] == "c":  # "-" is the program on standard input
                return "", "", ()
            if letters[option] == "m":
                return (attached, "", after) if attached else ((*after, "")[0], "", after[1:])
            place += not attached
        elif not argument.startswith("--"):
            return "", argument, after
        place += 1
    return "", "", ()


def server_application(launcher: str, arguments: tuple[str, ...], directory: str) -> str:
    """Return the application that a server was told to serve: `gunicorn shop.wsgi` is `shop`.

    The servers' options differ and take values that look like modules (`-k uvicorn.workers.X`), so
    what follows an option is not taken, unless the option is one that is known to have no value.
    """
    named = _option(arguments, _APPLICATION_OPTIONS)
    if named and not (named.isdigit() or launcher == "uvicorn"):
        return application_name(named, directory)
    before = ""
    for argument in arguments:
        free = not before.startswith("-") or "=" in before or before in _FLAGS
        if free and argument not in _SUBCOMMANDS and argument.endswith(".py"):
            return script_name(argument, directory, ".py")
        if free and argument not in _SUBCOMMANDS and _APPLICATION.fullmatch(argument):
            return application_name(argument, directory)
        before = argument
    return directory_name(directory) or launcher


def application_name(application: str, directory: str) -> str:
    """Return the name in `package.module:object`; a file name is as good."""
    target = application.partition(":")[0]
    if "/" in target or target.endswith(".py"):
        return script_name(target, directory, ".py")
    return module_name(target, directory)


def _celery(arguments: tuple[str, ...], directory: str) -> str:
    named = _option(arguments, ("-A", "--app"))
    parts = named.partition(":")[0].split(".")
    while len(parts) > 1 and parts[-1] in ("celery", "celeryapp", "tasks", *GENERIC):
        parts.pop()
    return module_name(".".join(parts), directory) or directory_name(directory) or "celery"


def uwsgi_program(command: Command) -> str:
    """Return the application of a uWSGI server."""
    named = _option(command.arguments, ("--module", "-w", "--wsgi", "--wsgi-file", "--file", "--mount"))
    return application_name(named.rpartition("=")[2], command.directory) if named else ""


def _option(arguments: tuple[str, ...], names: tuple[str, ...]) -> str:
    """Return the value of the first of these options, written `--name value` or `--name=value`."""
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in names:
            return value if equals else (*arguments[place + 1 :], "")[0]
        # -Ashop: one letter with its value attached
        if argument[:2] in names and len(argument) > 2 and not argument.startswith("--"):
            return argument[2:]
    return ""
