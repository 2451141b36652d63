"""What is in a file that a process has mapped: TLS libraries, the C library, and a runtime."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from otel_ebpf.kernel import resolvers, runtimes, tls_libraries
from otel_ebpf.kernel.binaries import BinaryError, Elf
from otel_ebpf.kernel.binaries.disassembly import unload
from otel_ebpf.kernel.libraries import Found
from otel_ebpf.kernel.runtimes import Runtime

__all__ = ["Contents", "look_into"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Contents:
    """What there is to be probed, and why a runtime that is there cannot be followed."""

    tls: tuple[Found, ...] = ()
    runtime: Runtime | None = None
    not_followed: str = ""
    resolver: tuple[Found, ...] = ()


def look_into(path: str) -> Contents:
    """Open a file and look. Raises `BinaryError` for one that is broken."""
    try:
        with Elf(path) as elf:
            tls, resolver = tls_libraries.places(elf), _resolver(elf, path)
            try:
                return Contents(tls, runtimes.find(elf), resolver=resolver)
            except BinaryError as error:
                return Contents(tls, None, str(error), resolver)
    finally:
        unload()


def _resolver(elf: Elf, path: str) -> tuple[Found, ...]:
    """Return the C library; none, with a line in the log, where only that cannot be understood."""
    try:
        return resolvers.places(elf)
    except BinaryError as error:
        logger.info("no DNS probes in %s: %s", path, error)
        return ()
