"""Signals, TLS: the facts of a handshake as text."""

from __future__ import annotations

import re
import ssl

import pytest
from signals_support import tls

from otel_ebpf.signals.tls import NO_FACTS, alert_name, read_facts, tls_attributes
from otel_ebpf.signals.tls_ciphers import CIPHERS


@pytest.mark.parametrize(
    ("version", "text"),
    [(0x0301, "1.0"), (0x0302, "1.1"), (0x0303, "1.2"), (0x0304, "1.3"), (0, ""), (9, "")],
)
def test_versions(version: int, text: str) -> None:
    assert read_facts(tls(version)).version == text


@pytest.mark.parametrize(("protocol", "text"), [(0, ""), (1, "h2"), (2, "http/1.1"), (3, ""), (77, "")])
def test_protocols(protocol: int, text: str) -> None:
    assert read_facts(tls(protocol=protocol)).protocol == text


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (0x1301, "TLS_AES_128_GCM_SHA256"),
        (0xC02F, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
        (0xCCA9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
        (0x000A, "TLS_RSA_WITH_3DES_EDE_CBC_SHA"),
        (0, ""),
        (0xFFFF, ""),
    ],
)
def test_ciphers(code: int, name: str) -> None:
    assert read_facts(tls(cipher=code)).cipher == name


def test_the_suites_that_are_used_here_have_names() -> None:
    offered = {one["id"] & 0xFFFF for one in ssl.create_default_context().get_ciphers()}
    assert offered <= CIPHERS.keys()
    assert len(set(CIPHERS.values())) == len(CIPHERS)
    assert all(re.fullmatch(r"TLS_[A-Za-z0-9_]+", name) for name in CIPHERS.values())


@pytest.mark.parametrize(
    ("alert", "name"),
    [
        (0, ""),
        (1, "close_notify"),
        (41, "handshake_failure"),
        (46, "certificate_expired"),
        (49, "unknown_ca"),
        (117, "certificate_required"),
        (121, "no_application_protocol"),
        (250, "_OTHER"),
        (255, "encrypted_alert"),
    ],
)
def test_alerts(alert: int, name: str) -> None:
    assert alert_name(alert) == read_facts(tls(alert=alert)).error == name


def test_attributes_are_of_what_is_known() -> None:
    assert tls_attributes(NO_FACTS) == ()
    assert tls_attributes(tls(0, 0, 0, 1)) == (("tls.resumed", False),)
    assert dict(tls_attributes(tls(0x0303, 0xC030, 1, 2))) == {
        "tls.protocol.version": "1.2",
        "tls.cipher": "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "tls.next_protocol": "h2",
        "tls.resumed": True,
    }
