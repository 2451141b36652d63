"""What a lookup asked for, and what went wrong, in the conventions' words."""

from __future__ import annotations

import re
from typing import Final

from otel_ebpf.kernel.records import Lookup, LookupCall
from otel_ebpf.protocols.dns_lookups import TIMED_OUT
from otel_ebpf.signals.endpoints import address_text

__all__ = ["FORWARD", "error_of", "name_text", "question_of"]

# <netdb.h>: numbers and meanings are the same in glibc and musl. What gethostbyname fails with too is called
# as it is there, and in the examples of the conventions; all others as the constant is, without EAI_.
_EAI: Final = {
    -1: "badflags",
    -2: "host_not_found",  # EAI_NONAME
    -3: "try_again",  # EAI_AGAIN
    -4: "no_recovery",  # EAI_FAIL
    -5: "no_data",  # EAI_NODATA
    -6: "family",
    -7: "socktype",
    -8: "service",
    -9: "addrfamily",
    -10: "memory",
    -11: "system",
    -12: "overflow",
}
_H_ERRNO: Final = {-1: "netdb_internal", 1: "host_not_found", 2: "try_again", 3: "no_recovery", 4: "no_data"}
_QUESTIONS: Final = {**_H_ERRNO, TIMED_OUT: "timeout"}
FORWARD: Final = (int(LookupCall.GETADDRINFO), int(LookupCall.GETHOSTBYNAME), int(LookupCall.QUESTIONS))
"""Lookups whose addresses are answers."""

_OTHER: Final = "_OTHER"
_ERRORS: Final = {
    int(LookupCall.GETHOSTBYNAME): _H_ERRNO,
    int(LookupCall.GETHOSTBYADDR): _H_ERRNO,
    int(LookupCall.QUESTIONS): _QUESTIONS,
}
_TO_ESCAPE: Final = re.compile(r'[^ -~]|["\\]')
_SHORT: Final = {"\t": "\\t", "\r": "\\r", "\n": "\\n", '"': '\\"', "\\": "\\\\"}
_LABELS_V6: Final = 32


def error_of(call: int, result: int) -> str:
    """Return `error.type` of a lookup, "" for none. `call` is a `LookupCall`, `result` what it says."""
    if not result:
        return ""
    return _ERRORS.get(call, _EAI).get(result, _OTHER)


def name_text(name: bytes) -> str:
    """Return a name as `dns.question.name`: in lower case, without the root's dot, and escaped.

    The same name is asked for with and without that dot, and in any case: it is one series.
    """
    text = name.decode("latin-1").lower()
    return _TO_ESCAPE.sub(_escape, text.removesuffix(".") or text)


def _escape(found: re.Match[str]) -> str:
    one = found[0]
    return _SHORT.get(one) or f"\\{ord(one):03}"


def question_of(record: Lookup) -> str:
    """Return `dns.question.name`: the name, or, of an address, where its name is (RFC 1035, RFC 3596)."""
    if record.name or not record.addresses:
        return name_text(record.name)
    family, address = record.addresses[0]
    text = address_text(family, address)
    if "." in text:
        return ".".join(reversed(text.split("."))) + ".in-addr.arpa"
    digits = address.hex()
    return ".".join(reversed(digits)) + ".ip6.arpa" if len(digits) == _LABELS_V6 else ""
