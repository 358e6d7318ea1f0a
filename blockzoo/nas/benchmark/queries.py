"""How queries are typed: one architecture is answered with a number, an array of many with an array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, Protocol, cast, overload

import numpy as np
import numpy.typing as npt

from blockzoo.nas.space.macro import Architecture

Options = ParamSpec("Options")
Architectures = Architecture | npt.NDArray[Any]
"""One network, or an array of many: indices, hashes, or vectors as flat numbers."""
Answer = float | npt.NDArray[np.float64] | None
"""A number, None where it is not known; of many an array, NaN where it is not known."""


class OneOrMany(Protocol[Options]):
    """A query of a benchmark at hand."""

    @overload
    def __call__(
        self, arch: npt.NDArray[Any], *args: Options.args, **options: Options.kwargs
    ) -> npt.NDArray[np.float64]: ...
    @overload
    def __call__(
        self, arch: Architecture, *args: Options.args, **options: Options.kwargs
    ) -> float | None: ...


class OneOrManyMethod(Protocol[Options]):
    """The same as it stands in a class."""

    def __get__(self, benchmark: Any, kind: type | None = None) -> OneOrMany[Options]: ...


def of_one_or_many(method: Callable[Concatenate[Any, Any, Options], Any]) -> OneOrManyMethod[Options]:
    """The method itself, with the two types that it has: None where an architecture is unknown, NaN where one of many is."""
    return cast("OneOrManyMethod[Options]", method)
