"""What can go wrong with a file that uprobes are wanted in."""

from __future__ import annotations


class BinaryError(Exception):
    """The file is broken, hostile or of a kind that is not supported. One line says what."""
