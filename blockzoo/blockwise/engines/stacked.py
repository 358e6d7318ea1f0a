"""All workers of a small network at once: one vectorised step over stacked parameters instead of one step per worker.

Worker i's network is the centre with its own block i. Since each block belongs to one worker, the network itself can hold what
all workers have made of their blocks so far; stacking it against the centre gives all their networks.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.func import functional_call, grad_and_value, vmap

from blockzoo.blockwise.contracts import Centre
from blockzoo.blockwise.engines.rounds import Tensors, WorkerOutcome, distance, put, work
from blockzoo.blockwise.local import LocalResult, finite, squared_norm
from blockzoo.blockwise.run.counting import on_behalf_of
from blockzoo.blockwise.run.data import Batch
from blockzoo.blockwise.run.frame import BlockState
from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import CheckFailed, UsageError

TOLERANCE, SMALLEST_LOSS = 1e-3, 1e-2


def work_checked(frame: Centre, chosen: Sequence[int]) -> list[WorkerOutcome]:
    """`work_stacked`, after the same problems one by one, with which it is compared.

    Raises:
        CheckFailed: they differ.
        As `work_stacked`.
    """
    states = [frame.blocks[block] for block in chosen]
    before = [(state.stream.position, copy.deepcopy(state.optimizer.state_dict())) for state in states]
    with frame.undisturbed():
        alone = [work(frame, block) for block in chosen]
    for state, (position, optimizer) in zip(states, before, strict=True):
        state.stream.position = position
        state.optimizer.load_state_dict(optimizer)
    stacked = work_stacked(frame, chosen)
    with frame.undisturbed():
        for one, other in zip(alone, stacked, strict=True):
            ends = [_loss_with(frame, outcome) for outcome in (one, other)]
            differing = check_stacked_workers(
                [*one.result.losses, ends[0]],
                [*other.result.losses, ends[1]],
                frame.blocks[one.block].label,
                frame.whole.parameters[0].dtype,
            )
            frame.record_check("stacked-workers", differing)
    return stacked


@CHECKS.register("stacked-workers")
def check_stacked_workers(
    alone: Sequence[float], stacked: Sequence[float], label: str, dtype: torch.dtype = torch.float32
) -> float:
    """The losses of each worker in its local steps and after them, stacked (`--vectorised`) and one by one.

    Catches: a worker that gets another one's block, batch or gradient; an operation or a layer that vmap treats in another way;
    optimisers that step apart; steps that end at another one.

    Tolerance: 1e-3 of the loss, or 1e-5 where it is below 0.01; steps of Adam enlarge the rounding of gradients that are zero.
    0.03 of it in bfloat16.

    Cost: the first round of a run is made twice.
    """
    if len(alone) != len(stacked):
        raise CheckFailed(
            f"check 'stacked-workers' failed: the worker of block {label} made {len(stacked) - 1} gradients where one by one it "
            f"makes {len(alone) - 1}; leave out vectorised"
        )
    differing = max(abs(a - b) / max(abs(a), SMALLEST_LOSS) for a, b in zip(alone, stacked, strict=True))
    allowed = max(TOLERANCE, 4 * torch.finfo(dtype).eps)
    if not differing <= allowed:
        raise CheckFailed(
            f"check 'stacked-workers' failed: the losses of the worker of block {label} differ from those one by one by "
            f"{differing:.1e} (relative; allowed {allowed:.0e}); leave out vectorised"
        )
    return differing


def _loss_with(frame: Centre, outcome: WorkerOutcome) -> float:
    """The loss on two batches of training examples where the centre has a worker's block."""
    parameters = frame.blocks[outcome.block].parameters
    before = [p.detach().clone() for p in parameters]
    put(parameters, outcome.values)
    loss = frame.loss_over(frame.probe(2, frame.options.batch_size))
    put(parameters, before)
    return loss


@dataclass
class _Worker:
    """One worker's local problem: its block lies in the network meanwhile, as far as the worker has brought it."""

    block: int
    state: BlockState
    names: list[str]
    """Of the parameters of the block that are trained."""
    batches: list[Batch]
    losses: list[float] = field(default_factory=list)
    gradient_norm: float = 0.0
    solved: bool = False

    @classmethod
    def of(cls, frame: Centre, block: int) -> _Worker:
        """The worker of a block, with the batches of this round."""
        state = frame.blocks[block]
        trained = {name for name, p in frame.model.named_parameters() if p.requires_grad}
        names = [name for name in frame.partition.names[block] if name in trained]
        return cls(block, state, names, [next(state.stream) for _ in range(state.steps)])

    def works(self, turn: int) -> bool:
        """Whether it has a step to make."""
        return turn < self.state.steps and not self.solved

    @torch.no_grad()
    def step(self, gradients: Tensors, centre: Tensors) -> None:
        """One optimiser step by the gradients of the last loss, unless these say that the local problem was solved before it."""
        parameters, proximal = self.state.parameters, self.state.proximal
        away = 0.0
        if proximal.weight > 0:
            away = distance([p.detach() for p in parameters], centre)
            gradients = [
                g + proximal.weight * (p - r) for g, p, r in zip(gradients, parameters, centre, strict=True)
            ]
        self.gradient_norm = float(torch.stack([squared_norm(g) for g in gradients]).sum().sqrt())
        bounded = proximal.weight > 0 and proximal.factor > 0 and len(self.losses) > 1
        if bounded and self.gradient_norm <= proximal.factor * proximal.weight * away:
            self.solved = True
            return
        for p, g in zip(parameters, gradients, strict=True):
            p.grad = g
        self.state.optimizer.step()
        for p in parameters:
            p.grad = None

    def outcome(self, centre: Tensors, seconds: float) -> WorkerOutcome:
        """What it hands in."""
        values = [p.detach().clone() for p in self.state.parameters]
        steps = len(self.losses) - self.solved
        result = LocalResult(self.losses, steps, self.gradient_norm, self.solved)
        return WorkerOutcome(self.block, values, {}, result, distance(values, centre), seconds)


def work_stacked(frame: Centre, chosen: Sequence[int]) -> list[WorkerOutcome]:
    """The local problems of some blocks, all from the present centre; afterwards the centre is as before.

    The same batches and the same updates as `rounds.work` for one block after the other, to rounding.

    Raises:
        UsageError: a network with running statistics or with randomness, whose workers cannot be stacked.
        Diverged: a loss that is not finite.
    """
    if next(frame.model.buffers(), None) is not None:
        raise UsageError(
            "workers can be stacked only for networks without buffers (batch norms); leave out vectorised"
        )
    begin = time.perf_counter()
    frame.model.train()
    centre = {name: p.detach().clone() for name, p in frame.model.named_parameters()}
    workers = [_Worker.of(frame, block) for block in chosen]
    try:
        _solve_together(frame, workers, centre)
        seconds = (time.perf_counter() - begin) / len(workers)
        return [worker.outcome([centre[name] for name in worker.names], seconds) for worker in workers]
    finally:
        put(list(frame.model.parameters()), list(centre.values()))


def _solve_together(frame: Centre, workers: Sequence[_Worker], centre: dict[str, torch.Tensor]) -> None:
    """The steps of all workers, turn by turn; those that are through with theirs drop out."""

    def loss(parameters: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return frame.criterion(functional_call(frame.model, parameters, (x,)), y)

    differentiated = _stackable(vmap(grad_and_value(loss)))
    for turn in range(max(worker.state.steps for worker in workers)):
        alive = [worker for worker in workers if worker.works(turn)]
        if not alive:
            return
        x, y = (torch.stack(part) for part in zip(*(worker.batches[turn] for worker in alive), strict=True))
        with frame.working(), on_behalf_of([worker.state.label for worker in alive]):
            gradients, values = differentiated(_stacked(frame.model, centre, alive), x, y)
        losses = [
            finite(float(value), worker.state.label)
            for worker, value in zip(alive, values.detach(), strict=True)
        ]
        for row, worker in enumerate(alive):
            worker.losses.append(losses[row])
            own = [gradients[name][row] for name in worker.names]
            worker.step(own, [centre[name] for name in worker.names])


def _stackable(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step`, whose refusals by vmap are a sentence."""

    def refused(*arguments: Any) -> Any:
        try:
            return step(*arguments)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise UsageError(
                f"the workers of this network cannot be stacked: {str(error).strip().splitlines()[0]} "
                "Leave out vectorised"
            ) from error

    return refused


def _stacked(
    model: nn.Module, centre: dict[str, torch.Tensor], workers: Sequence[_Worker]
) -> dict[str, torch.Tensor]:
    """(workers, ...) of every parameter: the centre's, but for each worker its own block's."""
    current = dict(model.named_parameters())
    stacked = {name: value.expand(len(workers), *value.shape) for name, value in centre.items()}
    for row, worker in enumerate(workers):
        for name in worker.names:
            stacked[name] = stacked[name].clone()
            stacked[name][row] = current[name].detach()
    return stacked
