"""A variable of a process's environment, as it was when the process began."""

from __future__ import annotations

from typing import Final

__all__ = ["has_set"]

_BYTES_MAX: Final = 2 << 20


def has_set(pid: int, name: str) -> bool:
    """Say whether the variable has a value other than 0; also where that may not be known."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as environment:
            text = environment.read(_BYTES_MAX)
    except OSError:
        return True
    if not text:  # as it is for a moment amid exec
        return True
    values = (one.partition(b"=")[2] for one in text.split(b"\0") if one.startswith(name.encode() + b"="))
    return any(value not in (b"", b"0") for value in values)
