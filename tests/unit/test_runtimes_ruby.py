"""Which files are Ruby's library for sockets, and where in it the probes go."""

from __future__ import annotations

from test_binaries_support import compiled, stripped

from otel_ebpf.kernel.contents import look_into
from otel_ebpf.kernel.runtimes import may_hold_runtime

BEGINS = "__attribute__((noinline)) void Init_socket(void) { }\n"
CLASS = "unsigned long rb_cBasicSocket;\n"
ASKS = """
#include <sys/socket.h>
int asks(int one, struct sockaddr *where, socklen_t *size)
{
    return getpeername(one, where, size) + getsockname(one, where, size);
}
int asks_for(int one, void *value, socklen_t *size) { return getsockopt(one, 6, 11, value, size); }
"""
LIBRARY = ("-shared", "-fPIC")


def test_the_library_for_sockets() -> None:
    assert may_hold_runtime("/usr/lib/x86_64-linux-gnu/ruby/3.1.0/socket.so")
    runtime = look_into(str(stripped(compiled("ruby_socket", BEGINS + CLASS + ASKS, *LIBRARY)))).runtime
    assert runtime is not None
    assert (runtime.name, runtime.kind, runtime.unless) == ("ruby", 7, "RUBY_MN_THREADS")
    assert {point.program for point in runtime.points} == {"ruby_option", "ruby_peer", "ruby_name"}
    assert len({point.offset for point in runtime.points}) == 3


def test_another_library_for_sockets() -> None:
    contents = look_into(str(compiled("no_ruby_socket", BEGINS + ASKS, *LIBRARY)))
    assert contents.runtime is None
    assert not contents.not_followed


def test_one_without_stubs() -> None:
    made = compiled("ruby_socket_closed", BEGINS + CLASS + ASKS, *LIBRARY, "-fno-plt", "-O1")
    assert "getpeername, getsockname, getsockopt" in look_into(str(made)).not_followed
