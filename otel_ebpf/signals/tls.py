"""What a TLS handshake settled, in the conventions' terms (struct tls_facts of bpf/include/wire.h).

What was not seen is left out: a connection that was open before the agent has no such attributes.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import Final, NamedTuple

from otel_ebpf.identity.model import Attributes
from otel_ebpf.signals import names
from otel_ebpf.signals.outcome import OTHER
from otel_ebpf.signals.tls_ciphers import CIPHERS

__all__ = ["NO_FACTS", "TlsFacts", "alert_name", "read_facts", "tls_attributes"]

_FACTS: Final = Struct("<HHBBBB")
NO_FACTS: Final = bytes(_FACTS.size)

# `tls.protocol.version` is the number without "TLS".
_VERSIONS: Final = {0x0301: "1.0", 0x0302: "1.1", 0x0303: "1.2", 0x0304: "1.3"}
_PROTOCOLS: Final = {1: "h2", 2: "http/1.1"}  # enum tls_protocol
_RESUMED: Final = {1: False, 2: True}
_UNREADABLE: Final = 255
ENCRYPTED_ALERT: Final = "encrypted_alert"
"""`error.type` where there was an alert, but encrypted: behind the ServerHello TLS 1.3 shows no code."""

# RFC 8446 section 6 and, of what only older versions have, its appendix B.2.
_ALERTS: Final = {
    0: "close_notify",
    10: "unexpected_message",
    20: "bad_record_mac",
    21: "decryption_failed",
    22: "record_overflow",
    30: "decompression_failure",
    40: "handshake_failure",
    41: "no_certificate",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    49: "access_denied",
    50: "decode_error",
    51: "decrypt_error",
    60: "export_restriction",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    86: "inappropriate_fallback",
    90: "user_canceled",
    100: "no_renegotiation",
    109: "missing_extension",
    110: "unsupported_extension",
    111: "certificate_unobtainable",
    112: "unrecognized_name",
    113: "bad_certificate_status_response",
    114: "bad_certificate_hash_value",
    115: "unknown_psk_identity",
    116: "certificate_required",
    120: "no_application_protocol",
}


class TlsFacts(NamedTuple):
    """The facts as text; "" and None for what is not known."""

    version: str
    cipher: str  # IANA's description
    protocol: str  # by ALPN
    resumed: bool | None
    error: str  # `error.type` by the fatal alert that was seen


@lru_cache(1024)
def read_facts(facts: bytes) -> TlsFacts:
    """Return what struct tls_facts says. Raises struct.error unless it is 8 bytes."""
    version, cipher, protocol, resumed, alert, _ = _FACTS.unpack(facts)
    return TlsFacts(
        _VERSIONS.get(version, ""),
        CIPHERS.get(cipher, ""),
        _PROTOCOLS.get(protocol, ""),
        _RESUMED.get(resumed),
        alert_name(alert),
    )


def alert_name(alert: int) -> str:
    """Return `error.type` for `tls_facts.alert`, the alert's code + 1; "" where none was seen."""
    if not alert:
        return ""
    if alert == _UNREADABLE:
        return ENCRYPTED_ALERT
    return _ALERTS.get(alert - 1, OTHER)


@lru_cache(1024)
def tls_attributes(facts: bytes) -> Attributes:
    """Return the attributes of a span on a connection with these facts."""
    read = read_facts(facts)
    pairs = (
        (names.TLS_PROTOCOL_VERSION, read.version),
        (names.TLS_CIPHER, read.cipher),
        (names.TLS_NEXT_PROTOCOL, read.protocol),
    )
    known: Attributes = tuple(pair for pair in pairs if pair[1])
    return known if read.resumed is None else (*known, (names.TLS_RESUMED, read.resumed))
