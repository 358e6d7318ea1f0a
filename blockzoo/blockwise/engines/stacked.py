"""All workers of a small network at once: one vectorised step over stacked parameters instead of one step per worker.

Worker i's network is the centre with its own block i. Since each block belongs to one worker, the network itself can hold what
all workers have made of their blocks so far; stacking it against the centre gives all their networks.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.func import functional_call, grad_and_value, vmap

from blockzoo.blockwise.contracts import Centre
from blockzoo.blockwise.engines.rounds import Tensors, WorkerOutcome, distance, put, work
from blockzoo.blockwise.local import LocalResult, finite, squared_norm
from blockzoo.blockwise.run.counting import on_behalf_of
from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import BlockzooError, CheckFailed, RequestError

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
            found = check_stacked_workers(
                [*one.result.losses, ends[0]],
                [*other.result.losses, ends[1]],
                frame.blocks[one.block].label,
                frame.whole.parameters[0].dtype,
            )
            frame.record_check("stacked-workers", found)
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
    found = max(abs(a - b) / max(abs(a), SMALLEST_LOSS) for a, b in zip(alone, stacked, strict=True))
    allowed = max(TOLERANCE, 4 * torch.finfo(dtype).eps)
    if not found <= allowed:
        raise CheckFailed(
            f"check 'stacked-workers' failed: the losses of the worker of block {label} differ from those one by one by "
            f"{found:.1e} (relative; allowed {allowed:.0e}); leave out vectorised"
        )
    return found


def _loss_with(frame: Centre, outcome: WorkerOutcome) -> float:
    """The loss on two batches of training examples where the centre has a worker's block."""
    parameters = frame.blocks[outcome.block].parameters
    before = [p.detach().clone() for p in parameters]
    put(parameters, outcome.values)
    loss = frame.loss_over(frame.probe(2, frame.options.batch_size))
    put(parameters, before)
    return loss


def work_stacked(frame: Centre, chosen: Sequence[int]) -> list[WorkerOutcome]:
    """The local problems of some blocks, all from the present centre; afterwards the centre is as before.

    The same batches and the same updates as `rounds.work` for one block after the other, to rounding.

    Raises:
        RequestError: a network with running statistics or with randomness, whose workers cannot be stacked.
        Diverged: a loss that is not finite.
    """
    if next(frame.model.buffers(), None) is not None:
        raise RequestError(
            "workers can be stacked only for networks without buffers (batch norms); leave out vectorised"
        )
    begin = time.perf_counter()
    frame.model.train()
    centre = {name: p.detach().clone() for name, p in frame.model.named_parameters()}
    current = dict(frame.model.named_parameters())
    names = [
        [name for name in frame.partition.names[block] if current[name].requires_grad] for block in chosen
    ]
    states = [frame.blocks[block] for block in chosen]
    losses: list[list[float]] = [[] for _ in chosen]
    norms, done = [0.0] * len(chosen), [False] * len(chosen)

    def loss(parameters: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return frame.criterion(functional_call(frame.model, parameters, (x,)), y)

    step = _stackable(vmap(grad_and_value(loss)))
    drawn = [[next(state.stream) for _ in range(state.steps)] for state in states]
    for turn in range(max(state.steps for state in states)):
        alive = [w for w, state in enumerate(states) if turn < state.steps and not done[w]]
        if not alive:
            break
        x, y = (torch.stack(part) for part in zip(*(drawn[w][turn] for w in alive), strict=True))
        try:
            with frame.working(), on_behalf_of([states[w].label for w in alive]):
                gradients, values = step(_stacked(centre, current, [names[w] for w in alive]), x, y)
            found = [
                finite(float(value), states[w].label) for w, value in zip(alive, values.detach(), strict=True)
            ]
        except BlockzooError:
            _restore(current, centre)
            raise
        for row, w in enumerate(alive):
            losses[w].append(found[row])
            own = [gradients[name][row] for name in names[w]]
            norms[w], done[w] = _step(frame, chosen[w], own, [centre[n] for n in names[w]], len(losses[w]))
    seconds = (time.perf_counter() - begin) / len(chosen)
    outcomes = []
    for w, block in enumerate(chosen):
        values_: Tensors = [current[name].detach().clone() for name in names[w]]
        steps = len(losses[w]) - done[w]
        moved = distance(values_, [centre[name] for name in names[w]])
        outcomes.append(
            WorkerOutcome(
                block, values_, {}, LocalResult(losses[w], steps, norms[w], done[w]), moved, seconds
            )
        )
    _restore(current, centre)
    return outcomes


def _stackable(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step`, whose refusals by vmap are a sentence."""

    def refused(*arguments: Any) -> Any:
        try:
            return step(*arguments)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise RequestError(
                f"the workers of this network cannot be stacked: {str(error).strip().splitlines()[0]} "
                "Leave out vectorised"
            ) from error

    return refused


def _stacked(
    centre: dict[str, torch.Tensor], current: dict[str, torch.nn.Parameter], own: Sequence[Sequence[str]]
) -> dict[str, torch.Tensor]:
    """(workers, ...) of every parameter: the centre's, but for each worker its own block's."""
    found = {name: value.expand(len(own), *value.shape) for name, value in centre.items()}
    for worker, names in enumerate(own):
        for name in names:
            found[name] = found[name].clone()
            found[name][worker] = current[name].detach()
    return found


@torch.no_grad()
def _step(
    frame: Centre, block: int, gradients: Tensors, reference: Tensors, turns: int
) -> tuple[float, bool]:
    """One optimiser step of a block; its gradient's norm, and whether its local problem was solved before it."""
    state = frame.blocks[block]
    weight, factor = state.proximal.weight, state.proximal.factor
    away = 0.0
    if weight > 0:
        away = distance([p.detach() for p in state.parameters], reference)
        gradients = [
            g + weight * (p - r) for g, p, r in zip(gradients, state.parameters, reference, strict=True)
        ]
    norm = float(torch.stack([squared_norm(g) for g in gradients]).sum().sqrt())
    if weight > 0 and factor > 0 and turns > 1 and norm <= factor * weight * away:
        return norm, True
    for p, g in zip(state.parameters, gradients, strict=True):
        p.grad = g
    state.optimizer.step()
    for p in state.parameters:
        p.grad = None
    return norm, False


def _restore(current: dict[str, torch.nn.Parameter], centre: dict[str, torch.Tensor]) -> None:
    put(list(current.values()), [centre[name] for name in current])
