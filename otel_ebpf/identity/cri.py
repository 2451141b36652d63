"""Names, images and labels of a node's containers, from the Container Runtime Interface (containerd, CRI-O).

All are listed at the start, and again when somebody asks for one that is not known: a runtime knows a
container before it starts it. Its events would tell sooner, but only from containerd 1.7 on. Their labels are
the kubelet's, and name the pod, so that something is known where the API server may not be asked.
"""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from collections.abc import Callable, Iterator
from threading import Event
from typing import TYPE_CHECKING

from otel_ebpf.identity.docker import image_and_tags
from otel_ebpf.identity.model import Container
from otel_ebpf.identity.watching import Cache, Follower
from otel_ebpf.identity.wire_fields import fields_of, text_of

if TYPE_CHECKING:
    import grpc

__all__ = ["CriSource", "containers_in"]

CONTAINERS_MAX = 4096
LABELS_MAX = 64
VALUE_CHARACTERS = 1024
ASKED_KEPT = 4096
TIMEOUT_SECONDS = 10.0
PAUSE_SECONDS = 0.1
LOOK_SECONDS = 60.0

_RUNTIMES = frozenset(("", "containerd", "cri-o"))
_SERVICE = "/runtime.v1.RuntimeService/"


class CriSource:
    """The containers of one runtime, by its socket. Everything is for any thread."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._containers: Cache[Container] = Cache(CONTAINERS_MAX)
        self._wanted = Event()
        self._asked: OrderedDict[str, None] = OrderedDict()  # each has the list made once
        self._stopped = False
        self._follower = Follower(f"the CRI at {path}", self._follow)

    def start(self) -> None:
        """Begin. A socket that is not there yet is looked for, at most once a minute."""
        self._follower.hopeful = self._is_there()
        self._follower.start()

    def stop(self) -> None:
        """No longer."""
        self._stopped = True
        self._follower.stop()
        self._wanted.set()

    def serves(self, runtime: str) -> bool:
        """Whether that runtime's containers ("" for unknown) may be here."""
        return runtime in _RUNTIMES

    @property
    def hopeful(self) -> bool:
        """Whether facts that are not there yet may come soon."""
        return self._follower.hopeful

    def facts(self, identifier: str) -> Container | None:
        """Return what is known of a container; where that is nothing, have it listed anew, once."""
        found = self._containers.get(identifier)
        if found is None and identifier not in self._asked:
            self._asked[identifier] = None
            if len(self._asked) > ASKED_KEPT:
                self._asked.popitem(last=False)
            self._wanted.set()
        return found

    def _is_there(self) -> bool:
        try:
            return stat.S_ISSOCK(os.stat(self._path).st_mode)
        except OSError:
            return False

    def _follow(self, listed: Callable[[], None]) -> None:
        if not self._is_there():
            raise FileNotFoundError(self._path)
        import grpc  # noqa: PLC0415  where OTLP goes by HTTP, nobody else needs it

        with grpc.insecure_channel(f"unix:{self._path}") as channel:
            try:
                runtime = text_of(_call(channel, "Version", b""), 2)
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.UNIMPLEMENTED:  # Docker's containerd
                    raise FileNotFoundError(f"{self._path} is no CRI") from None
                raise
            while not self._stopped:
                self._list(channel, runtime)
                listed()
                self._wanted.wait(LOOK_SECONDS)
                self._follower.pause(PAUSE_SECONDS)  # several may be asked for at once

    def _list(self, channel: grpc.Channel, runtime: str) -> None:
        self._wanted.clear()
        found = dict(containers_in(_call(channel, "ListContainers", b""), runtime))
        for identifier, container in found.items():
            self._containers.put(identifier, container)
        self._containers.keep_only(set(found))


def containers_in(answer: bytes, runtime: str) -> Iterator[tuple[str, Container]]:
    """Yield the containers of a ListContainersResponse, by id. Raises `SourceError`."""
    for number, message in fields_of(answer):
        if number != 1:
            continue
        identifier = name = image = ""
        labels: dict[str, str] = {}
        for field, value in fields_of(message):
            if field == 1:
                identifier = value.decode("ascii", "replace")
            elif field == 3:  # ContainerMetadata
                name = text_of(value, 1)[:VALUE_CHARACTERS]
            elif field == 4:  # ImageSpec; what the user wrote is in its 18th field, of newer runtimes alone
                image = (text_of(value, 18) or text_of(value, 1))[:VALUE_CHARACTERS]
            elif field == 8 and len(labels) < LABELS_MAX:
                labels[text_of(value, 1)[:VALUE_CHARACTERS]] = text_of(value, 2)[:VALUE_CHARACTERS]
        image, tags = image_and_tags(image)
        yield identifier, Container(identifier, runtime, name, image, tags, labels)


def _call(channel: grpc.Channel, method: str, request: bytes) -> bytes:
    send = channel.unary_unary(_SERVICE + method, None, None)  # None: messages are bytes
    answer: bytes = send(request, timeout=TIMEOUT_SECONDS)
    return answer
