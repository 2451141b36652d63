"""What rules of discovery ask of a process: each key, and all of a rule."""

from __future__ import annotations

import os

import pytest
from identity_support import process

from otel_ebpf.config import ConfigError
from otel_ebpf.config_file import parse
from otel_ebpf.config_rules import Rule
from otel_ebpf.identity.model import Container, Pod
from otel_ebpf.identity.process import read_process
from otel_ebpf.identity.traits import Traits

CONTAINER = Container("1", "docker", "shop-web-1", "registry/shop", ("2.1",), {"tier": "front", "empty": ""})
POD = Pod("1", "till-5d4-x", "sales", labels={"app": "till"})
PLACE = {"cgroup": "/system.slice/till@1.service", "container": CONTAINER, "pod": POD}
TILL = process("/usr/bin/python3.11", user=33, **PLACE)


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        (Rule(owner="33"), True),
        (Rule(owner="0"), False),
        (Rule(service="till"), True),
        (Rule(service="ti?l"), True),
        (Rule(service="shop"), False),
        (Rule(language="python"), True),
        (Rule(language="go"), False),
        (Rule(unit="till"), True),
        (Rule(unit="till.service"), False),
        (Rule(container="shop-*"), True),
        (Rule(container="web"), False),
        (Rule(image="registry/shop"), True),
        (Rule(image="registry/shop:2.*"), True),
        (Rule(image="registry/shop:3"), False),
        (Rule(container_labels=("tier=f*", "empty=")), True),
        (Rule(container_labels=("tier=f*", "other=*")), False),
        (Rule(namespace="sales"), True),
        (Rule(namespace="sale"), False),
        (Rule(pod="till-*"), True),
        (Rule(pod="till"), False),
        (Rule(pod_labels=("app=till",)), True),
        (Rule(pod_labels=("app=tilt",)), False),
        (Rule(pod_labels=("app=till",), namespace="sales", language="python", pids=(4_000_000,)), True),
        (Rule(pod_labels=("app=till",), namespace="sales", language="go"), False),
    ],
)
def test_each_key(rule: Rule, fits: bool) -> None:
    assert Traits(TILL, "till", "python").fit(rule) == fits


def test_what_is_not_known_does_not_match() -> None:
    nowhere = Traits(process("/bin/true", user=-1), "", "")
    for rule in (Rule(owner="?*"), Rule(unit="?*"), Rule(container="?*"), Rule(image="?*"), Rule(pod="?*")):
        assert not nowhere.fit(rule)
    assert not nowhere.fit(Rule(container_labels=("a=*",)))
    assert not nowhere.fit(Rule(owner="*")), "nobody is no user"


def test_an_owner_by_name() -> None:
    own = read_process(os.getpid())
    assert own is not None
    name = "root" if os.getuid() == 0 else str(os.getuid())
    assert Traits(own, "", "").fit(Rule(owner=name))


def test_labels_have_a_name_and_a_glob() -> None:
    rule = "discovery: {include: [{container_labels: [%s]}]}"
    assert parse(rule % "'tier=front*'").discovery.include[0].container_labels == ("tier=front*",)
    with pytest.raises(ConfigError, match="text of the form name=glob"):
        parse(rule % "tier")
