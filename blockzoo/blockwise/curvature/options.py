"""How a coupling map is searched for: each setting one field, with its default, its sentence and its range. No tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from blockzoo.core.arguments import check_types
from blockzoo.core.checked import setting
from blockzoo.core.errors import UsageError

Matrix = Literal["hessian", "ggn"]


@dataclass(frozen=True)
class Searching:
    """How a coupling map is searched for.

    Raises:
        UsageError: what is out of its range, all of it at once.
    """

    rank: int = setting(
        2, "random directions per block: the first starts the searches, all estimate Frobenius norms"
    )
    tol: float = setting(
        1e-3, "relative error to reach: the search of an entry ends when its upper bound is so near"
    )
    seed: int = setting(0, "of the directions")
    failure: float = setting(1e-4, "probability that an upper bound of the whole map does not hold")
    matrix: Matrix = setting("hessian", "hessian, or ggn for the generalised Gauss-Newton matrix")
    max_products: int | None = setting(
        None, "stop after so many products, the worst entries first, though entries have not converged"
    )
    max_seconds: float | None = setting(
        None,
        "be done within so long: of the command, torch's import included, of a call from it on",
        unit="s",
    )

    def __post_init__(self) -> None:
        check_types(self)
        faults = [
            f"{name} {value}: give a number above 0 and below 1"
            for name, value in (("tol", self.tol), ("failure", self.failure))
            if not 0 < value < 1
        ]
        faults += [
            f"{name} {value}: give a positive number"
            for name, value in (("rank", self.rank), ("max_products", self.max_products))
            if value is not None and not value >= 1
        ]
        if self.max_seconds is not None and not self.max_seconds >= 0:
            faults.append(f"max_seconds {self.max_seconds}: give 0 or more")
        if self.matrix not in (choices := get_args(Matrix)):
            faults.append(f"matrix {self.matrix!r}: choose {' or '.join(choices)}")
        if faults:
            raise UsageError("; ".join(faults))
