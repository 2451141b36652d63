"""`otel-ebpf run`: observe this host and export what is seen."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from otel_ebpf.agent import Agent
from otel_ebpf.config import Config, ConfigError, load
from otel_ebpf.config_telemetry import Health, listen_address
from otel_ebpf.descriptors import allow_many
from otel_ebpf.environment import Environment, read_environment
from otel_ebpf.export.exposition import Scrape
from otel_ebpf.export.own import Own
from otel_ebpf.export.pipeline import Pipeline, build
from otel_ebpf.export.settings import ConfigurationError, DiskSettings, settings_from
from otel_ebpf.kernel.errors import KernelError, RungUnavailableError
from otel_ebpf.kernel.ladder import PAYLOAD
from otel_ebpf.kernel.ledger import DESCRIPTIONS, Ledger
from otel_ebpf.logs import set_up
from otel_ebpf.reload import ConfigWatch
from otel_ebpf.service_manager import notify
from otel_ebpf.status import StatusServer

EXIT_FAILED, EXIT_CONFIGURATION, EXIT_RUNG = 1, 2, 3
_STOPPING = (signal.SIGTERM, signal.SIGINT)

logger = logging.getLogger("otel_ebpf")


@click.command()
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path, readable=False),  # by access(2), which capabilities do not count for
    help="YAML file; see configs/otel-ebpf.yaml.",
)
@click.option("--console", is_flag=True, help="Show each request in the terminal, also with a backend.")
def command(path: Path | None, console: bool) -> None:
    """Observe this host and export what is seen.

    Runs until SIGTERM or SIGINT; rules of discovery, names and overrides are read again on SIGHUP, and when
    the file has changed. Exit status: 0 stopped, 1 failed, 2 wrong configuration, 3 the demanded rung cannot
    be had.
    """
    environment = read_environment(os.environ)
    os.environ.pop("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", None)  # the SDK waits for them when it is imported
    set_up("text", environment.log_level)  # until the configuration says more
    try:
        _run(path, environment, console)
    except (ConfigError, ConfigurationError) as error:
        logger.error("%s", error)
        sys.exit(EXIT_CONFIGURATION)
    except RungUnavailableError as error:
        logger.error("%s", error)
        sys.exit(EXIT_RUNG)
    except KernelError as error:
        logger.error("%s", error)
        if os.geteuid():
            logger.error("the agent needs root, or capabilities: `otel-ebpf doctor` says which are missing")
        sys.exit(EXIT_FAILED)


def _run(path: Path | None, environment: Environment, console: bool) -> None:
    config = load(path)
    limit = set_up(config.telemetry.log.format, environment.log_level)
    allow_many()
    for warning in environment.warnings:
        logger.warning("%s", warning)
    watch = ConfigWatch(path, config)
    settings = settings_from(environment, os.environ, console)

    def pipeline(ledger: Ledger) -> Pipeline:
        queue = dataclasses.replace(settings.queue, age=config.traces.max_age_seconds)
        return build(dataclasses.replace(settings, queue=queue, disk=_disk(config)), ledger.shard)

    wanted = bool(settings.metrics)
    agent = Agent(config, environment, pipeline, metrics=wanted, new_config=watch.take)

    def stop(*_: object) -> None:
        agent.stopping = True

    for number in _STOPPING:
        signal.signal(number, stop)
    signal.signal(signal.SIGHUP, lambda *_: watch.ask())
    _observe(config, agent, watch)
    for number in (*_STOPPING, signal.SIGHUP):  # the interpreter's end would have them kill it
        signal.signal(number, signal.SIG_IGN)
    _say_ledger(agent.final_totals)
    if left := limit.left_out():
        logger.warning("%d lines were left out, as there were more like them (docs/health.md)", left)


def _disk(config: Config) -> DiskSettings | None:
    disk = config.export.disk_queue
    return DiskSettings(disk.directory, disk.max_bytes, disk.max_age_seconds) if disk.directory else None


def _observe(config: Config, agent: Agent, watch: ConfigWatch) -> None:
    """Start the agent, let it run, and stop it; what tells of its health is there before and after."""
    with _listening(config.telemetry.health, agent):
        agent.start()
        watch.start()
        status = StatusServer(
            config.telemetry.status_socket, agent.standings, agent.totals, agent.probing, agent.health
        )
        if config.telemetry.status_socket:
            status.start()
        rungs = {standing.capability: standing.rung or "none" for standing in agent.standings}
        logger.info("ready: watching TCP by %s (%s)", rungs[PAYLOAD], rungs, extra={"rungs": rungs})
        notify("READY=1")
        try:
            agent.run()
        finally:
            notify("STOPPING=1")
            watch.stop()
            status.stop()
            agent.stop()


@contextmanager
def _listening(config: Health, agent: Agent) -> Iterator[None]:
    """Answer to HTTP meanwhile, if that is wanted."""
    if not config.listen:
        yield
        return
    from otel_ebpf.health_listener import HealthListener  # noqa: PLC0415 (asyncio: 3 MB)

    def own() -> Own | None:
        return agent.own_counts() if agent.health.attached else None

    scrape = Scrape(own, agent.own_attributes, agent.started) if config.metrics else None
    listener = HealthListener(listen_address(config.listen), agent.health, scrape)
    listener.start()
    try:
        yield
    finally:
        listener.stop()


def _say_ledger(totals: list[int]) -> None:
    """Say at exit what was lost, if anything was; all of it at the level of details."""
    counted = {
        ".".join(part for part in (one.stage, one.unit, one.outcome, one.reason) if part): (one, total)
        for one, total in zip(DESCRIPTIONS, totals, strict=True)
        if total
    }
    lost = {name: total for name, (one, total) in counted.items() if one.outcome == "dropped"}
    if lost:
        _say(logging.WARNING, "lost (docs/ledger.md says what to do): %s", lost)
    _say(logging.DEBUG, "ledger: %s", {name: total for name, (_, total) in counted.items()})


def _say(level: int, text: str, counted: dict[str, int]) -> None:
    shown = ", ".join(f"{name} = {total}" for name, total in counted.items())
    logger.log(level, text, shown, extra={"ledger": counted})
