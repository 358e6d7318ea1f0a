"""Curricula (a door): which training examples a round draws from.

In text: `all`, `growing:0.2` (from a fifth of the examples to all by half of the rounds), `classes:3,5`, `hard` (by loss).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from blockzoo.blockwise.contracts import CURRICULA, Curriculum
from blockzoo.blockwise.run.view import RunView
from blockzoo.core.errors import UsageError

if TYPE_CHECKING:
    from jaxtyping import Float


def make_curriculum(text: str) -> Curriculum:
    """The curriculum a text describes.

    Raises:
        UsageError: no such curriculum, or an argument it cannot use.
    """
    return CURRICULA.make(text)


@CURRICULA.register("all")
class Everything:
    """`all`: every example, in every round."""

    def __init__(self, argument: str = "") -> None: ...

    def weights(self, round: int, run: RunView) -> Float[torch.Tensor, " N"] | None:
        """None."""
        return None


@CURRICULA.register("growing")
class Growing:
    """`growing:0.2`: the first fifth of the examples at first, all of them from half of the rounds on."""

    depends_on_rounds = True

    def __init__(self, argument: str = "0.2") -> None:
        self.start = float(argument or 0.2)
        if not 0 < self.start <= 1:
            raise ValueError

    def weights(self, round: int, run: RunView) -> Float[torch.Tensor, " N"] | None:
        """One for those in, zero for those not yet."""
        share = min(1.0, self.start + (1 - self.start) * 2 * round / run.rounds)
        count = max(1, int(share * len(run.train)))
        return (torch.arange(len(run.train)) < count).double()


@CURRICULA.register("classes")
class Classes:
    """`classes:3,5`: only examples of these classes."""

    def __init__(self, argument: str) -> None:
        self.classes = [int(part) for part in argument.split(",")]

    def weights(self, round: int, run: RunView) -> Float[torch.Tensor, " N"] | None:
        """One for these classes."""
        chosen = torch.isin(run.train.y.cpu(), torch.tensor(self.classes))
        if not chosen.any():
            raise UsageError(f"curriculum classes: no training example is of the classes {self.classes}")
        return chosen.double()


@CURRICULA.register("hard")
class Hard:
    """`hard` or `hard:10`: examples in proportion to their loss, looked at anew every 10 rounds."""

    def __init__(self, argument: str = "10") -> None:
        self.every = int(argument or 10)
        if self.every < 1:
            raise ValueError
        self._weights: torch.Tensor | None = None

    def weights(self, round: int, run: RunView) -> Float[torch.Tensor, " N"] | None:
        """Cross-entropies of the centre network; for other targets, squared errors."""
        if self._weights is None or round % self.every == 0:
            self._weights = _losses(run)
        return self._weights

    def state_dict(self) -> Float[torch.Tensor, " N"] | None:
        """The weights between two looks."""
        return self._weights

    def load_state_dict(self, saved: Float[torch.Tensor, " N"]) -> None:
        """Go on with these."""
        self._weights = saved


@torch.no_grad()
def _losses(run: RunView) -> torch.Tensor:
    was = run.model.training
    run.model.eval()
    losses = []
    for x, y in run.train.batches(512):
        output = run.model(x.clone())
        if y.is_floating_point():
            losses.append((output - y).square().flatten(1).mean(1))
        else:
            losses.append(torch.nn.functional.cross_entropy(output, y, reduction="none"))
    run.model.train(was)
    return torch.cat(losses).double().cpu() + 1e-6
