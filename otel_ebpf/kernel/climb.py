"""Climbing a ladder: the first rung that loads and attaches, and why the ones above it do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from otel_ebpf.kernel.bpf_object import BpfObject
from otel_ebpf.kernel.cgroup_root import open_root
from otel_ebpf.kernel.errors import KernelError, RungUnavailableError
from otel_ebpf.kernel.ladder import Rung
from otel_ebpf.kernel.messages import Refusal, Standing


@dataclass(frozen=True, slots=True)
class Setup:
    """What every object is loaded with: constants, maps that exist already, and sizes of the others."""

    directory: Path
    constants: Mapping[str, int]
    shared: Mapping[str, int]
    entries: Mapping[str, int]
    connection_data: int
    """Bytes behind a connection's fixed part."""

    def open(self, name: str) -> BpfObject:
        """Open an object and prepare it. Raises `KernelError`."""
        opened = BpfObject(name, self.directory)
        try:
            opened.set_constants(self.constants)
            opened.share(self.shared, self.entries, self._value_sizes(opened))
        except KernelError:
            opened.close()
            raise
        return opened

    def _value_sizes(self, opened: BpfObject) -> dict[str, int]:
        """Return the sizes that values of the connections' maps must have."""
        if "connections" not in opened.maps:
            return {}
        size = opened.value_size("connections") + self.connection_data
        size += -size % 8
        return {"connections": size, "empty_connection": size}


def climb(
    capability: str, rungs: Sequence[Rung], demanded: str | None, setup: Setup
) -> tuple[Standing, BpfObject | None]:
    """Stand on the first rung that can be had. Raises `RungUnavailableError` for one that is demanded."""
    refusals: list[Refusal] = []
    for rung in rungs:
        if demanded not in (None, rung.name):
            continue
        loaded = _stand_on(rung, setup, refusals)
        if loaded is not None:
            standing = Standing(capability, rung.name, rung.cost, tuple(refusals), loaded.load_seconds)
            return standing, loaded
    if demanded is not None:
        reasons = "; ".join(refusal.reason for refusal in refusals) or "there is no such rung"
        raise RungUnavailableError(f"capture.rung: {demanded} cannot be had here: {reasons}")
    return Standing(capability, "", "", tuple(refusals)), None


def _stand_on(rung: Rung, setup: Setup, refusals: list[Refusal]) -> BpfObject | None:
    """Attach the rung in the first of its variants that can be, or add why none can."""
    try:
        for trial in rung.trials:
            _try_out(rung, trial, setup)
    except KernelError as error:
        _note(refusals, rung, error)
        return None
    extras = [name for extra in rung.extras if _has(rung, extra.trial, setup) for name in extra.programs]
    for variant in rung.variants:
        try:
            return _attach(rung, rung.object + variant, (*rung.programs, *extras), setup)
        except KernelError as error:
            _note(refusals, rung, error)
    return None


def _note(refusals: list[Refusal], rung: Rung, error: KernelError) -> None:
    refusal = Refusal(rung.name, str(error), error.code)
    if refusal not in refusals:  # of another variant, or of another rung of this name
        refusals.append(refusal)


def _attach(rung: Rung, name: str, programs: Sequence[str], setup: Setup) -> BpfObject:
    loaded = setup.open(name)
    try:
        loaded.load(set(programs), rung.attach_type)
        if rung.handed_over_by:
            _have_handed_over(rung.handed_over_by, programs, loaded, setup)
        elif rung.to_cgroups:
            with open_root() as root:
                for program in programs:
                    loaded.attach_cgroup(program, root)
        elif not rung.by_request:
            for program in programs:
                loaded.attach(program)
    except KernelError:
        loaded.close()
        raise
    return loaded


def _have_handed_over(name: str, programs: Sequence[str], loaded: BpfObject, setup: Setup) -> None:
    if name not in setup.shared:
        raise KernelError("no hook that stands hands over to it")
    for number, program in enumerate(programs):
        loaded.call_from(setup.shared[name], number, program)


def _try_out(rung: Rung, program: str, setup: Setup) -> None:
    """Attach one small program of the rung for a moment. Raises `KernelError`."""
    _attach(rung, rung.object + rung.variants[-1], (program,), setup).close()


def _has(rung: Rung, program: str, setup: Setup) -> bool:
    try:
        _try_out(rung, program, setup)
    except KernelError:
        return False
    return True
