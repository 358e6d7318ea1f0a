"""What a file makes of NaN and infinities where its network makes something else: compared, said by name, refused if asked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np

from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import CheckFailed, UsageError
from blockzoo.models.agreement import allowed
from blockzoo.tiling.onnx.check import FLOATS, Plain, moved
from blockzoo.tiling.onnx.files import OnnxSource
from blockzoo.tiling.onnx.session import Inputs, every_output

log = logging.getLogger(__name__)

INTEGERS = "int8 has neither: the file makes numbers of them"
NOT_COMPARED = "not compared, since {} is not known to be PyTorch's, and may fail on them"
SAME = "as the network"
"""In a file's metadata, where nothing is to be said."""
MAXIMA = frozenset("max_pool1d max_pool2d max_pool3d adaptive_max_pool2d amax amin max min topk".split())
"""Operations whose forms in ONNX Runtime pass over NaN."""
PLACES = 4
"""Values are put where rows and columns are multiples of this, which strides of 2 and 4 read."""


@dataclass(frozen=True)
class Special:
    """How a file is held to what its network makes of NaN and infinities.

    Args:
        strict: a file that makes something else of them is refused; otherwise it is said.
        suspects: names the network's operations that, alone, make something else of them as files.
        foreign: names an operation that may not keep to its memory where it is given NaN; "" for none. It is not tried then.
        integers: what is said of a file of integers, which is not compared.
    """

    strict: bool = False
    suspects: Callable[[], Sequence[str]] = tuple
    foreign: Callable[[], str] = str
    integers: str = ""


@CHECKS.register("onnx-special")
def check_special(
    model: OnnxSource,
    plain: Plain,
    image: Inputs,
    what: str,
    special: Special,
    tell: Callable[[str], None] = lambda sentence: None,
) -> float | None:
    """An ONNX file as ONNX Runtime runs it, against what it was made from, on an image with NaN and on one with both infinities.

    What differs there and not on numbers is what ONNX Runtime's operations make of them: its maxima (MaxPool, ReduceMax, TopK)
    pass over NaN, its Sign of NaN is NaN. The file is written; what it does is said in a warning, in the report and in the
    file's metadata, with the operations that do it alone, as far as they are found. `strict` refuses such a file. An image that
    the network itself refuses shows nothing. NaN are for operations of PyTorch alone.

    Catches: NaN and infinities that vanish, appear or become others on the way through the file.

    Tolerance: none where one of both is NaN or infinite; of numbers that of `onnx-file`. The result is the share of values that
    differ.

    Cost: two passes of the network in either; where something differs, 0.5 s for each kind of operation that is tried alone, once
    in a process. MobileNetV2 at 224 exported and cut, 0.26 s of one core, 4 % (AMD EPYC).

    Args:
        model: the file.
        plain: what it was made from.
        image: an image of numbers, and what is given beside it.
        what: the network, for messages.
        special: how it is held.
        tell: hears what the file does, in a sentence; nothing where it does as the network.

    Raises:
        CheckFailed: `strict`, and they differ or cannot be compared.
    """
    if foreign := special.foreign():
        _refuse_if_strict(message := NOT_COMPARED.format(foreign), what, special)
        tell(message)
        return None
    ways: dict[str, list[str]] = {}
    differ = 0.0
    right: dict[str, tuple[Inputs, list[np.ndarray]]] = {}
    for kind, probe in with_special(image).items():
        with suppress(UsageError):  # the network's own
            right[kind] = probe, plain(probe)
    results = _each(model, [probe for probe, _ in right.values()])
    for (kind, (image, wanted)), got in zip(right.items(), results, strict=True):
        close = partial(_close, partial(moved, plain, image, wanted))
        shares = {"the file cannot be run": 1.0} if got is None else differences(wanted, got, close)
        for sentence, share in shares.items():
            ways.setdefault(sentence, []).append(kind)
            differ = max(differ, share)
    if not ways:
        return 0.0
    message = "; ".join(f"given {' or '.join(kinds)}, {sentence}" for sentence, kinds in ways.items())
    names = special.suspects()
    message += f" (as {', '.join(names)} does alone)" if names else ""
    message += ": ONNX Runtime's maxima pass over NaN" if MAXIMA & {*names} else ""
    _refuse_if_strict(message, what, special)
    log.warning("%s: NaN and infinities: %s", what, message)
    tell(message)
    return differ


def said_of_special(
    model: OnnxSource, plain: Plain | None, image: Inputs, what: str, special: Special
) -> str:
    """What a file makes of NaN and infinities that what it was made from does not, in words; "" for nothing.

    Args, raises: see `check_special`; plain None: a file of integers.
    """
    if plain is None:
        if special.integers:
            _refuse_if_strict(special.integers, what, special)
        return special.integers
    sentences: list[str] = []
    check_special(model, plain, image, what, special, sentences.append)
    return "".join(sentences)


def _refuse_if_strict(said: str, what: str, special: Special) -> None:
    if special.strict:
        raise CheckFailed(
            f"{what}: check 'onnx-special' failed: NaN and infinities: {said}; --strict (strict=True) refuses that, so the "
            "file is not written. Without it the file is written, and says so"
        )


def with_special(image: Inputs) -> dict[str, list[np.ndarray]]:
    """An image of numbers (N, C, H, W) with NaN in all channels of a pixel; and with each infinity in one channel of another."""
    first, *others = image
    rows, columns = (PLACES * (side // 2 // PLACES) for side in first.shape[2:])
    nan, infinite = first.copy(), first.copy()
    nan[0, :, rows, columns] = np.nan
    infinite[0, 0, rows, columns] = np.inf
    infinite[-1, -1, 0, 0] = -np.inf
    return {"NaN": [nan, *others], "infinities": [infinite, *others]}


def differences(
    wanted: Sequence[np.ndarray], got: Sequence[np.ndarray], close: Callable[[float], bool]
) -> dict[str, float]:
    """In which ways outputs differ, in words, and for which share of an output's values.

    Args:
        wanted: of the network.
        got: of the file.
        close: may numbers be so far apart, relative to the largest?
    """
    shares: dict[str, float] = {}
    for plain, computed in zip(wanted, got, strict=True):
        for sentence, where in _differing(plain, computed, close):
            if share := float(np.mean(where)):
                shares[sentence] = max(share, shares.get(sentence, 0.0))
    return shares


def _differing(
    plain: np.ndarray, made: np.ndarray, close: Callable[[float], bool]
) -> Iterator[tuple[str, np.ndarray]]:
    one, other = plain.astype(np.float64), made.astype(np.float64)
    finite = np.isfinite(one) & np.isfinite(other)
    for kind, mine in (("NaN", np.isnan(one)), ("infinities", np.isinf(one)), ("numbers", np.isfinite(one))):
        yield f"the file gives NaN where the network gives {kind}", mine & np.isnan(other) & ~np.isnan(one)
        opposite = np.isinf(other) & (one != other)
        those = "infinities of the other sign" if kind == "infinities" else "infinities"
        yield f"the file gives {those} where the network gives {kind}", mine & opposite
        yield f"the file gives numbers where the network gives {kind}", mine & np.isfinite(other) & ~finite
    if finite.any():
        apart_by, largest = np.abs(one[finite] - other[finite]), max(float(np.abs(one[finite]).max()), 1e-12)
        if not close(float(apart_by.max()) / largest):
            where = np.zeros(one.shape, bool)
            where[finite] = apart_by > FLOATS * largest
            yield "the file gives other numbers", where


def _each(model: OnnxSource, batches: Sequence[Inputs]) -> list[list[np.ndarray] | None]:
    """A file's outputs for each batch; None where it cannot be run."""
    with suppress(UsageError):
        return [*every_output(model, batches)]
    if len(batches) == 1:
        return [None]
    return [result for batch in batches for result in _each(model, [batch])]


def _close(own: Callable[[], float], difference: float) -> bool:
    at_most = allowed(FLOATS, difference, own)
    return at_most is None or difference <= at_most
