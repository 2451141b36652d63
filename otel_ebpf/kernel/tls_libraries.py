"""TLS libraries, and where in their files the probes go.

Another library is another row of `LIBRARIES`, as long as its functions are (session, buffer, length) and
say how many bytes passed: by their result, or, as OpenSSL's `_ex` functions, at their fourth argument.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from typing import Final

from otel_ebpf.kernel.binaries import BinaryError, Elf, GoBinary
from otel_ebpf.kernel.libraries import Found, Hook, Library, find
from otel_ebpf.kernel.messages import Point

__all__ = ["INSTALLED", "LIBRARIES", "may_hold_tls", "places"]


def _library(
    name: str,
    read: Iterable[str],
    write: Iterable[str],
    *hooks: Hook,
    free: str = "",
    needs: Iterable[str] = (),
) -> Library:
    """Return a library of which `read` and `write` are the plain functions."""
    both = [Hook(one, "tls_read", "tls_return") for one in read]
    both += [Hook(one, "tls_write", "tls_return") for one in write]
    frees = [Hook(free, "tls_free")] if free else []
    needed = frozenset(needs) or frozenset(hook.symbol for hook in both[:1])
    return Library(name, needed, (*both, *hooks, *frees))


LIBRARIES: Final = (
    _library(
        "openssl",  # and its forks: BoringSSL, LibreSSL
        ["SSL_read"],
        ["SSL_write"],
        Hook("SSL_read_ex", "tls_read_ex", "tls_return"),
        Hook("SSL_write_ex", "tls_write_ex", "tls_return"),
        Hook("SSL_sendfile", "tls_sendfile", "tls_return"),
        Hook("SSL_peek", "tls_peek", "tls_return"),
        Hook("SSL_set_fd", "tls_set_fd"),
        Hook("SSL_get0_alpn_selected", "tls_protocol", "tls_protocol_return"),
        free="SSL_free",
        needs=["SSL_read", "SSL_write"],
    ),
    _library(
        "gnutls",
        ["gnutls_record_recv"],
        ["gnutls_record_send"],
        free="gnutls_deinit",
        needs=["gnutls_record_recv", "gnutls_record_send"],
    ),
    _library("mbedtls", ["mbedtls_ssl_read"], ["mbedtls_ssl_write"], free="mbedtls_ssl_free"),
    _library(
        "wolfssl",
        ["wolfSSL_read"],
        ["wolfSSL_write", "wolfSSL_send"],
        Hook("wolfSSL_recv", "tls_recv", "tls_return"),
        Hook("wolfSSL_peek", "tls_peek", "tls_return"),
        Hook("wolfSSL_set_fd", "tls_set_fd"),
        free="wolfSSL_free",
    ),
    _library(
        "nss",  # by NSPR, whose functions are for files and pipes too
        [],
        [],
        Hook("PR_Read", "tls_layer_read", "tls_return"),
        Hook("PR_Recv", "tls_layer_recv", "tls_return"),
        Hook("PR_Write", "tls_layer_write", "tls_return"),
        Hook("PR_Send", "tls_layer_write", "tls_return"),
        free="PR_Close",
        needs=["PR_Read", "PR_Write"],
    ),
    _library("s2n", ["s2n_recv"], ["s2n_send"], free="s2n_connection_free"),
)

INSTALLED: Final = ("libssl.so*", "libgnutls.so*", "libnspr4.so*", "libmbedtls.so*", "libwolfssl.so*")
"""Globs for the names by which loaders know those that many programs use."""

# Of its path the last folder and the name: curl_cffi's library is curl_cffi/_wrapper.abi3.so.
_FILES: Final = (
    "*ssl*",
    "*tls*",
    "*curl*",
    "*/libnspr4*",
    "*s2n*",
    "*awscrt*",  # with s2n in it
    "*tcnative*",  # with BoringSSL, for Java
    "*conscrypt*",
    "*cygrpc*",
    "*wincrypt*",
)
# Of Go 1.18 and newer: 1.17 keeps addresses in its table of functions, and older ones their arguments on the
# stack.
_GO: Final = {
    "crypto/tls.(*Conn).Read": "go_tls_read",
    "crypto/tls.(*Conn).Write": "go_tls_write",
}
_GO_LAYOUT: Final = {
    ("crypto/tls.Conn", "conn"): 0,
    ("net.TCPConn", "conn"): 0,
    ("net.conn", "fd"): 0,
    ("net.netFD", "pfd"): 0,
    ("internal/poll.FD", "Sysfd"): 16,
}
"""What leads from a tls.Conn to its descriptor, as bpf/core/tls_go.h follows it. So in every Go until now."""


def may_hold_tls(path: str) -> bool:
    """Say whether a shared library's name makes it worth a look. An executable always is."""
    name = "/" + "/".join(path.lower().rsplit("/", 2)[-2:])
    return any(fnmatchcase(name, pattern) for pattern in _FILES)


def places(elf: Elf) -> tuple[Found, ...]:
    """Return the TLS libraries in a file. Raises `BinaryError` for one that is broken."""
    if elf.is_go():
        return _places_in_go(elf)
    return find(elf, LIBRARIES, _tells)


def _tells(names: Collection[str]) -> bool:
    """Say whether these functions are those of a library."""
    return any(library.needs <= set(names) for library in LIBRARIES)


def _places_in_go(elf: Elf) -> tuple[Found, ...]:
    binary = GoBinary(elf)
    points = []
    functions = binary.functions(_GO)
    if functions:
        _check_layout(binary)
    for name, function in functions.items():
        if name.endswith("Write"):
            points.append(Point(_GO[name], binary.body(function)))
            continue
        points.append(Point(_GO[name], binary.entry(function)))
        returns = binary.returns(function)
        if not returns:
            raise BinaryError(f"{name} has no return instruction")
        points += [Point("go_tls_return", offset) for offset in returns]
    return (Found("go", tuple(points)),) if points else ()


def _check_layout(binary: GoBinary) -> None:
    for (structure, field), wanted in _GO_LAYOUT.items():
        told = binary.field_offset(structure, field)
        if told != wanted:
            raise BinaryError(
                f"has {field} of {structure} at {told} and not at {wanted}: its sockets are not found"
            )
