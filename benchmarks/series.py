"""Interleaved series: noise that changes slowly falls on every variant alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import TypeVar

Sample = TypeVar("Sample")


def interleave(variants: Mapping[str, Callable[[], Sample]], rounds: int) -> dict[str, list[Sample]]:
    """Call every variant once a round, A B C, B C A, ..., so that none always follows the same other."""
    samples: dict[str, list[Sample]] = {name: [] for name in variants}
    names = list(variants)
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            samples[name].append(variants[name]())
    return samples


def ratio(series: Sequence[float], base: Sequence[float]) -> float:
    """Return the ratio of the medians."""
    return median(series) / median(base)
