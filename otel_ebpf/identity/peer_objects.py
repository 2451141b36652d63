"""Services and EndpointSlices as the API server writes them: what peers are called, and where they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from itertools import chain
from typing import Any

from otel_ebpf.identity.names import clean_name
from otel_ebpf.identity.peer_names import Address, Peer
from otel_ebpf.identity.place_names import label_name

__all__ = ["Found", "address_of", "endpoints_of", "service_of"]

ENDPOINTS_MAX = 1000  # the API server's own limit for a slice
PORTS_MAX = 100  # the same
ADDRESSES_MAX = 100

_SERVICE_NAME = "kubernetes.io/service-name"

Found = tuple[Peer, list[Address]]


def service_of(service: Mapping[str, Any]) -> Found | None:
    """Return where a Service (core/v1) answers: at its cluster IPs and its load balancer's."""
    metadata, spec, status = (_mapping(service.get(part)) for part in ("metadata", "spec", "status"))
    ingress = _all(_mapping(status.get("loadBalancer")).get("ingress"), ADDRESSES_MAX)
    addresses = [*_listed(spec.get("clusterIPs"), ADDRESSES_MAX), *(one.get("ip") for one in ingress)]
    return _found(metadata, _text(metadata.get("name")), addresses, spec.get("ports"))


def endpoints_of(endpoints: Mapping[str, Any]) -> Found | None:
    """Return where the pods of an EndpointSlice (discovery.k8s.io/v1) answer, under their service's name.

    The controller puts the service's labels on it.
    """
    metadata = _mapping(endpoints.get("metadata"))
    name = _text(_mapping(metadata.get("labels")).get(_SERVICE_NAME))
    each = _all(endpoints.get("endpoints"), ENDPOINTS_MAX)
    addresses = chain.from_iterable(_listed(one.get("addresses"), ADDRESSES_MAX) for one in each)
    return _found(metadata, name, addresses, endpoints.get("ports"))


def address_of(text: object) -> str:
    """Return an address as sockets' are written here; "" for what is none ("None" of a headless service)."""
    try:
        return str(ip_address(text)) if isinstance(text, str) else ""
    except ValueError:
        return ""


def _found(metadata: Mapping[str, Any], name: str, addresses: Any, ports: object) -> Found | None:
    labels = {key: value for key, value in _mapping(metadata.get("labels")).items() if isinstance(value, str)}
    called = clean_name(label_name(labels) or name)
    if not called:
        return None
    numbers = list(_numbers(ports))
    known = [text for one in addresses if (text := address_of(one))]
    where = [Address(text, number) for text in known for number in numbers]
    return Peer(called, clean_name(_text(metadata.get("namespace")))), where


def _numbers(ports: object) -> Iterator[int]:
    for one in _all(ports, PORTS_MAX):
        number = one.get("port")
        if isinstance(number, int) and one.get("protocol", "TCP") == "TCP":
            yield number


def _all(value: object, limit: int) -> list[Mapping[str, Any]]:
    return [_mapping(one) for one in _listed(value, limit)]


def _listed(value: object, limit: int) -> list[Any]:
    return value[:limit] if isinstance(value, list) else []


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
