"""What rules ask of a process, looked up when a rule asks for it, and once."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cached_property

from otel_ebpf.config_rules import ProcessRule
from otel_ebpf.identity.model import Container, Pod, Process
from otel_ebpf.identity.naming import matches, unit_name
from otel_ebpf.identity.owners import owner_name

__all__ = ["Traits"]

_NOWHERE = Container()
_NO_POD = Pod("")


class Traits:
    """One process. What is not known of it is empty: a glob matches that only if it matches nothing."""

    def __init__(self, process: Process, service: str, language: str) -> None:
        self._process = process
        self._service = service
        self._language = language
        self._container = process.container or _NOWHERE
        self._pod = process.pod or _NO_POD

    def fit(self, rule: ProcessRule) -> bool:
        """Say whether a rule fits, but for its ports."""
        pids = (self._process.pid, self._process.visible_pid)
        if rule.pids and not any(pid in rule.pids for pid in pids):
            return False
        container, pod = self._container, self._pod
        return (
            matches(rule, self._process)
            and _glob(rule.service, self._service)
            and _glob(rule.language, self._language)
            and _glob(rule.container, container.name)
            and (rule.image is None or self._image_fits(rule.image))
            and _glob(rule.namespace, pod.namespace)
            and _glob(rule.pod, pod.name)
            and _labels(rule.container_labels, container.labels)
            and _labels(rule.pod_labels, pod.labels)
            and (rule.unit is None or _glob(rule.unit, self._unit))
            and (rule.owner is None or self._owner_fits(rule.owner))
        )

    def _image_fits(self, glob: str) -> bool:
        image, tags = self._container.image, self._container.tags
        return any(fnmatchcase(one, glob) for one in (image, *(f"{image}:{tag}" for tag in tags)))

    def _owner_fits(self, glob: str) -> bool:
        user = self._process.user
        return user >= 0 and (fnmatchcase(str(user), glob) or fnmatchcase(self._owner, glob))

    @cached_property
    def _unit(self) -> str:
        return unit_name(self._process.cgroup)

    @cached_property
    def _owner(self) -> str:
        return owner_name(self._process)


def _glob(glob: str | None, value: str) -> bool:
    return glob is None or fnmatchcase(value, glob)


def _labels(wanted: tuple[str, ...], labels: Mapping[str, str]) -> bool:
    """Whether a label of that name, with a value that matches, is there for each `name=glob`."""
    for one in wanted:
        name, _, glob = one.partition("=")
        value = labels.get(name)
        if value is None or not fnmatchcase(value, glob):
            return False
    return True
