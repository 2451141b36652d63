"""Files with probes, and who uses each. All but `standing` is for one thread."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from otel_ebpf.kernel.attacher import Attacher
from otel_ebpf.kernel.errors import KernelError
from otel_ebpf.kernel.libraries import Found
from otel_ebpf.kernel.mappings import Mapping
from otel_ebpf.kernel.messages import AttachedFile, AttachFile, DetachFile, Point
from otel_ebpf.probing.files import File, Version, version_of

__all__ = ["KEPT_SECONDS", "Probes"]

logger = logging.getLogger(__name__)

KEPT_SECONDS: Final = 30.0
"""Probes stay so long after the last user: a program that is run again and again is seen from its start."""


@dataclass(slots=True)
class _Attached:
    """A file with probes."""

    name: str
    version: Version | None
    libraries: tuple[str, ...]
    tokens: tuple[int, ...]
    ahead: bool  # of any user
    users: set[int]
    used: float

    def unused(self) -> bool:
        """Forget the users that are gone, and say whether there have been none for long enough."""
        self.users = {pid for pid in self.users if os.path.exists(f"/proc/{pid}")}
        if self.users:
            self.used = time.monotonic()
        return time.monotonic() - self.used > KEPT_SECONDS and not self.ahead


class Probes:
    """Attaches to files, once each, and detaches again."""

    def __init__(
        self,
        label: str,
        attacher: Attacher,
        parts: Callable[[Mapping], tuple[Found, ...]],
        refused: Callable[[Mapping, Exception], None],
        pids: frozenset[int],
    ) -> None:
        """`label` is what they are called in the log, `parts` what is to be attached in a file.

        `refused` is told of what cannot be. `pids` are all that may pay for any; none for all.
        """
        self._label = label
        self._attacher = attacher
        self._parts = parts
        self._refused = refused
        self._pids = pids
        self._attached: dict[File, _Attached] = {}

    def __contains__(self, file: object) -> bool:
        return file in self._attached

    def standing(self) -> list[dict[str, Any]]:
        """Return the files as JSON has them, each once for each library in it. Any thread."""
        return [
            {
                "library": library,
                "path": attached.name,
                "processes": sum(os.path.exists(f"/proc/{pid}") for pid in attached.users.copy()),
            }
            for attached in sorted(self._attached.values(), key=lambda one: one.name)
            for library in attached.libraries
        ]

    def consider(self, mapping: Mapping, pid: int) -> None:
        """Attach to a file that a process has mapped, unless that is done, or there is nothing to attach to.

        Without a process (0) the file is attached ahead, and stays so. Raises `KernelError` that `passes`.
        """
        attached = self._attached.get(mapping.file)
        if attached is not None and version_of(mapping.path) not in (attached.version, None):
            self.detach(mapping.file)  # written to in place: the functions are elsewhere now
            attached = None
        if attached is not None:
            if pid:
                attached.users.add(pid)
            return
        parts = self._parts(mapping)
        if parts:
            self._attach(mapping, parts, pid)

    def name_of(self, file: File) -> str:
        """Return the name by which its first user knows a file with probes."""
        return self._attached[file].name

    def libraries_in(self, file: File) -> tuple[str, ...]:
        """Return the libraries of which a file has the probes."""
        attached = self._attached.get(file)
        return attached.libraries if attached is not None else ()

    def unused(self) -> list[File]:
        """Return the files that nobody has used for long enough."""
        return [file for file, attached in self._attached.items() if attached.unused()]

    def detach(self, file: File) -> None:
        """Take the probes from a file."""
        attached = self._attached.pop(file)
        for token in attached.tokens:
            self._attacher.handle(DetachFile(token))
        logger.info("%s: no probes in %s any more", self._label, attached.name)

    def _attach(self, mapping: Mapping, found: tuple[Found, ...], pid: int) -> None:
        points = tuple(point for one in found for point in one.points)
        version = version_of(mapping.path)
        try:
            tokens = tuple(self._tokens(mapping.path, points))
        except KernelError as error:
            if (
                version_of(mapping.path) is None
            ):  # the process has ended meanwhile: the file's next user will do
                return
            if error.passes:
                raise
            logger.warning(
                "%s probes in %s could not be attached: %s; `otel-ebpf doctor` says what is not seen of it",
                *(self._label, mapping.name, error),
                extra={"path": mapping.name, "reason": str(error)},
            )
            self._refused(mapping, error)
            return
        libraries = tuple(one.library for one in found)
        users, now = {pid} if pid else set(), time.monotonic()
        self._attached[mapping.file] = _Attached(
            mapping.name, version, libraries, tokens, not pid, users, now
        )
        logger.info("%s: %s in %s, %d probes", self._label, ", ".join(libraries), mapping.name, len(points))

    def _tokens(self, path: str, points: tuple[Point, ...]) -> Iterator[int]:
        for pid in [one for one in self._pids if os.path.exists(f"/proc/{one}")] if self._pids else [0]:
            answer = self._attacher.handle(AttachFile(path, points, pid))
            assert isinstance(answer, AttachedFile)
            yield answer.token
