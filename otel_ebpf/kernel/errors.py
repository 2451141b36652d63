"""What can go wrong between the agent and the kernel."""

from __future__ import annotations


class KernelError(Exception):
    """A call into the kernel or libbpf failed. `code` is its errno, 0 where there is none."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class RungUnavailableError(KernelError):
    """A rung was demanded and cannot be had. The agent exits with status 3."""
