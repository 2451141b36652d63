"""Where uprobes go: functions, and their return instructions, in ELF files on disk.

The files belong to whoever runs them, in containers too: nothing in them is believed. What cannot be
read ends in `BinaryError`, and soon.
"""

from otel_ebpf.kernel.binaries.elf import Elf, Function
from otel_ebpf.kernel.binaries.errors import BinaryError
from otel_ebpf.kernel.binaries.go_binary import GoBinary

__all__ = ["BinaryError", "Elf", "Function", "GoBinary"]
