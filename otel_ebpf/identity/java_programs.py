"""What a Java virtual machine runs."""

from __future__ import annotations

import os
import re

from otel_ebpf.identity.command import Command
from otel_ebpf.identity.names import GENERIC, directory_name, stem, words

__all__ = ["java_program"]

# java(1): these take the argument after them; -X..., -D... and --name=value do not
_WITH_VALUE = words(
    "-cp -classpath --class-path -p --module-path --upgrade-module-path --add-modules --add-opens "
    "--add-exports --add-reads --limit-modules --patch-module --enable-native-access --source "
    "-d --describe-module"
)
_JAR_VERSION = re.compile(r"[-_.]v?\d[\w.+-]*$")
_LAUNCHERS = {
    "org.apache.catalina.startup.Bootstrap": "tomcat",
    "org.eclipse.jetty.start.Main": "jetty",
    "kafka.Kafka": "kafka",
    "org.apache.zookeeper.server.quorum.QuorumPeerMain": "zookeeper",
    "org.elasticsearch.bootstrap.Elasticsearch": "elasticsearch",
    "org.apache.cassandra.service.CassandraDaemon": "cassandra",
}
_DIRECTORY_LAUNCHERS = ("org.springframework.boot.loader.",)  # it names the loader, not the application


def java_program(command: Command) -> str:
    """Return the jar's name without its version, else the main class's simple name, "" for neither."""
    arguments = command.arguments
    place = 0
    while place < len(arguments):
        argument = arguments[place]
        value = (*arguments[place + 1 :], "")[0]
        if argument == "-jar":
            return _jar(value, command.directory)
        if argument in ("-m", "--module"):
            module, _, main = value.partition("/")
            return _main_class(main or f"{module}.Main", command.directory)
        if argument.startswith("--module="):
            module, _, main = argument.partition("=")[2].partition("/")
            return _main_class(main or f"{module}.Main", command.directory)
        if argument.endswith(".java"):  # a single source file
            return stem(argument, ".java")
        if not argument.startswith(("-", "@")):
            return _main_class(argument, command.directory)
        place += 2 if argument in _WITH_VALUE else 1
    return ""


def _jar(path: str, directory: str) -> str:
    name = stem(path, ".jar", ".war")
    name = _JAR_VERSION.sub("", name) or name
    if name.lower() in GENERIC:
        return directory_name(os.path.dirname(os.path.join(directory, path))) or name
    return name


def _main_class(name: str, directory: str) -> str:
    if name in _LAUNCHERS:
        return _LAUNCHERS[name]
    if name.startswith(_DIRECTORY_LAUNCHERS):
        return directory_name(directory) or name.rpartition(".")[2]
    parts = [part for part in name.replace("/", ".").split(".") if part]
    simple = parts.pop() if parts else ""
    # com.acme.shop.Main is shop, and so is com.acme.shop.ShopKt's companion, which Kotlin names so
    while simple.lower() in GENERIC and parts:
        simple = parts.pop()
    return simple.removesuffix("Kt") or simple
