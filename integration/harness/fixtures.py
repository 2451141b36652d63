"""What several files of tests begin with. They import it, and say so in `__all__`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.harness.certificates import certificates
from integration.harness.kubernetes import Cluster
from integration.harness.name_server import NameServer, name_server
from integration.harness.network import Networks, two_networks
from integration.harness.ports import free_port
from integration.harness.puppet import Puppet

__all__ = ["account", "networks", "resolving", "server", "visitor"]


@pytest.fixture(scope="module")
def networks() -> Iterator[Networks]:
    """The visitors' and the services', with a wire between them."""
    with two_networks(free_port()) as made:
        yield made


@pytest.fixture
def visitor(networks: Networks) -> Iterator[Puppet]:
    """A program in the visitors' network."""
    with Puppet(networks.within(networks.visitors)) as puppet:
        yield puppet


@pytest.fixture
def server(networks: Networks) -> Iterator[Puppet]:
    """One in the services'."""
    with Puppet(networks.within(networks.services)) as puppet:
        yield puppet


@pytest.fixture(scope="module")
def resolving() -> Iterator[NameServer]:
    """A name server of which this host's programs ask."""
    with name_server() as made:
        yield made


@pytest.fixture(scope="module")
def account(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the agent's service account in the file's `cluster`, as its pod has it."""
    folder = tmp_path_factory.mktemp("account")
    (folder / "ca.crt").write_bytes(certificates().authority.read_bytes())
    (folder / "token").write_text(cluster.token("otel-ebpf", "otel-ebpf"))
    return folder
