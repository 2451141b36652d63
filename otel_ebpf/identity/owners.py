"""The user that a process runs as, by name."""

from __future__ import annotations

from otel_ebpf.identity.model import Process
from otel_ebpf.identity.names import clean_name
from otel_ebpf.identity.process import read_file_of

__all__ = ["owner_name"]


def owner_name(process: Process) -> str:
    """Return the user's name in the process's own /etc/passwd, else the number, as ps shows it.

    Not by getpwuid: it asks the host's directory services, which can be slow, and another root's users.
    """
    for line in read_file_of(process, "/etc/passwd").split(b"\n"):
        fields = line.split(b":", 3)
        if len(fields) == 4 and fields[2] == str(process.user).encode():
            return clean_name(fields[0].decode("utf-8", "replace")) or str(process.user)
    return str(process.user)
