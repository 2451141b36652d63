"""Signals, redaction of query strings."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ebpf.signals.redaction import QUERY_KEYS, Redaction

SECRET = "s3cr3t"
CONVENTION = [
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "AWSAccessKeyId",
    "Signature",
    "sig",
    "X-Goog-Signature",
]


def test_the_keys_are_the_conventions() -> None:
    assert frozenset(CONVENTION) == QUERY_KEYS


@pytest.mark.parametrize("key", CONVENTION)
def test_values_of_secret_keys(key: str) -> None:
    redaction = Redaction()
    assert redaction.query(f"{key}={SECRET}") == f"{key}=REDACTED"
    assert redaction.query(f"a=1&{key}={SECRET}&b=2") == f"a=1&{key}=REDACTED&b=2"
    assert redaction.query(f"{key}={SECRET}&{key}={SECRET}") == f"{key}=REDACTED&{key}=REDACTED"
    assert SECRET not in redaction.query(f"a=1;{key}={SECRET}")
    assert SECRET not in redaction.query(f"{key}={SECRET}={SECRET}")
    escaped = "".join(f"%{ord(letter):02x}" for letter in key)
    assert redaction.query(f"{escaped}={SECRET}") == f"{escaped}=REDACTED"


@pytest.mark.parametrize(
    "query",
    ["", "a=1", "a=1&b=2", "a", "&&=&", "SIG=kept", "signal=kept", "a=sig=x", "sig", "a=%20;b", "+=1"],
)
def test_the_rest_is_left_as_it_is(query: str) -> None:
    assert Redaction().query(query) == query


def test_more_keys() -> None:
    redaction = Redaction(query_keys=["token", "a b"])
    assert redaction.query("token=1&Token=2&sig=3") == "token=REDACTED&Token=2&sig=REDACTED"
    assert redaction.query("a+b=1&a%20b=2") == "a+b=REDACTED&a%20b=REDACTED"


def test_drop() -> None:
    assert Redaction("drop").query("a=1&sig=2") == ""


@given(
    before=st.text(max_size=30),
    after=st.text(max_size=30),
    key=st.sampled_from(CONVENTION),
    escape=st.booleans(),
    separator=st.sampled_from("&;"),
)
def test_no_surroundings_let_a_secret_out(
    before: str, after: str, key: str, escape: bool, separator: str
) -> None:
    sent = quote(key, safe="").replace("g", "%67") if escape else key
    query = f"{before}{separator}{sent}={SECRET}{separator}{after}"
    assert SECRET not in Redaction().query(query)
