"""How a block-wise run trains, and the network between its workers: each setting one field."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from annotated_types import Ge, Le, Lt

from blockzoo.blockwise.contracts import ENGINES
from blockzoo.core.arguments import check_values
from blockzoo.core.checked import Count, Finite, NotNegative, Part, Positive, setting
from blockzoo.core.errors import UsageError

ORDERS = ("ascending", "descending", "random", "importance")
BUFFERS = ("own", "average")


@dataclass(frozen=True)
class Options:
    """A block-wise training run. Numbers of one value per block may be given as a tuple."""

    training_mode: str = setting(
        "jacobi", "the engine: distributed, jacobi, gauss-seidel, async, entire, local-sgd"
    )
    rounds: Count = setting(100, "communication rounds (of `entire`: times K steps)")
    k: Count | tuple[Count, ...] = setting(
        10, "local steps of a block in a round, one number or one per block", names=("--K",)
    )
    step_size: Finite | tuple[Finite, ...] = setting(
        1e-3, "learning rate of the local optimiser, one or one per block", names=("--lr", "--learning-rate")
    )
    optimizer: str | tuple[str, ...] = setting(
        "sgd", "of torch.optim, by name in any case, or momentum; one, or one per block"
    )
    gamma: Part = setting(1.0, "how far the centre moves towards a worker's block, in (0, 1]")
    prox_lambda: NotNegative | tuple[NotNegative, ...] = setting(
        0.0, "weight of lambda/2 ||x - x_ref||^2 in the local problem, one or one per block"
    )
    delta_factor: NotNegative = setting(
        0.1, "the local steps end early once ||grad|| <= factor lambda ||x - x_ref||"
    )
    share_of_active_workers: Part = setting(1.0, "of all blocks, drawn anew each round")
    order: str = setting(
        "ascending", "in which gauss-seidel visits the blocks: ascending, descending, random or importance"
    )
    max_staleness: Annotated[int, Ge(0)] = setting(2, "async: rounds by which a worker may lag behind")
    batch_size: Count = setting(256, "examples per step", unit="examples", names=("-b",))
    buffers: str = setting("own", "running statistics: of the own block's worker, or the average of all")
    vectorised: bool = setting(
        False, "jacobi: all workers of a small network step at once (vmap): faster for small networks"
    )
    seed: int = setting(0, "of everything")

    def __post_init__(self) -> None:
        check_values(self)
        object.__setattr__(self, "training_mode", ENGINES.canonical(self.training_mode))
        faults = [
            f"{name} {getattr(self, name)!r}: choose {' or '.join(', '.join(choices).rsplit(', ', 1))}"
            for name, choices in (("order", ORDERS), ("buffers", BUFFERS))
            if getattr(self, name) not in choices
        ]
        if faults:
            raise UsageError("; ".join(faults))

    def per_block(self, name: str, blocks: int) -> list[Any]:
        """A field as one value per block.

        Raises:
            UsageError: a list of another length.
        """
        value = getattr(self, name)
        if not isinstance(value, tuple):
            return [value] * blocks
        if len(value) != blocks:
            raise UsageError(f"{name} has {len(value)} values for {blocks} blocks: give one, or one for each")
        return list(value)

    def to_json(self) -> dict[str, Any]:
        """All fields as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Network:
    """A simulated network between workers."""

    delay_s: NotNegative = setting(
        0.0, "simulated seconds of a message", unit="s", names=("--communication-delay",)
    )
    step_s: NotNegative = setting(
        0.0, "simulated seconds of a local step", unit="s", names=("--step-seconds",)
    )
    bandwidth_bytes_per_s: Positive = setting(
        float("inf"), "simulated bytes per second of a link", unit="bytes/s", names=("--bandwidth",)
    )
    straggler_share: Annotated[float, Ge(0), Le(1)] = setting(
        0.0, "of workers that are slow in a round, drawn anew each round"
    )
    straggler_factor: Annotated[float, Ge(1), Lt(float("inf"))] = setting(
        1.0, "by how much their computing takes longer"
    )
    seed: int = 0

    def __post_init__(self) -> None:
        check_values(self)
