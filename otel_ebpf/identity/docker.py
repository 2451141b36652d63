"""Names, images and labels of containers, from the Docker Engine API, which Podman speaks too.

All containers are listed once and then followed by `/events`, whose message on a container holds its name,
image and labels: so they are known when its first process starts, and also of one that is gone a
moment later, when there would be nothing left to inspect.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from otel_ebpf.identity.model import Container
from otel_ebpf.identity.watching import Cache, Follower, SourceError, object_of

__all__ = ["DockerSource", "image_and_tags"]

CONTAINERS_MAX = 8192
LABELS_MAX = 128
VALUE_CHARACTERS = 1024
LIST_BYTES = 64 << 20
EVENT_BYTES = 1 << 20

_EVENTS = "/events?filters=" + quote(json.dumps({"type": ["container"]}))
_HERE = frozenset(("create", "start", "init", "rename", "update"))
_GONE = frozenset(("destroy", "remove"))
_IN_ACTOR = frozenset(("name", "image", "oldName", "exitCode", "containerExitCode", "execID", "signal"))


class DockerSource:
    """The containers of one daemon, by its socket. Everything is for any thread."""

    def __init__(self, path: str, runtime: str) -> None:
        self.runtime = runtime
        self._path = path
        self._containers: Cache[Container] = Cache(CONTAINERS_MAX)
        self._follower = Follower(f"{runtime} at {path}", self._follow)

    def start(self) -> None:
        """Begin to follow. A socket that is not there yet is looked for, at most once a minute."""
        self._follower.hopeful = _is_socket(self._path)
        self._follower.start()

    def stop(self) -> None:
        """No longer."""
        self._follower.stop()

    def facts(self, identifier: str) -> Container | None:
        """Return what is known of a container."""
        return self._containers.get(identifier)

    def serves(self, runtime: str) -> bool:
        """Whether that runtime's containers ("" for unknown) may be this daemon's."""
        return runtime in {"", self.runtime}

    @property
    def hopeful(self) -> bool:
        """Whether facts that are not there yet may come soon."""
        return self._follower.hopeful

    def _follow(self, listed: Callable[[], None]) -> None:
        if not _is_socket(self._path):
            raise FileNotFoundError(self._path)
        from otel_ebpf.identity.unix_http import asked  # noqa: PLC0415

        # Events first, so that nothing is missed between the list and them.
        with asked(self._path, _EVENTS, patient=True) as events:
            with asked(self._path, "/containers/json?all=1") as answer:
                self._list(answer.read(LIST_BYTES))
            listed()
            while line := events.readline(EVENT_BYTES):
                self._take_event(object_of(line))

    def _list(self, raw: bytes) -> None:
        found = json.loads(raw)
        if not isinstance(found, list):
            raise SourceError("the list of containers is none")
        keys = set()
        for one in found:
            if isinstance(one, dict) and isinstance(one.get("Id"), str):
                names = one.get("Names")
                name = names[0] if isinstance(names, list) and names else ""
                keys.add(one["Id"])
                self._put(one["Id"], name, one.get("Image"), one.get("Labels"))
        self._containers.keep_only(keys)

    def _take_event(self, event: Mapping[str, Any]) -> None:
        actor = event.get("Actor")
        if not isinstance(actor, dict) or not isinstance(actor.get("ID"), str):
            return
        action = str(event.get("Action", ""))
        attributes = actor.get("Attributes")
        if action in _GONE:
            self._containers.remove(actor["ID"])
        elif action in _HERE and isinstance(attributes, dict):
            labels = {key: value for key, value in attributes.items() if key not in _IN_ACTOR}
            self._put(actor["ID"], attributes.get("name"), attributes.get("image"), labels)

    def _put(self, identifier: str, name: object, image: object, labels: object) -> None:
        image, tags = image_and_tags(_text(image))
        kept = labels if isinstance(labels, dict) else {}
        known = {_text(key): _text(kept[key]) for key in list(kept)[:LABELS_MAX]}
        container = Container(identifier, self.runtime, _text(name).lstrip("/"), image, tags, known)
        self._containers.put(identifier, container)


def image_and_tags(reference: str) -> tuple[str, tuple[str, ...]]:
    """Split `registry:5000/shop/web:1.2@sha256:...` into name and tags; ("", ()) for a bare digest."""
    name = reference.partition("@")[0]
    if name.startswith("sha256:"):
        return "", ()
    at = name.rfind(":")
    if at < 0 or "/" in name[at:]:  # a colon before the last slash is of a port
        return name, ()
    return name[:at], (name[at + 1 :],)


def _is_socket(path: str) -> bool:
    try:
        return Path(path).is_socket()
    except OSError:  # of a directory that cannot be looked into
        return False


def _text(value: object) -> str:
    return value[:VALUE_CHARACTERS] if isinstance(value, str) else ""
