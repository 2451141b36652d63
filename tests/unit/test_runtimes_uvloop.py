"""Which files are uvloop's, and where in them the probes go."""

from __future__ import annotations

from test_binaries_support import compiled, stripped

from otel_ebpf.kernel.contents import look_into
from otel_ebpf.kernel.runtimes import may_hold_runtime

BEGINS = '__attribute__((visibility("default"))) void *PyInit_loop(void) { return 0; }\n'
FUNCTIONS = """
#define KEPT static __attribute__((noinline, used))
KEPT void *__pyx_f_6uvloop_4loop_run_in_context1(void *context, void *method, void *with)
{
    return context == method ? with : method;
}
KEPT void __pyx_f_6uvloop_4loop_8UVStream__buffer_write(void *stream, void *data) { }
"""
LIBRARY = ("-shared", "-fPIC")


def test_a_wheel() -> None:
    assert may_hold_runtime("/srv/site-packages/uvloop/loop.cpython-311-x86_64-linux-gnu.so")
    runtime = look_into(str(compiled("uvloop_whole", BEGINS + FUNCTIONS, *LIBRARY))).runtime
    assert runtime is not None
    assert (runtime.name, runtime.kind, runtime.places) == ("python", 0, b"")
    assert {point.program for point in runtime.points} == {"uvloop_calls", "uvloop_called", "uvloop_writes"}


def test_what_a_distribution_has_stripped() -> None:
    made = stripped(compiled("uvloop_whole", BEGINS + FUNCTIONS, *LIBRARY))
    assert "without its symbols" in look_into(str(made)).not_followed


def test_another_library_of_functions() -> None:
    contents = look_into(str(compiled("no_uvloop", FUNCTIONS, *LIBRARY)))
    assert contents.runtime is None
    assert not contents.not_followed
