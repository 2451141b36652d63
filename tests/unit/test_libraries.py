"""Which functions of which files get which probes."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import get_args

import pytest
from test_binaries_support import compiled, go_program, library, stripped, symbols

from otel_ebpf.config import TlsLibrary
from otel_ebpf.kernel.binaries import BinaryError
from otel_ebpf.kernel.contents import look_into
from otel_ebpf.kernel.libraries import Found
from otel_ebpf.kernel.mappings import executable_mappings
from otel_ebpf.kernel.tls_libraries import LIBRARIES, may_hold_tls

READS_AND_WRITES = """
#define OPEN __attribute__((visibility("default"), noinline))
OPEN int SSL_read(void *session, void *buffer, int size) { return size; }
OPEN int SSL_write(void *session, void *buffer, int size) { return size + 1; }
OPEN int gnutls_record_recv(void *session, void *buffer, int size) { return size + 2; }
"""

HANDED_ON = """
#define OPEN __attribute__((visibility("default"), noinline))
int ask(void *session, void *buffer, long size);
__attribute__((noinline)) static int read_internal(void *session, void *buffer, long size, long *done)
{
	int first = ask(session, buffer, size);
	*done = first + ask(buffer, session, size);
	return first;
}
OPEN int SSL_read(void *session, void *buffer, int size)
{
	long done;
	int result = read_internal(session, buffer, size, &done);
	return result > 0 ? (int)done : result;
}
OPEN int SSL_read_ex(void *session, void *buffer, long size, long *done)
{
	int result = read_internal(session, buffer, size, done);
	return result < 0 ? 0 : result;
}
OPEN int SSL_write(void *session, void *buffer, int size)
{
	return ask(buffer, session, size + ask(0, session, 1));
}
"""


def places(path: str) -> tuple[Found, ...]:
    return look_into(path).tls


def test_the_openssl_of_this_process() -> None:
    """Each function has a probe at its entry, and those that pass plaintext one at their return, too."""
    assert ssl.OPENSSL_VERSION
    (path,) = (one.path for one in executable_mappings(os.getpid()) if "/libssl" in one.name)
    (found,) = places(path)
    assert found.library == "openssl"
    programs = [point.program for point in found.points]
    assert {"tls_read_ex", "tls_write_ex", "tls_set_fd", "tls_free"} <= set(programs)
    returns = [point for point in found.points if point.program.endswith("_return")]
    assert "tls_protocol_return" in programs
    assert len(returns) >= 5  # of one or two that read, one or two that write, sendfile, peek, the question
    assert len({(point.offset, point.at_return) for point in found.points}) == len(found.points)


def test_a_probe_is_where_the_function_is() -> None:
    made = compiled("tls_plain.so", READS_AND_WRITES, "-shared", "-fPIC")
    named = symbols(made)
    (found,) = places(str(made))  # GnuTLS has a function to write, too
    assert found.library == "openssl"
    assert {(point.program, point.offset) for point in found.points if point.program != "tls_return"} == {
        ("tls_read", named["SSL_read"]),
        ("tls_write", named["SSL_write"]),
    }


def test_what_the_others_hand_on_to_is_probed_instead_where_that_costs_less() -> None:
    """As OpenSSL's ssl_read_internal: SSL_read_ex hands on all that it is given, and SSL_read calls it."""
    made = compiled("tls_inner.so", HANDED_ON, "-shared", "-fPIC", "-O2", "-fno-stack-protector")
    named = symbols(made)
    (found,) = places(str(made))
    inner, write = named["read_internal"], named["SSL_write"]
    assert [(point.program, point.offset, point.at_return) for point in found.points] == [
        ("tls_write", write, False),
        ("tls_return", write, True),
        ("tls_read_ex", inner, False),
        ("tls_return", inner, True),
    ]


def test_go() -> None:
    (found,) = places(str(go_program()))
    programs = [point.program for point in found.points]
    assert found.library == "go"
    assert (programs.count("go_tls_read"), programs.count("go_tls_write")) == (1, 1)
    assert programs.count("go_tls_return") >= 1
    assert not any(point.at_return for point in found.points), "Go moves stacks: never a uretprobe"


def test_a_program_without_tls() -> None:
    assert places(str(library())) == ()


def test_a_static_library_is_found_by_its_names_alone() -> None:
    source = READS_AND_WRITES + "int main(int count, char **words) { return SSL_read(words, words, count); }"
    program = compiled("tls_static", source)
    assert [found.library for found in places(str(program))] == ["openssl"]
    assert places(str(stripped(program))) == ()


def test_what_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("SSL_read SSL_write\n" * 100)
    for path in (str(tmp_path / "notes"), str(tmp_path), str(tmp_path / "none")):
        with pytest.raises(BinaryError):
            places(path)


@pytest.mark.parametrize(
    "path",
    [
        "/usr/lib/x86_64-linux-gnu/libssl.so.3",
        "/usr/lib/libgnutls.so.30.34.3",
        "/opt/app/lib/libmbedtls.so.14",
        "/usr/lib/libwolfssl.so.35",
        "/usr/lib/libnspr4.so",
        "/opt/python/_awscrt.abi3.so",
        "/site-packages/curl_cffi/_wrapper.abi3.so",
        "/tmp/libnetty_tcnative_linux_x86_641.so",
        "/usr/lib/python3/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so",
    ],
)
def test_names_that_are_worth_a_look(path: str) -> None:
    assert may_hold_tls(path)


@pytest.mark.parametrize(
    "path",
    ["/usr/lib/libc.so.6", "/usr/lib/libjvm.so", "/tls/app/lib/libz.so", "/usr/lib/libcrypto.so.3", ""],
)
def test_names_that_are_not(path: str) -> None:
    assert not may_hold_tls(path)


def test_names_of_libraries_are_those_of_the_configuration() -> None:
    assert {one.name for one in LIBRARIES} | {"go"} == set(get_args(TlsLibrary))
