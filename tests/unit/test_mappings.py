"""/proc/PID/maps, as the kernel writes it."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest

from otel_ebpf.kernel import mappings
from otel_ebpf.kernel.mappings import Mapping, executable_mappings, times_mapped

Tell = Callable[..., list[Mapping]]


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch) -> Tell:
    """Read a text as a process's; `links` says whether those in map_files can be followed."""

    def read(text: str, links: bool = False, root: str = "/") -> list[Mapping]:
        def opened(path: str, mode: str) -> BytesIO:
            assert (path, mode) == ("/proc/4242/maps", "rb")
            return BytesIO(text.encode())

        def stat(path: str) -> os.stat_result:
            if "/map_files/" in path:
                if links:
                    return os.lstat("/")
                raise PermissionError
            assert path.startswith("/proc/4242/root/")
            return os.lstat("/" if "(none)" not in path else "/none")

        monkeypatch.setattr(mappings, "open", opened, raising=False)

        def readlink(path: bytes) -> bytes:
            assert path == b"/proc/4242/root"
            return root.encode()

        fake = SimpleNamespace(stat=stat, readlink=readlink, fsdecode=os.fsdecode, fsencode=os.fsencode)
        monkeypatch.setattr(mappings, "os", fake)
        return list(executable_mappings(4242))

    return read


def test_only_code_of_files_each_once(tell: Tell) -> None:
    text = """\
55d0e8a00000-55d0e8a01000 r--p 00000000 fd:00 1234                       /usr/bin/program
55d0e8a01000-55d0e8a02000 r-xp 00001000 fd:00 1234                       /usr/bin/program
55d0e8a05000-55d0e8a06000 r-xp 00004000 fd:00 1234                       /usr/bin/program
55d0ea000000-55d0ea021000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000001000 rwxp 00000000 00:00 0
7f0000002000-7f0000003000 r-xp 00000000 fd:00 77                         /usr/lib/libssl.so.3
7f0000004000-7f0000005000 rw-p 00000000 fd:00 78                         /usr/lib/data
7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                          [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
"""
    assert [one.name for one in tell(text)] == ["/usr/bin/program", "/usr/lib/libssl.so.3"]


def test_names_with_spaces_and_of_deleted_files(tell: Tell) -> None:
    text = """\
7f0000002000-7f0000003000 r-xp 00000000 fd:00 77    /opt/my programs/lib ssl.so
7f0000004000-7f0000005000 r-xp 00000000 fd:00 78    /usr/lib/libssl.so.3 (deleted)
7f0000006000-7f0000007000 r-xp 00000000 fd:00 79    /usr/lib/libssl.so.3
"""
    assert [one.name for one in tell(text, links=True)] == [
        "/opt/my programs/lib ssl.so",
        "/usr/lib/libssl.so.3",
    ]


def test_a_deleted_file_is_not_the_one_that_has_its_name_now(tell: Tell) -> None:
    text = "7f0000004000-7f0000005000 r-xp 00000000 fd:00 78    /usr/lib/libssl.so.3 (deleted)\n"
    assert [one.name for one in tell(text, links=True)] == ["/usr/lib/libssl.so.3"]
    assert not tell(text)


def test_files_of_a_chroot_are_named_as_in_there(tell: Tell) -> None:
    text = """\
7f0000002000-7f0000003000 r-xp 00000000 fd:00 77    /srv/old/usr/lib/libssl.so.1.1
7f0000004000-7f0000005000 r-xp 00000000 fd:00 78    /srv/older/usr/lib/libssl.so.1.1
"""
    named = [(one.name, one.path) for one in tell(text, root="/srv/old")]
    assert named == [
        ("/usr/lib/libssl.so.1.1", "/proc/4242/root/usr/lib/libssl.so.1.1"),
        ("/srv/older/usr/lib/libssl.so.1.1", "/proc/4242/root/srv/older/usr/lib/libssl.so.1.1"),
    ]


def test_low_addresses(tell: Tell) -> None:
    """Of a program that is not position independent: maps fills them up to 8 digits, map_files does not."""
    text = "00400000-00401000 r-xp 00000000 fd:00 12    /usr/bin/program\n"
    assert [one.path for one in tell(text, links=True)] == ["/proc/4242/map_files/400000-401000"]
    assert [one.path for one in tell(text)] == ["/proc/4242/root/usr/bin/program"]


@pytest.mark.parametrize(("offset", "times"), [(0x1000, 2), (0x1FFF, 2), (0x2000, 1), (0x3000, 0), (0, 0)])
def test_how_often_code_is_mapped(tell: Tell, offset: int, times: int) -> None:
    tell("""\
7f0000000000-7f0000002000 r-xp 00001000 fd:00 77                         /usr/bin/node
7f0000002000-7f0000005000 r--p 00000000 fd:00 77                         /usr/bin/node
7f0000008000-7f0000009000 r-xp 00001000 fd:00 77                         /usr/bin/node
7f000000a000-7f000000b000 r-xp 00001000 fd:00 78                         /usr/bin/other
""")
    assert times_mapped(4242, "/usr/bin/node", offset) == times


def test_a_file_that_cannot_be_found_is_left_out(tell: Tell) -> None:
    assert tell("7f0000002000-7f0000003000 r-xp 00000000 fd:00 77    /usr/(none)\n") == []


def test_nothing_of_a_process_that_is_gone() -> None:
    assert list(executable_mappings(1 << 30)) == []


def test_of_this_process() -> None:
    found = list(executable_mappings(os.getpid()))
    assert os.path.samefile(found[0].path, "/proc/self/exe")
    assert any("libc" in one.name for one in found)
    assert len({one.name for one in found}) == len(found)
    for one in found:
        stat = os.stat(one.path)
        assert one.file == (stat.st_dev, stat.st_ino)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: links of map_files")
def test_the_very_file_is_opened_though_another_has_its_name(tmp_path: Path) -> None:
    path = tmp_path / "libssl.so"
    path.write_bytes(b"old" * 2000)
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC),
    ):
        path.unlink()
        path.write_bytes(b"new" * 2000)
        (found,) = (one for one in executable_mappings(os.getpid()) if one.name == str(path))
        assert Path(found.path).read_bytes()[:3] == b"old"
