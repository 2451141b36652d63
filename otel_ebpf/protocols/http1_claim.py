"""Is this connection HTTP/1? Judged by the first bytes of each direction."""

from __future__ import annotations

from otel_ebpf.protocols.base import Claim
from otel_ebpf.protocols.http1_head import KNOWN_METHODS, is_token, request_line, status_at

_STATUS_LINE = b"HTTP/1."
_MAX_METHOD = 32


def claim(request: bytes, response: bytes) -> Claim:
    """Judge both directions; a direction that cannot be HTTP/1 is NO, whatever the other says.

    YES needs a status line, and a request line that ends in HTTP/1.x or, where it is longer than
    what was captured, begins with a known method and a target. MAYBE is what is too short.
    """
    asked = judge_request(request)
    if asked is Claim.NO:
        return Claim.NO
    answered = judge_response(response)
    if answered is Claim.NO:
        return Claim.NO
    if answered is Claim.YES and asked is not Claim.MAYBE:
        return Claim.YES
    if asked is Claim.YES and not response:
        return Claim.LIKELY
    return Claim.MAYBE


def judge_request(data: bytes) -> Claim:
    """YES for a whole request line, LIKELY for a cut-off one with a known method and a target."""
    if data[:1] in (b"\r", b"\n"):
        data = data.lstrip(b"\r\n")
    if not data:
        return Claim.MAYBE
    line = request_line(data)
    if line is not None:
        if line.version:
            return Claim.YES
        known = line.method.encode() in KNOWN_METHODS and _is_target(line.target)
        return Claim.LIKELY if known else Claim.MAYBE
    whole = b"\n" in data
    name = data.partition(b" ")[0].rstrip(b"\r")
    return Claim.MAYBE if not whole and len(name) <= _MAX_METHOD and is_token(name) else Claim.NO


def _is_target(target: bytes) -> bool:
    return target[:1] in (b"/", b"*") or b"://" in target


def judge_response(data: bytes) -> Claim:
    """YES for a status line, MAYBE for the beginning of one."""
    if not data:
        return Claim.MAYBE
    if status_at(data, 0):
        return Claim.YES
    whole = len(data) > len(b"HTTP/1.1 200")
    return Claim.MAYBE if not whole and data[:7] == _STATUS_LINE[: len(data)] else Claim.NO
