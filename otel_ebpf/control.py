"""What user space tells the kernel: about processes, and about connections."""

from __future__ import annotations

import logging
from collections.abc import Set
from typing import Final

from otel_ebpf.identity.discovery import Decision, Discovery
from otel_ebpf.identity.model import Process, Service
from otel_ebpf.identity.selection import Selection
from otel_ebpf.kernel.attacher import Attacher
from otel_ebpf.kernel.errors import KernelError
from otel_ebpf.kernel.messages import SetMode
from otel_ebpf.kernel.tables import Tables

__all__ = ["Control"]

logger = logging.getLogger(__name__)

MODE_STREAM: Final = 1  # enum connection_mode
MODE_IGNORED: Final = 2
LEFT_OUT_TLS: Final = 1  # enum left_out


class Control:
    """A `protocols.base.ConnectionControl`, and where discovery's decisions go."""

    def __init__(
        self,
        attacher: Attacher,
        tables: Tables,
        discovery: Discovery,
        without_tls: Set[Service] = frozenset(),
        *,
        inject: Selection | None = None,
        not_injected: Set[Service] = frozenset(),
    ) -> None:
        """`without_tls` are the services whose TLS is left out, settled before they are `decided` on.

        `inject` says into whose requests a context is written, if it can be here, `not_injected` has services
        into whose none is, whatever it says.
        """
        self._attacher = attacher
        self._tables = tables
        self._discovery = discovery
        self._without_tls = without_tls
        self._inject = inject
        self._not_injected = not_injected
        self._restricted = not discovery.unrestricted
        self._ruleset = discovery.ruleset
        self._changed = False

    def ignore(self, socket: int, connection: int) -> None:
        """Stop reporting a connection."""
        self._set_mode(socket, connection, MODE_IGNORED)

    def stream(self, socket: int, connection: int) -> None:
        """Report pieces of a connection instead of exchanges."""
        self._set_mode(socket, connection, MODE_STREAM)

    def decided(self, process: Process, service: Service, decision: Decision) -> None:
        """Hand the kernel a decision on a process. Without rules there is nothing to hand."""
        left_out = LEFT_OUT_TLS if self.leaves_out_tls(service) else 0
        inject = 0
        if self._inject and service not in self._not_injected:
            inject = self._inject.rules_for(process, service.name)
        if not self._restricted and not left_out and not inject:
            return
        self._changed |= self._tables.decide_process(
            process.pid,
            process.start,
            self._ruleset,
            verdict=decision.wire_verdict,
            left_out=left_out,
            include=decision.include_ports,
            exclude=decision.exclude_ports,
            inject=inject,
        )

    def leaves_out_tls(self, service: Service) -> bool:
        """Say whether what a service says by TLS is not wanted."""
        return service in self._without_tls

    def reload(self, discovery: Discovery) -> None:
        """Go by other rules: the kernel asks anew about every process and every connection.

        Raises `KernelError` where there is no room for the ports that they name.
        """
        self._discovery = discovery
        self._restricted = True  # decisions by the old rules may stand until others are handed over
        self._tables.forget_decisions()
        self._tables.set_port_rules(discovery.port_rules())
        self._changed = True
        self.flush()

    def flush(self) -> None:
        """After a batch: have the kernel look again at connections it took in before the decisions."""
        if self._changed:
            self._changed = False
            self._ruleset += 1
            self._tables.set_ruleset(self._ruleset)

    def _set_mode(self, socket: int, connection: int, mode: int) -> None:
        try:
            self._attacher.handle(SetMode(socket, connection, mode))
        except KernelError as error:
            logger.warning(
                "a connection is read on in vain, as its mode could not be set, please report this line: %s",
                error,
            )
