"""WHAT a block-wise run is: one frozen dataclass, each field with its sentence."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from blockzoo.blockwise.contracts import ENGINES
from blockzoo.core.arguments import check_types
from blockzoo.core.errors import RequestError

ORDERS = ("ascending", "descending", "random", "importance")


@dataclass(frozen=True)
class Options:
    """A block-wise training run. Numbers of one value per block may be given as a tuple.

    Args:
        training_mode: the engine.
        rounds: communication rounds (for `entire`: times K steps).
        k: local steps of a block in a round; one number or one per block.
        step_size: of the local optimiser; one number or one per block.
        optimizer: of torch.optim, by name in any case, or "momentum"; one, or one per block.
        gamma: how far the centre moves towards a worker's block, in (0, 1].
        prox_lambda: weight of lambda/2 ||x - x_ref||^2 in the local problem; one number or one per block.
        delta_factor: the local steps end early once ||grad|| <= delta_factor lambda ||x - x_ref||.
        share_of_active_workers: of all blocks, drawn anew each round.
        order: in which gauss-seidel visits the blocks.
        max_staleness: rounds by which a worker of `async` may lag behind.
        batch_size: examples per step.
        buffers: what becomes of running statistics: of the "own" block's worker, "average" of all workers.
        vectorised: `jacobi` steps all workers at once (vmap): faster for small networks.
        seed: of everything.
    """

    training_mode: str = "jacobi"
    rounds: int = 100
    k: int | tuple[int, ...] = 10
    step_size: float | tuple[float, ...] = 1e-3
    optimizer: str | tuple[str, ...] = "sgd"
    gamma: float = 1.0
    prox_lambda: float | tuple[float, ...] = 0.0
    delta_factor: float = 0.1
    share_of_active_workers: float = 1.0
    order: str = "ascending"
    max_staleness: int = 2
    batch_size: int = 256
    buffers: str = "own"
    vectorised: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_types(self)
        object.__setattr__(self, "training_mode", ENGINES.canonical(self.training_mode))
        faults = []
        if self.order not in ORDERS:
            faults.append(f"order {self.order!r}: choose {', '.join(ORDERS)}")
        if self.rounds < 1:
            faults.append(f"rounds {self.rounds}: give 1 or more")
        if any(k < 1 for k in _each(self.k)):
            faults.append(f"K {self.k}: give 1 or more local steps")
        if any(not 0 < step < float("inf") for step in _each(self.step_size)):
            faults.append(f"step size {self.step_size}: give a positive number")
        if any(not 0 <= value < float("inf") for value in _each(self.prox_lambda)):
            faults.append(f"prox lambda {self.prox_lambda}: give 0 or more")
        if not 0 <= self.delta_factor < float("inf"):
            faults.append(f"delta factor {self.delta_factor}: give 0 for never, or a positive number")
        if not 0 < self.gamma <= 1:
            faults.append(f"gamma {self.gamma}: give a number in (0, 1]")
        if not 0 < self.share_of_active_workers <= 1:
            faults.append(f"share of active workers {self.share_of_active_workers}: give a number in (0, 1]")
        if self.max_staleness < 0:
            faults.append(f"max staleness {self.max_staleness}: give 0 or more")
        if self.batch_size < 1:
            faults.append(f"batch size {self.batch_size}: give 1 or more")
        if self.buffers not in ("own", "average"):
            faults.append(f"buffers {self.buffers!r}: choose own or average")
        if faults:
            raise RequestError("; ".join(faults))

    def per_block(self, name: str, blocks: int) -> list[Any]:
        """A field as one value per block.

        Raises:
            RequestError: a list of another length.
        """
        value = getattr(self, name)
        if not isinstance(value, tuple):
            return [value] * blocks
        if len(value) != blocks:
            raise RequestError(
                f"{name} has {len(value)} values for {blocks} blocks: give one, or one for each"
            )
        return list(value)

    def to_json(self) -> dict[str, Any]:
        """All fields as plain values."""
        return asdict(self)


def _each(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
