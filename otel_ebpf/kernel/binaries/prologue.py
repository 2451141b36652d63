"""The beginning of a Go function: the check whether its stack is large enough.

Where it is not, the runtime moves the stack and starts the function anew, so that a probe on its first
instruction would run twice for one call. Behind the check it runs once, with all arguments in place.

Source: cmd/internal/obj/x86/obj6.go and arm64/obj7.go of Go, stacksplit.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["CHECKED_IN", "behind_check"]

# lea -N(%rsp),%r12, of frames that are not small; cmp 16(%r14) against it; jbe.
_X86_64: Final = re.compile(
    rb"(?:\x49\x3b\x66\x10|\x4c\x8d(?:\x64\x24.|\xa4\x24.{4})\x4d\x3b\x66\x10)(?:\x76.|\x0f\x86.{4})",
    re.DOTALL,
)
# ldr x16,[x28,#16]; sub x17,sp,#N; cmp; b.ls
_AARCH64: Final = re.compile(
    rb"\x90\x0b\x40\xf9(?:\xff\x63\x30\xeb|..[\x00-\x7f]\xd1\x3f\x02\x10\xeb)"
    rb"[\x09\x29\x49\x69\x89\xa9\xc9\xe9]..\x54",
    re.DOTALL,
)
CHECKED_IN: Final = {"x86_64": _X86_64, "aarch64": _AARCH64}


def behind_check(machine: str, code: bytes) -> int:
    """Return the offset in `code`, a function's, of what is behind the check; 0 if it begins without one."""
    match = CHECKED_IN[machine].match(code)
    return match.end() if match else 0
