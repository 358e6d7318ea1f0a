"""What is timed: modules, deployed alike, each with an input of its own."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from blockzoo.core.devices import choose_device
from blockzoo.core.environment import environment
from blockzoo.core.errors import reason_of
from blockzoo.core.spec import NetworkSpec
from blockzoo.core.times import doubts
from blockzoo.measure.contracts import RUNTIMES
from blockzoo.measure.deadline import Deadline
from blockzoo.measure.interleaving import Clock, Schedule, interleave
from blockzoo.measure.onnx_files import Files, kept_in
from blockzoo.measure.other_runtimes import check_runtime
from blockzoo.measure.timing_options import DTYPES, LAYOUTS, Way
from blockzoo.models.agreement import what_checks_find
from blockzoo.models.conversion import check_conversion
from blockzoo.models.deploy import deployed
from blockzoo.models.layouts import laid_out
from blockzoo.models.resolve import build_network
from blockzoo.models.scaffold import ScaffoldNet

if TYPE_CHECKING:
    from jaxtyping import Shaped

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Contender:
    """A module to time, deployed: of which subject, which part of it, and the shape of its input, the batch left open.

    `checked` is the largest difference from the module as it is trained that the checks of its deployment found; None: nothing
    was folded or merged.
    """

    subject: str
    part: str
    module: nn.Module
    shape: tuple[int, ...]
    checked: float | None = None


class Failure(NamedTuple):
    """Why a network, or the stage under test of it, has no time; at one batch size and in one way or, with None, at all."""

    subject: str
    part: str
    batch_size: int | None
    error: Exception
    way: Way | None = None

    @property
    def reason(self) -> str:
        """As it stands in a row."""
        where = self.part + (f" at batch {self.batch_size}" if self.batch_size else "")
        where += f" by {self.way}" if self.way and self.way != Way() else ""
        return f"{where}: {reason_of(self.error)}"

    def columns(self) -> dict[str, Any]:
        """The row in place of the times."""
        way = self.way or (None, None)
        return {
            "subject": self.subject, "part": self.part, "batch_size": self.batch_size, "runtime": way[0], "dtype": way[1],
            "error": reason_of(self.error),
        }  # fmt: skip


def contenders_of(
    specs: Mapping[str, NetworkSpec],
    shape: tuple[int, ...],
    batch_sizes: Sequence[int],
    *,
    stage: bool,
    seed: int,
    failures: list[Failure],
) -> list[Contender]:
    """The networks, and their stages under test, that can be built and deployed for these batch sizes; why others cannot is added
    to `failures`.
    """
    contenders = []
    for name, spec in specs.items():
        part = "network"
        try:
            check_conversion(spec, shape)
            network = build_network(spec, seed=seed).eval()
            contenders.append(deployed_contender(name, part, network, shape, batch_sizes))
            if stage and isinstance(network, ScaffoldNet):
                part = "stage"
                before = shape_before_stage(network, shape)
                contenders.append(deployed_contender(name, part, network.active_stage, before, batch_sizes))
        except Exception as error:  # of one network, and no reason to leave the others without times
            failures.append(Failure(name, part, None, error))
    return contenders


def shape_before_stage(network: ScaffoldNet, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Of the input of the stage under test, for images of `shape` (B, C, H, W)."""
    x = torch.zeros(shape)
    for block in network.blocks:
        if block is network.active_stage[0]:
            break
        x = block(x)
    return tuple(x.shape)


def deployed_contender(
    subject: str, part: str, module: nn.Module, shape: Sequence[int], batch_sizes: Sequence[int] = ()
) -> Contender:
    """A module in the form that is timed, with what its checks found."""
    with what_checks_find() as deviations:
        form = deploy(module, shape, batch_sizes)
    return Contender(subject, part, form, tuple(shape), max(deviations.values(), default=None))


def deploy(module: nn.Module, shape: Sequence[int], batch_sizes: Sequence[int] = ()) -> nn.Module:
    """The form in which a module is timed with images of this shape, one or `batch_sizes` at a time, checked against the module
    itself.
    """
    return deployed(
        module, torch.randn(2, *shape[1:], generator=torch.Generator().manual_seed(0)), batch_sizes
    )


class Made(NamedTuple):
    """A call that is timed, and how far what it gives is from eager PyTorch; None: it is that, or was not compared."""

    call: Callable[[], Any]
    from_eager: float | None = None


@dataclass(frozen=True)
class Setting:
    """How contenders are timed: where, in which numbers and layout, how made ready, with how many inputs at a time."""

    device: torch.device
    dtype: torch.dtype = torch.float32
    memory_format: str = "contiguous"
    runtime: str = "eager"
    batch_size: int = 1
    seed: int = 0

    @property
    def way(self) -> Way:
        """By what it is run, in which numbers."""
        return Way(
            self.runtime, next(name for name, of in DTYPES.items() if getattr(torch, of) == self.dtype)
        )

    def made(self, contender: Contender, files: Files | None = None, *, check: bool = True) -> Made:
        """What is timed: a copy of the module on the device, with an input drawn from the seed.

        Args:
            contender: of which module.
            files: what was exported of it already, and what is.
            check: compare what another runtime gives with eager PyTorch.

        Raises:
            CheckFailed: they differ.
            UsageError: the runtime cannot do it.
        """
        module, x = self.placed(contender)
        with kept_in({} if files is None else files):
            function = RUNTIMES[self.runtime](module, x)
        from_eager = None
        if check and self.runtime != "eager":
            what = f"{contender.subject}, {contender.part}, by {self.way}"
            from_eager = check_runtime(self.placed(contender)[0], function, x, what)
        return Made(lambda: function(x), from_eager)

    def call(self, contender: Contender) -> Callable[[], Any]:
        """The same, unchecked, without what else is known of it."""
        return self.made(contender, check=False).call

    def placed(self, contender: Contender) -> tuple[nn.Module, Shaped[torch.Tensor, "B C *size"]]:
        """A copy of the module, and its input."""
        layout = getattr(torch, LAYOUTS[self.memory_format])
        module = laid_out(copy.deepcopy(contender.module).to(self.device, self.dtype), layout)
        generator = torch.Generator().manual_seed(self.seed)
        with torch.inference_mode():  # as it is timed: other tensors would be compiled for once more
            x = torch.randn(self.batch_size, *contender.shape[1:], generator=generator)
            x = x.to(self.device, self.dtype).contiguous(memory_format=layout)
        return module, x


def time_modules(
    modules: Mapping[str, tuple[nn.Module, Sequence[int]]],
    *,
    device: str = "auto",
    seconds: float = 10.0,
    benchmark_runs: int | None = None,
    seed: int = 0,
) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Time modules at hand against each other, one input at a time, deployed alike and checked, in shuffled rounds.

    Args:
        modules: by name, each with the shape of its input.
        device: cpu, cuda or auto.
        seconds: for all of them, making them ready too.
        benchmark_runs: rounds at most; None: as many as `seconds` allow.
        seed: of the inputs, and of the order in each round.

    Returns:
        Milliseconds of every call by name, and the environment.
    """
    deadline = Deadline(seconds)
    place = torch.device(choose_device(device, gpu=torch.cuda.is_available())[0])
    setting = Setting(place, seed=seed)
    calls = {
        name: setting.call(Contender(name, "network", deploy(module, shape), tuple(shape)))
        for name, (module, shape) in modules.items()
    }
    with torch.inference_mode():
        samples = interleave(calls, Clock(place), Schedule(None, benchmark_runs, deadline.left()), seed=seed)
    doubtful = {name: reasons for name, times in samples.items() if (reasons := doubts(times))}
    if doubtful:
        name, reasons = next(iter(doubtful.items()))
        log.warning(
            "%d of %d times are doubtful (%s: %s): leave the machine alone, or give more --seconds",
            len(doubtful), len(samples), name, ", ".join(reasons),
        )  # fmt: skip
    facts = environment(device=place.type, dtype="float32", runtime="eager", threads=torch.get_num_threads())
    return samples, facts
