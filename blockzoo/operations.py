"""Where the costs of a network go, operation by operation: on paper, and on a clock beside the limits of the machine."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from blockzoo.benchmark import BenchmarkKeywords, circumstances, deadline_of, device_of, networks_of
from blockzoo.core.breakdown import Breakdown
from blockzoo.core.checked import sorted_into
from blockzoo.core.contracts import POSITIONS, RESULTS
from blockzoo.core.errors import BlockzooError, UsageError, reason_of
from blockzoo.core.keywords import ScaffoldKeywords
from blockzoo.core.result import Result, Row
from blockzoo.core.roofline import Operation
from blockzoo.core.settings import Benchmarking, Scaffold, Seeded
from blockzoo.core.spec import NetworkSpec
from blockzoo.core.units import number
from blockzoo.measure.benchmarked import OperationBenchmark
from blockzoo.measure.contracts import RUNTIMES
from blockzoo.measure.deadline import Deadline
from blockzoo.measure.timing_options import DTYPES, Way, check_ways, ways_of
from blockzoo.profile import DEFAULT_SHAPE, Profile, asked_for, check_shape, check_strict, profile_and_chain

if TYPE_CHECKING:
    import torch
    from torch import nn
    from typing_extensions import Unpack

    from blockzoo.measure.contenders import Contender
    from blockzoo.report.drawing import Figure

log = logging.getLogger(__name__)

FORMS = {"deployed": "inference", "trained": "training"}
"""In which operations are counted, and what `profile` calls the form."""
Part = Literal["stage", "network"]


@RESULTS.register("operation profile")
@dataclass(frozen=True, eq=False, repr=False)
class OperationProfile(Result):
    """The operations of one call, on paper.

    Args:
        profile: of the same network; its multiply-adds are the sum of the operations'.
        form: "deployed" (branches merged, batch norms folded, in evaluation mode) or "trained" (as it is built, in training
            mode; the forward pass).
        operations: of the whole network, in their order.
        stage: of the stage under test; None for a network without one.
    """

    profile: Profile
    form: str
    operations: tuple[Operation, ...]
    stage: tuple[Operation, ...] | None

    def of(self, part: Part | None = None) -> tuple[Operation, ...]:
        """Those of `part(part)`."""
        return self.stage if self.part(part) == "stage" and self.stage is not None else self.operations

    def part(self, part: Part | None = None) -> Part:
        """The part that is meant; None: the stage under test where there is one.

        Raises:
            UsageError: a stage is asked for, and there is none.
        """
        if part == "stage" and self.stage is None:
            raise UsageError(
                f"{self.profile.subject} has no stage under test: leave out the part, or give network"
            )
        return part or ("network" if self.stage is None else "stage")

    def headline(self) -> str:
        macs = number(sum(one.macs for one in self.of()))
        return f"{self.profile.subject}, {self.part()}, {self.form}: {len(self.of())} operations, {macs} MACs"

    def table_rows(self) -> list[Row]:
        from blockzoo.report.operation_tables import operation_rows

        return operation_rows(self.profile.subject, self.part(), self.of())

    def figure(self) -> Figure:
        """Shares of MACs and bytes by kind of operation, of the stage under test where there is one."""
        from blockzoo.report.pictures.on_paper import draw_kinds

        return draw_kinds(
            self.profile.subject, self.of(), self.part(), f"Form: {self.form}. Bytes are those of fp32."
        )


def profile_operations(
    subject: str | type[nn.Module] | nn.Module,
    position: str | None = None,
    *,
    out_dim: int | None = None,
    input_shape: Sequence[int] = DEFAULT_SHAPE,
    form: str = "deployed",
    strict: bool = False,
    **settings: Unpack[ScaffoldKeywords],
) -> OperationProfile:
    """The operations of a block in the scaffold, or of any network: multiply-adds, and bytes in fp32. Nothing is computed.

    Args:
        subject: as in `profile_block`, as are the position, out_dim and the settings.
        position: stage that holds the block, where the subject does not say it (default mid).
        out_dim: number of classes.
        input_shape: (B, C, H, W); all figures are for this input.
        form: deployed, or trained.
        strict: as in `profile_block`.
        settings: by name, of the table Scaffold in docs/settings.md.

    Raises:
        UsageError: what `profile_block` refuses, another form, or a network whose operations cannot be followed.
        CheckFailed: the operations do not add up to what `profile_block` counts.
    """
    if form not in FORMS:
        raise UsageError(f"form {form!r}: choose one of {', '.join(FORMS)}")
    shape = check_shape(input_shape)
    network = asked_for(subject, position, out_dim, shape, **settings)
    from blockzoo.measure.ledger import Operations, check_operation_costs

    quantity = Operations(FORMS[form])  # type: ignore[arg-type]
    profile, chain = profile_and_chain(network, shape, also=[quantity])
    check_strict(profile, strict)
    if any(quantity.name not in measured.quantities for measured in chain):
        remedy = "; give a larger batch, or the deployed form" if form == "trained" else ""
        raise UsageError(
            f"{profile.subject}: its operations cannot be followed: {'; '.join(profile.notes)}{remedy}"
        )
    every, stage = [], []
    for part, measured in zip(network.parts, chain, strict=True):
        own = [_inside(part.name, operation) for operation in measured.quantities[quantity.name]]
        every += own
        stage += own if part.active else []
    if form == "deployed":
        check_operation_costs(profile.subject, every, profile.network.macs)
        if profile.stage is not None:
            check_operation_costs(f"{profile.subject}, stage", stage, profile.stage.macs)
    return OperationProfile(profile, form, tuple(every), tuple(stage) if network.in_scaffold else None)


def _inside(part: str, operation: Operation) -> Operation:
    return replace(operation, layer=f"{part}.{operation.layer}".strip(".")) if part else operation


SHARE_OF_LIMITS = 0.2
"""Of the seconds, what measuring the machine takes at most."""
CALLS_BESIDE = 5
"""Calls of each network for one sample of each: whole, watched, the reference, and two to make it ready."""


def benchmark_operations(
    subjects: str | type | Sequence[str | type],
    position: str | None = None,
    *,
    out_dim: int | None = None,
    input_shape: Sequence[int] | None = None,
    part: Part | None = None,
    **settings: Unpack[BenchmarkKeywords],
) -> OperationBenchmark:
    """Time each operation of blocks in the scaffold, or of any networks, beside the whole and the limits of this machine.

    The operations are those of the deployed form, in evaluation mode, without gradients; calls whose operations are timed take
    turns with plain ones in shuffled rounds. A time is from an idle device to an idle device.

    Args:
        subjects: one subject or several, each a text or a class.
        position: stage that holds the blocks, where a subject does not say it (default mid).
        out_dim: number of classes.
        input_shape: (B, C, H, W); its B replaces `batch_sizes`.
        part: stage or network; None: the stage under test where there is one. With `stage=False` the network.
        settings: by name, of the tables Scaffold, Benchmarking and Seeded in docs/settings.md. `seconds` are for all of it.

    Raises:
        UsageError: an unknown name, a value out of range, a network that cannot be timed, or batch sizes that do not fit.
        CheckFailed: the operations do not add up to what `profile_block` counts, or differ from call to call.
    """
    scaffold, how, seeded = sorted_into(settings, Scaffold, Benchmarking, Seeded, what="benchmark_operations")
    deadline = deadline_of(how.seconds, how.benchmark_runs)
    subjects = [subjects] if isinstance(subjects, str | type) else list(subjects)
    if not subjects:
        raise UsageError("no subject to time; name at least one block")
    ways = ways_of([RUNTIMES.canonical(name) for name in how.runtimes], how.dtypes)
    if any(way.runtime != "eager" for way in ways):
        raise UsageError(
            f"runtimes {', '.join(how.runtimes)}: operations are timed one by one, which only eager runs; leave them out"
        )
    if len(ways) > 1:
        raise UsageError(f"dtypes {', '.join(how.dtypes)}: operations are timed in one of them")
    if how.energy:
        raise UsageError("energy is that of whole networks: leave it out, or leave out --by operation")
    shape = check_shape(input_shape or DEFAULT_SHAPE)
    sizes = (shape[0],) if input_shape else how.batch_sizes
    check_ways(sizes, ways, how.memory_format)
    specs = networks_of(subjects, position, out_dim, shape[1], scaffold)
    part = _part(specs, part if how.stage else "network")
    import torch

    device = torch.device(device_of(how.device))
    previous = torch.get_num_threads()
    torch.set_num_threads(how.threads or previous)
    try:
        return _benchmarked(
            specs, part, replace(how, batch_sizes=sizes), (shape, seeded.seed), device, deadline
        )
    finally:
        torch.set_num_threads(previous)


def _part(specs: Sequence[NetworkSpec], part: Part | None) -> Part:
    """The part that all of them have.

    Raises:
        UsageError: some have a stage under test and some have none.
    """
    without = [spec.subject for spec in specs if not spec.parsed.is_block]
    if part == "network" or (part is None and len(without) == len(specs)):
        return "network"
    if without:
        raise UsageError(
            f"{', '.join(without)} has no stage under test: give the part network, of all subjects"
        )
    return "stage"


def _benchmarked(
    specs: Sequence[NetworkSpec],
    part: Part,
    how: Benchmarking,
    inputs: tuple[tuple[int, ...], int],
    device: torch.device,
    deadline: Deadline,
) -> OperationBenchmark:
    import torch

    from blockzoo.measure.contenders import Setting
    from blockzoo.measure.interleaving import Clock, Schedule
    from blockzoo.measure.ledger import check_operation_costs
    from blockzoo.measure.limits import measure_machine
    from blockzoo.measure.operation_times import break_down
    from blockzoo.measure.timings import round_seconds

    shape, seed = inputs
    way = Way(*how.runtimes, *how.dtypes)
    facts = circumstances(way, device.type, how.memory_format)
    dtype, clock = getattr(torch, DTYPES[way.dtype]), Clock(device)
    named = {spec.label: spec for spec in specs}
    contenders = [
        _contender(name, spec, part, (shape, how.batch_sizes), seed) for name, spec in named.items()
    ]
    if deadline.left() < deadline.seconds / 2:
        log.warning(
            "making the networks ready took %.2g of %g s: give more --seconds for surer times",
            deadline.seconds - deadline.left(),
            deadline.seconds,
        )
    limited = Deadline(SHARE_OF_LIMITS * deadline.left() if deadline.seconds < float("inf") else 3.0)
    machine = measure_machine(device, dtype, seconds=limited.left(), rounds=how.benchmark_runs)
    breakdowns, left_out = [], []
    for place, batch in enumerate(how.batch_sizes):
        setting = Setting(device, dtype, how.memory_format, way.runtime, batch, seed)
        needed = CALLS_BESIDE * round_seconds([setting], contenders, clock, deadline.left() / CALLS_BESIDE)
        if needed > deadline.left():
            left_out.append(
                f"batch {batch} is not timed: one round takes {needed:.2g} s or more, and of {deadline.seconds:g} s "
                f"{deadline.left():.2g} are left; give more --seconds"
            )
            continue
        share = deadline.left() / (len(how.batch_sizes) - place)
        times = break_down(setting, contenders, clock, Schedule(how.warmup_runs, how.benchmark_runs, share))
        for breakdown in times:
            costs = _counted(named[breakdown.subject], (batch, *shape[1:]), part)
            check_operation_costs(breakdown.label, breakdown.all.operations, costs)
        breakdowns += [_placed(breakdown, named[breakdown.subject]) for breakdown in times]
    if not breakdowns:
        raise UsageError("; ".join(left_out))
    return OperationBenchmark(breakdowns, machine, facts, left_out)


def _contender(
    name: str, spec: NetworkSpec, part: Part, inputs: tuple[tuple[int, ...], Sequence[int]], seed: int
) -> Contender:
    """What is timed of a network, deployed for images of a shape, so many at a time.

    Raises:
        UsageError: it cannot be built, called or deployed.
    """
    from blockzoo.measure.contenders import deployed_contender, shape_before_stage
    from blockzoo.models.resolve import build_network

    shape, batch_sizes = inputs
    try:
        module: Any = build_network(spec, seed=seed).eval()
        if part == "stage":
            module, shape = module.active_stage, shape_before_stage(module, shape)
        return deployed_contender(name, part, module, shape, batch_sizes)
    except BlockzooError:
        raise
    except Exception as error:
        raise UsageError(
            f"{name} cannot be timed with images of shape {shape}: {reason_of(error)}"
        ) from error


def _placed(breakdown: Breakdown, spec: NetworkSpec) -> Breakdown:
    """With the names that the layers have in the network."""
    if breakdown.part == "network":
        return breakdown
    stage = f"stage{list(POSITIONS).index(str(spec.parsed.position)) + 1}"
    timed = tuple(replace(one, operation=_inside(stage, one.operation)) for one in breakdown.timed)
    return replace(breakdown, timed=timed)


def _counted(spec: NetworkSpec, shape: tuple[int, ...], part: Part) -> int:
    """Multiply-adds of a network, or of its stage under test, as `profile_block` counts them."""
    scaffold = {name: value for name, value in vars(spec).items() if name in Scaffold.__dataclass_fields__}
    network = asked_for(spec.subject, None, spec.out_dim, shape, **scaffold)
    profile, _ = profile_and_chain(network, shape, memory=False)
    costs = profile.stage if part == "stage" else profile.network
    return 0 if costs is None else costs.macs
