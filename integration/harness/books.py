"""The ledger as the tests read it: what changed, and whether it balances."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from integration.harness.limits import wait_until

KERNEL_OUTCOMES = (
    "exchange_passed",
    "exchange_ring_full",
    "exchange_streamed",
    "exchange_ignored",
    "exchange_discovery",
    "exchange_encrypted",
    "exchange_mismatch",
    "exchange_in_flight",
)
PIECE_OUTCOMES = ("piece_passed", "piece_ring_full")
PROTOCOL_OUTCOMES = (
    "protocol_passed",
    "protocol_unknown",
    "protocol_unsupported",
    "protocol_discovery",
    "protocol_unparsed",
)
CALL_SOURCES = ("protocol_passed", "protocol_stream_call")
SIGNAL_OUTCOMES = ("signal_span", "signal_unsampled", "signal_spans_off")
LOOKUP_OUTCOMES = (
    "lookup_passed",
    "lookup_ring_full",
    "lookup_discovery",
    "lookup_numeric",
    "lookup_unread",
)
LOOKUP_SIGNALS = (
    "signal_lookup_span",
    "signal_lookup_unsampled",
    "signal_lookup_no_span",
    "signal_lookup_discovery",
    "signal_lookup_failed",
)
SPANS = ("signal_span", "signal_connect_span", "signal_handshake_span", "signal_lookup_span")
CONNECT_SIGNALS = ("signal_connect_span", "signal_connect_unsampled", "signal_connect_failed")
DATAGRAM_OUTCOMES = (
    "datagram_passed",
    "datagram_ring_full",
    "datagram_lookup",
    "datagram_discovery",
    "datagram_unread",
)
DATAGRAM_MEANINGS = (
    "protocol_datagram_passed",
    "protocol_datagram_discovery",
    "protocol_datagram_unmatched",
    "protocol_datagram_unparsed",
)
EXPORT_OUTCOMES = (
    "export_passed",
    "export_queue_full",
    "export_failed",
    "export_expired",
    "export_rejected",
    "export_shutdown",
    "export_in_flight",
    "export_disk_full",
    "export_disk_expired",
    "export_disk_corrupt",
    "export_on_disk",
)
UNSEEN = (
    "event_unseen_kernel_buffer",
    "event_unseen_io_uring",
    "event_unseen_compat",
    "event_unseen_syscall",
    "event_gap",
    "event_fault",
)
"""Bytes that passed and could not be read, by reason."""

_RULES = (
    (("exchange_seen",), KERNEL_OUTCOMES),
    (("piece_seen",), PIECE_OUTCOMES),
    (("exchange_passed",), ("reader_exchange",)),
    (("piece_passed",), ("reader_piece",)),
    (("reader_exchange",), PROTOCOL_OUTCOMES),
    (("signal_seen",), CALL_SOURCES),
    (("signal_seen",), SIGNAL_OUTCOMES),
    (("lookup_seen",), LOOKUP_OUTCOMES),
    (("lookup_passed",), ("reader_lookup",)),
    (("datagram_seen",), DATAGRAM_OUTCOMES),
    (("datagram_passed",), ("reader_datagram",)),
    (("reader_datagram",), DATAGRAM_MEANINGS),
    (("protocol_lookup_seen",), ("protocol_lookup_passed", "protocol_lookup_in_flight")),
    (("signal_lookup_seen",), ("reader_lookup", "protocol_lookup_passed")),
    (("signal_lookup_seen",), LOOKUP_SIGNALS),
    (("signal_connect_seen",), CONNECT_SIGNALS),
    (("export_seen",), SPANS),
    (("export_seen", "export_recovered"), EXPORT_OUTCOMES),
)
_IN_BOOKS = frozenset(name for left, right in _RULES for name in (*left, *right))


def total(ledger: Mapping[str, int], names: tuple[str, ...]) -> int:
    """Sum of entries. A name that the ledger does not have is an error of the test."""
    return sum(ledger[name] for name in names)


def since(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Entry by entry, what was added."""
    return {name: after[name] - before.get(name, 0) for name in after}


def imbalances(ledger: Mapping[str, int]) -> list[str]:
    """The books that do not balance, each as one line; empty when all do.

    No column is computed from the others in the agent, so that this says something.
    """
    wrong = []
    for left, right in _RULES:
        if total(ledger, left) != total(ledger, right):
            wrong.append(f"{_parts(ledger, left)} != {_parts(ledger, right)}")
    return wrong


def _parts(ledger: Mapping[str, int], names: tuple[str, ...]) -> str:
    return " + ".join(f"{name} {ledger[name]}" for name in names if ledger[name]) or "0"


def settled(read: Callable[[], dict[str, int]]) -> dict[str, int]:
    """Read the ledger until two readings agree and the books balance, or time is up.

    The entries are not read at one instant: under traffic a reading can be off by what passed
    meanwhile. A last reading at rest is returned, balanced or not; the caller asserts. Entries that never
    come to rest are an error: the agent then takes in what it should not. Events that are filtered
    go on for as long as anything on the host talks, and are not waited for.
    """
    previous: dict[str, int] = {}
    last: dict[str, int] = {}

    def moving() -> list[str]:
        return [name for name in _IN_BOOKS if previous.get(name) != last[name]]

    def is_settled() -> bool:
        nonlocal previous, last
        previous, last = last, read()
        return not moving() and not imbalances(last)

    assert wait_until(is_settled, every=0.1) or not moving(), f"still counting: {moving()}"
    return last
