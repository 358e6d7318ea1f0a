"""All workers of a small network at once: one vectorised step over stacked parameters instead of one step per worker.

Worker i's network is the centre with its own block i. Since each block belongs to one worker, the network itself can hold what
all workers have made of their blocks so far; stacking it against the centre gives all their networks.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from torch.func import functional_call, grad_and_value, vmap

from blockzoo.blockwise.engines.rounds import Tensors, WorkerOutcome, distance, put
from blockzoo.blockwise.frame import Frame
from blockzoo.blockwise.local import LocalResult
from blockzoo.core.errors import Diverged, RequestError


def work_stacked(frame: Frame, chosen: Sequence[int]) -> list[WorkerOutcome]:
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
    names = [frame.partition.names[block] for block in chosen]
    states = [frame.blocks[block] for block in chosen]
    losses: list[list[float]] = [[] for _ in chosen]
    norms, done = [0.0] * len(chosen), [False] * len(chosen)

    def loss(parameters: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return frame.criterion(functional_call(frame.model, parameters, (x,)), y)

    step = vmap(grad_and_value(loss))
    drawn = [[next(state.stream) for _ in range(state.steps)] for state in states]
    for turn in range(max(state.steps for state in states)):
        alive = [w for w, state in enumerate(states) if turn < state.steps and not done[w]]
        if not alive:
            break
        x, y = (torch.stack(part) for part in zip(*(drawn[w][turn] for w in alive), strict=True))
        gradients, values = step(_stacked(centre, current, [names[w] for w in alive]), x, y)
        for row, w in enumerate(alive):
            value = float(values[row].detach())
            if not abs(value) < float("inf"):
                _restore(current, centre)
                raise Diverged(
                    f"block {states[w].label}: the loss became {value:g}; try a smaller step size, or a proximal term"
                )
            losses[w].append(value)
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
def _step(frame: Frame, block: int, gradients: Tensors, reference: Tensors, turns: int) -> tuple[float, bool]:
    """One optimiser step of a block; its gradient's norm, and whether its local problem was solved before it."""
    state = frame.blocks[block]
    weight, factor = state.proximal.weight, state.proximal.factor
    away = 0.0
    if weight > 0:
        away = distance([p.detach() for p in state.parameters], reference)
        gradients = [
            g + weight * (p - r) for g, p, r in zip(gradients, state.parameters, reference, strict=True)
        ]
    norm = float(torch.stack([g.square().sum() for g in gradients]).sum().sqrt())
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
