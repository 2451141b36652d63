"""Which files are a JVM's."""

from __future__ import annotations

from test_binaries_support import compiled, stripped

from otel_ebpf.kernel.contents import look_into
from otel_ebpf.kernel.runtimes import may_hold_runtime

MAKES = "__attribute__((noinline)) int JNI_CreateJavaVM(void **machine) { return !machine; }\n"
STARTS = "__attribute__((noinline)) void JVM_StartThread(void *environment) { }\n"


def test_the_library_of_a_machine() -> None:
    assert may_hold_runtime("/usr/lib/jvm/java-17/lib/server/libjvm.so")
    runtime = look_into(str(stripped(compiled("libjvm", MAKES + STARTS, "-shared", "-fPIC")))).runtime
    assert runtime is not None
    assert (runtime.name, runtime.kind, runtime.points) == ("java", 6, ())


def test_what_only_makes_a_machine_is_none() -> None:
    assert look_into(str(compiled("launcher", MAKES, "-shared", "-fPIC"))).runtime is None
