"""Addresses as the conventions write them: of sockets, of unix paths, of `Host` headers."""

from __future__ import annotations

from ipaddress import IPv6Address
from socket import AF_INET, AF_INET6, AF_UNIX, inet_ntop
from typing import NamedTuple
from urllib.parse import quote

_MAPPED = b"\0" * 10 + b"\xff\xff"
_REG_NAME = "!$&'()*+,;=%"  # beside letters, digits and "-._~" (RFC 3986 section 3.2.2)
_INET = int(AF_INET)
_INET6 = int(AF_INET6)
_UNIX = int(AF_UNIX)


def address_text(family: int, address: bytes) -> str:
    """Return an address of 16 bytes (IPv4 in the first four) as text; "" for other families.

    An IPv4 peer of a dual-stack socket (`::ffff:a.b.c.d`) is written as IPv4: it is the same peer.
    """
    if family == _INET and len(address) >= 4:
        return inet_ntop(AF_INET, address[:4])
    if family != _INET6 or len(address) != 16:
        return ""
    if address.startswith(_MAPPED):
        return inet_ntop(AF_INET, address[12:])
    return inet_ntop(AF_INET6, address)


def unix_path_text(path: bytes) -> str:
    """Return a unix socket's name: a path, or an abstract name with "@" for its NUL (as ss shows it)."""
    if path.startswith(b"\0"):
        return "@" + path[1:].rstrip(b"\0").decode("utf-8", "replace")
    return path.split(b"\0", 1)[0].decode("utf-8", "replace")


class Authority(NamedTuple):
    """A `Host` header or authority, taken apart (RFC 3986 section 3.2)."""

    name: str  # without brackets, "" when there is none
    port: int  # 0 for none given, or not a port number
    userinfo: bool  # it had "user:password@"


def parse_authority(host: str) -> Authority:
    """Take `host` apart; what is no port is no part of the name either. Never raises."""
    _, at, rest = host.strip().rpartition("@")
    if rest.startswith("["):
        name, _, port = rest[1:].partition("]")
        port = port.removeprefix(":")
    elif rest.count(":") > 1:  # an IPv6 address without its brackets
        name, port = rest, ""
    else:
        name, _, port = rest.partition(":")
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 0
    return Authority(name, number if number <= 65535 else 0, bool(at))


def url_host(name: str) -> str:
    """Return `name` as it stands in a URL: an IPv6 address in brackets, odd characters escaped."""
    if ":" not in name:  # nearly always: an exception costs more than all the rest
        return quote(name, safe=_REG_NAME)
    try:
        IPv6Address(name)
    except ValueError:
        return quote(name, safe=_REG_NAME)
    return f"[{name}]"
