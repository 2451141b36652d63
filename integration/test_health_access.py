"""Who may ask the agent for what: metrics are for clients on its host, health for whoever reaches it."""

from __future__ import annotations

from integration.harness.agent import COMMAND, Agent
from integration.harness.backend import Backend
from integration.harness.installed import run
from integration.harness.network import SERVICES, Networks, two_networks
from integration.harness.ports import free_port
from integration.harness.rungs import RUNGS

PORT = 9464


def asked(networks: Networks, namespace: str, url: str) -> tuple[int, str]:
    """Return the status and the text that a client in a network is given."""
    words = [
        "curl",
        "--silent",
        "--show-error",
        "--globoff",
        "--max-time",
        "40",
        "--write-out",
        "\n%{http_code}",
    ]
    text, _, status = run(*networks.within(namespace), *words, url).rpartition("\n")
    return int(status), text


def test_metrics_are_for_clients_on_the_same_host() -> None:
    """Clients beside the agent get them by loopback; one at the other end of a wire gets 403, and health."""
    with two_networks(free_port()) as networks, Backend() as backend:
        listen = {"listen": f"0.0.0.0:{PORT}", "metrics": True}
        agent = Agent(
            endpoint=backend.endpoint,
            rung=RUNGS[0],
            config={"telemetry": {"health": listen}},
            # Not by `ip netns exec` alone, which mounts a /sys without the control groups and tracefs.
            command=["nsenter", f"--net=/run/netns/{networks.services}", *COMMAND],
        )
        with agent:
            away = f"http://{SERVICES}:{PORT}"
            for path, due in (("/healthz", (200, "alive\n")), ("/readyz", (200, "ready\n"))):
                assert asked(networks, networks.visitors, away + path) == due
            status, text = asked(networks, networks.visitors, f"{away}/metrics")
            assert (status, "ebpf_" in text, "take them by OTLP" in text) == (403, False, True)
            # By its own outer address a client on this host is not told from others.
            assert asked(networks, networks.services, f"{away}/metrics")[0] == 403
            status, text = asked(networks, networks.services, f"http://127.0.0.1:{PORT}/metrics")
            assert (status, "ebpf_ledger_records_total" in text) == (200, True)
