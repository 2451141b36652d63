"""What can go wrong between the agent and the kernel."""

from __future__ import annotations

import errno
from typing import Final

PASSING: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR})
"""Errors that say nothing of the file or the probe that was asked for: the same may go well later."""


class KernelError(Exception):
    """A call into the kernel or libbpf failed. `code` is its errno, 0 where there is none."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code

    @property
    def passes(self) -> bool:
        """Whether it is worth trying the same again later."""
        return self.code in PASSING

    @property
    def reason(self) -> str:
        """The errno's name, as EPERM, or `other`: one of few words, for metrics."""
        return reason_of(self.code)


def reason_of(code: int) -> str:
    """Return the name of an errno, `other` for none."""
    return errno.errorcode.get(code, "other")


class RungUnavailableError(KernelError):
    """A rung was demanded and cannot be had. The agent exits with status 3."""
