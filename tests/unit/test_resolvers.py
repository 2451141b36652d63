"""In which files the C library is found, and its functions for lookups."""

from __future__ import annotations

import os
import shutil

import pytest
from test_binaries_support import compiled, library, stripped, symbols

from otel_ebpf.kernel.contents import look_into
from otel_ebpf.kernel.mappings import executable_mappings
from otel_ebpf.kernel.resolvers import may_hold_resolver

STATIC = """
#define OPEN __attribute__((noinline))
OPEN int getaddrinfo(const char *a, const char *b, const void *c, void **d) { return a == b; }
OPEN int gethostbyname_r(const char *name) { return !name; }
int main(int count, char **words) { return getaddrinfo(*words, 0, words, 0) + gethostbyname_r(*words); }
"""


def test_the_c_library_of_this_process() -> None:
    (path,) = (one.path for one in executable_mappings(os.getpid()) if may_hold_resolver(one.name))
    (found,) = look_into(path).resolver
    assert found.library == "libc"
    entries = {point.program for point in found.points if not point.at_return}
    assert entries == {
        "resolver_getaddrinfo",
        "resolver_getnameinfo",
        "resolver_gethostbyname",
        "resolver_gethostbyname2",
        "resolver_gethostbyaddr",
    }
    assert sum(point.program == "resolver_return" for point in found.points) == len(entries)


def test_a_static_program_with_names() -> None:
    program = compiled("resolver_static", STATIC, "-static-pie", "-fPIE", "-fno-builtin")
    (found,) = look_into(str(program)).resolver
    places = {point.program: point.offset for point in found.points if point.program != "resolver_return"}
    named = symbols(program)
    assert places["resolver_getaddrinfo"] == named["getaddrinfo"]
    assert places["resolver_gethostbyname"] == named["gethostbyname_r"]
    assert look_into(str(stripped(program))).resolver == ()


def test_node_has_what_hands_lookups_to_threads() -> None:
    node = shutil.which("node")
    assert node
    (found,) = look_into(node).resolver
    assert [(point.program, point.at_return) for point in found.points] == [("resolver_handed", False)]
    assert found.library == "libuv"


def test_others_have_none() -> None:
    assert look_into(str(library())).resolver == ()
    assert look_into("/usr/bin/getent").resolver == (), "it only calls them"


@pytest.mark.parametrize(
    ("path", "held"),
    [
        ("/usr/lib/x86_64-linux-gnu/libc.so.6", True),
        ("/lib/x86_64-linux-gnu/libc-2.31.so", True),
        ("/lib/ld-musl-x86_64.so.1", True),
        ("/usr/lib/x86_64-linux-musl/libc.so", True),
        ("/usr/lib/x86_64-linux-gnu/libuv.so.1", True),
        ("/usr/lib/libcap.so.2", False),
        ("/usr/lib/libcurl.so.4", False),
    ],
)
def test_names_of_files(path: str, held: bool) -> None:
    assert may_hold_resolver(path) == held
