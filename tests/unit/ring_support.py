"""Stands for the mapped ring buffer, for the tests of what reads it."""

from __future__ import annotations


class Ring:
    """One batch of payloads, given anew at each read."""

    def __init__(self, *payloads: bytes) -> None:
        self.payloads = payloads

    def read(self, limit: int) -> tuple[bytes, list[tuple[int, int]]]:
        chunk, spans = b"", []
        for payload in self.payloads:
            chunk += b"LENGTH.."
            spans.append((len(chunk), len(chunk) + len(payload)))
            chunk += payload
        return chunk, spans
