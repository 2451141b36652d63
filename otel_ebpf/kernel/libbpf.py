"""libbpf.so.1 by ctypes: only the calls that are used, and its messages kept for whoever asks.

No compiler, no headers and no LLVM are needed at run time.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import os
import threading
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint16, c_uint32, c_uint64, c_void_p

from otel_ebpf.kernel.errors import KernelError

_MESSAGES_KEPT = 400

_Print = ctypes.CFUNCTYPE(c_int, c_int, c_char_p, c_void_p)


class TestRunOptions(ctypes.Structure):
    """struct bpf_test_run_opts."""

    _fields_ = [
        ("sz", c_size_t),
        ("data_in", c_void_p),
        ("data_out", c_void_p),
        ("data_size_in", c_uint32),
        ("data_size_out", c_uint32),
        ("ctx_in", c_void_p),
        ("ctx_out", c_void_p),
        ("ctx_size_in", c_uint32),
        ("ctx_size_out", c_uint32),
        ("retval", c_uint32),
        ("repeat", c_int),
        ("duration", c_uint32),
        ("flags", c_uint32),
        ("cpu", c_uint32),
        ("batch_size", c_uint32),
    ]


class UprobeOptions(ctypes.Structure):
    """struct bpf_uprobe_opts, as far as it is used."""

    _fields_ = [
        ("sz", c_size_t),
        ("reference_count", c_size_t),
        ("cookie", c_uint64),
        ("at_return", ctypes.c_bool),
    ]


_POINTER_RESULTS = {
    "bpf_object__open_file": (c_char_p, c_void_p),
    "bpf_object__next_program": (c_void_p, c_void_p),
    "bpf_object__next_map": (c_void_p, c_void_p),
    "bpf_program__attach": (c_void_p,),
    "bpf_program__attach_cgroup": (c_void_p, c_int),
    "bpf_program__attach_uprobe_opts": (c_void_p, c_int, c_char_p, c_size_t, POINTER(UprobeOptions)),
    "bpf_map__initial_value": (c_void_p, POINTER(c_size_t)),
}
_STRING_RESULTS = {
    "bpf_program__name": (c_void_p,),
    "bpf_program__section_name": (c_void_p,),
    "bpf_map__name": (c_void_p,),
}
_INTEGER_RESULTS = {
    "bpf_object__load": (c_void_p,),
    "bpf_program__set_autoload": (c_void_p, ctypes.c_bool),
    "bpf_program__set_expected_attach_type": (c_void_p, c_int),
    "bpf_program__fd": (c_void_p,),
    "bpf_map__fd": (c_void_p,),
    "bpf_map__reuse_fd": (c_void_p, c_int),
    "bpf_map__set_max_entries": (c_void_p, c_uint32),
    "bpf_map__set_value_size": (c_void_p, c_uint32),
    "bpf_map__value_size": (c_void_p,),
    "bpf_map__max_entries": (c_void_p,),
    "bpf_link__destroy": (c_void_p,),
    "bpf_link__fd": (c_void_p,),
    "bpf_map_lookup_elem": (c_int, c_void_p, c_void_p),
    "bpf_map_update_elem": (c_int, c_void_p, c_void_p, c_uint64),
    "bpf_map_delete_elem": (c_int, c_void_p),
    "bpf_map_get_next_key": (c_int, c_void_p, c_void_p),
    "bpf_map_lookup_and_delete_batch": (c_int, *(c_void_p,) * 4, POINTER(c_uint32), c_void_p),
    "bpf_iter_create": (c_int,),
    "bpf_enable_stats": (c_int,),
    "bpf_map_lookup_and_delete_elem": (c_int, c_void_p, c_void_p),
    "bpf_prog_attach": (c_int, c_int, c_int, c_uint32),
    "bpf_prog_test_run_opts": (c_int, POINTER(TestRunOptions)),
    "bpf_obj_get_info_by_fd": (c_int, c_void_p, POINTER(c_uint32)),
    "libbpf_num_possible_cpus": (),
}


class Libbpf:
    """The loaded library. Calls that fail raise `KernelError` with libbpf's own last words."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL("libbpf.so.1", use_errno=True)
        except OSError as error:
            raise KernelError(
                f"libbpf.so.1 cannot be loaded ({error}): install it (Debian, Ubuntu: apt install libbpf1)"
            ) from error
        self._libc = ctypes.CDLL(None)
        self._told = threading.local()
        for table, result in (
            (_POINTER_RESULTS, c_void_p),
            (_STRING_RESULTS, c_char_p),
            (_INTEGER_RESULTS, c_int),
        ):
            for name, arguments in table.items():
                function = getattr(self._library, name)
                function.restype = result
                function.argtypes = arguments
        self._library.bpf_object__close.restype = None
        self._library.bpf_object__close.argtypes = (c_void_p,)
        self._print = _Print(self._keep_message)  # referenced for as long as libbpf may call it
        self._library.libbpf_set_print(self._print)

    def _keep_message(self, level: int, text: bytes, arguments: int) -> int:
        """Format libbpf's message (its va_list is a pointer on x86-64 and on arm64)."""
        if level > 1:  # LIBBPF_DEBUG
            return 0
        buffer = ctypes.create_string_buffer(1 << 24)
        self._libc.vsnprintf(buffer, c_size_t(len(buffer)), text, c_void_p(arguments))
        self.messages.extend(buffer.value.decode(errors="replace").splitlines())
        del self.messages[:-_MESSAGES_KEPT]
        return 0

    @property
    def messages(self) -> list[str]:
        """What libbpf has said lately, of this thread's calls."""
        if not hasattr(self._told, "messages"):
            self._told.messages = []
        kept: list[str] = self._told.messages
        return kept

    def integer(self, name: str, *arguments: object) -> int:
        """Call a function that returns a negative errno on failure."""
        result = int(getattr(self._library, name)(*arguments))
        if result < 0:
            self._fail(name, -result if result != -1 else ctypes.get_errno())
        return result

    def pointer(self, name: str, *arguments: object) -> int:
        """Call a function that returns NULL, with errno set, on failure."""
        result = getattr(self._library, name)(*arguments)
        if not result:
            self._fail(name, ctypes.get_errno())
        return int(result)

    def next(self, name: str, of: int, after: int | None) -> int | None:
        """Step through the programs or maps of an object; None at the end."""
        result = getattr(self._library, name)(of, after)
        return int(result) if result else None

    def string(self, name: str, of: int) -> str:
        """Call a function that returns a C string."""
        return bytes(getattr(self._library, name)(of) or b"").decode()

    def close_object(self, handle: int) -> None:
        """Unload an object: its programs and the maps that nobody else holds."""
        self._library.bpf_object__close(handle)

    def initial_value(self, map_handle: int) -> memoryview:
        """Return the writable image of a global data section, to be filled before loading."""
        size = c_size_t()
        address = self.pointer("bpf_map__initial_value", map_handle, byref(size))
        return memoryview((ctypes.c_char * size.value).from_address(address)).cast("B")

    def _fail(self, name: str, code: int) -> None:
        text = os.strerror(code) if code else "failed"
        raise KernelError(f"{name}: {text} ({errno.errorcode.get(code, code)})", code=code)


_loaded: list[Libbpf] = []


def libbpf() -> Libbpf:
    """Return the library, loaded at the first call."""
    if not _loaded:
        _loaded.append(Libbpf())
    return _loaded[0]


def keys_of(fd: int, kind: type[c_uint16 | c_uint32 | c_uint64]) -> list[int]:
    """Return the keys of a hash map of integers."""
    keys: list[int] = []
    key = kind()
    previous: object = None
    while True:
        try:
            libbpf().integer("bpf_map_get_next_key", fd, previous, byref(key))
        except KernelError:
            return keys
        keys.append(key.value)
        previous = byref(kind(key.value))


__all__ = ["Libbpf", "TestRunOptions", "UprobeOptions", "keys_of", "libbpf"]
