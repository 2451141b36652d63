"""When metrics leave."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.metrics.export import MetricsData

from otel_ebpf.collection import LEAVING_MOST, Collection
from otel_ebpf.identity.model import Service
from otel_ebpf.signals.instruments import Instruments, Kind


def test_what_ended_processes_leave_goes_ahead_when_there_are_too_many() -> None:
    sent: list[MetricsData] = []
    instruments = Instruments(1)
    counter = instruments.number("c", "{x}", "of c", Kind.COUNTER)
    collection = Collection(sent.append, "", instruments, None, 1, own_attributes=())
    services = [
        Service(pid, "job", "", (("service.instance.id", str(pid)),)) for pid in range(LEAVING_MOST + 1)
    ]
    for service in services:
        counter.series(service, ()).add(1)
    for service in services[: LEAVING_MOST - 1]:
        instruments.forget(service)
    collection.make_room()
    assert instruments.leaving == LEAVING_MOST - 1
    instruments.forget(services[LEAVING_MOST - 1])
    collection.make_room()
    assert instruments.leaving == 0
    collection.stop()
    (ahead,) = sent
    told = {one.resource.attributes["service.instance.id"] for one in ahead.resource_metrics}
    assert told == {str(service.resource[0][1]) for service in services[:LEAVING_MOST]}


@pytest.mark.parametrize(("ended", "told"), [(LEAVING_MOST - 1, LEAVING_MOST), (LEAVING_MOST, 0)])
def test_many_ended_processes_are_told_of_once(ended: int, told: int) -> None:
    sent: list[MetricsData] = []
    instruments = Instruments(1)
    counter = instruments.number("c", "{x}", "of c", Kind.COUNTER)
    services = [Service(pid, "job", "", (("service.instance.id", str(pid)),)) for pid in range(LEAVING_MOST)]
    for service in services:
        counter.series(service, ()).add(1)
    collection = Collection(sent.append, "", instruments, None, 1, own_attributes=())
    collection.collect(set(services[:ended]))
    collection.stop()
    assert sum(len(one.resource_metrics) for one in sent) == told
