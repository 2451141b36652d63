"""What resource detectors of the OpenTelemetry project find out about this host: `cloud.*`, `host.*`.

They are found by entry point and run as the SDK does, each on a thread of its own: one asks a metadata
service, which may be slow, or not there. What they say of a service, a process or a container is of the agent
itself, and is left out.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from threading import Thread

from otel_ebpf.identity.model import Attributes, AttributeValue
from otel_ebpf.identity.names import clean_name

__all__ = ["Detectors"]

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 5.0
"""As the SDK has it."""

ATTRIBUTES_MAX = 64

_GROUP = "opentelemetry_resource_detector"
_OF_THE_HOST = ("cloud.", "host.", "os.", "k8s.cluster.")


class Detectors:
    """Those of the given names. What a later one says wins. `clock` is monotonic, in seconds."""

    def __init__(self, names: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._names = names
        self._clock = clock
        self._found: dict[str, Attributes] = {}
        self._asking: list[Thread] = []
        self._until: float | None = None

    def start(self) -> None:
        """Begin to ask. The threads are daemons: they may be waiting for an answer when the agent ends."""
        self._asking = [Thread(target=self._ask, args=(one,), name=one, daemon=True) for one in self._names]
        for thread in self._asking:
            thread.start()

    def take(self) -> Attributes:
        """Return what was found, once: when all have answered, or their time is over. Does not wait.

        Their time begins when they are asked for the first time.
        """
        if self._until is None:
            self._until = self._clock() + PATIENCE_SECONDS
        late = [thread.name for thread in self._asking if thread.is_alive()]
        if not self._asking or (late and self._clock() < self._until):
            return ()
        for name in late:
            logger.warning(
                "the resource detector %s does not answer, and is no longer waited for: take it out of "
                "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS, or start anew when it can answer",
                name,
            )
        self._asking = []
        merged: dict[str, AttributeValue] = {}
        for name in self._names:
            merged.update(self._found.get(name, ()))
        return tuple(merged.items())

    def _ask(self, name: str) -> None:
        try:
            (entry, *_) = entry_points(group=_GROUP, name=name) or (None,)
            if entry is None:
                logger.warning(
                    "no resource detector is installed by the name %s: install its package, or take it out "
                    "of OTEL_EXPERIMENTAL_RESOURCE_DETECTORS",
                    name,
                )
                return
            self._found[name] = _of_the_host(entry.load()().detect().attributes)
        except Exception as error:  # it is anybody's code
            logger.warning(
                "the resource detector %s has failed (%s): mend that and start anew, or take it out of "
                "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS",
                *(name, error),
            )


def _of_the_host(attributes: Mapping[str, object]) -> Attributes:
    kept: list[tuple[str, AttributeValue]] = []
    for key, value in list(attributes.items())[:ATTRIBUTES_MAX]:
        if key.startswith(_OF_THE_HOST):
            if isinstance(value, str):
                kept.append((key, clean_name(value)))
            elif isinstance(value, bool | int | float):
                kept.append((key, value))
    return tuple((key, value) for key, value in kept if value != "")
