"""Bytes of activations: the most that are live at inference, and those that a training step keeps."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from blockzoo.core.contracts import QUANTITIES
from blockzoo.core.quantity import OnPaper, Specimen

if TYPE_CHECKING:
    from torch import Tensor, nn

    from blockzoo.measure.memory import Saved


class Peak(NamedTuple):
    """Of one part, in bytes: the most that is live while it is called, its input not counted, and its input."""

    live: int
    input: int


@QUANTITIES.register("peak_activation_bytes")
class PeakActivationBytes(OnPaper[Peak]):
    """Largest sum of live activations of one image at inference, fp32, deployed, input not counted."""

    unit, label, form, place = "bytes", "peak activations, inference", "inference", 70
    axis, picture = "peak activations of one image, bytes", "memory"

    def measure(self, specimen: Specimen) -> Peak:
        from blockzoo.measure.memory import peak_memory

        return Peak(peak_memory(specimen.module, specimen.x), specimen.x.nbytes)

    def total(self, parts: Sequence[Peak]) -> int:
        """The largest peak of one part, its input held (but for that of the first one)."""
        held = (0, *(part.input for part in parts[1:]))
        return max(part.live + own_input for part, own_input in zip(parts, held, strict=True))


class Kept(NamedTuple):
    """Of one part: what a training step keeps, and the bytes of its output."""

    saved: Saved
    output: int


@QUANTITIES.register("saved_activation_bytes")
class SavedActivationBytes(OnPaper[Kept]):
    """Bytes kept for the backward pass of one image, fp32, trained form."""

    unit, label, form, place = "bytes", "kept for backward, training", "training", 80

    def measure(self, specimen: Specimen) -> Kept:
        return Kept(_saved_by_training(specimen.module, specimen.x), 4 * prod(specimen.output_shape))

    def total(self, parts: Sequence[Kept]) -> int:
        """They add up, a tensor between two parts counted once, the input of the first one not at all."""
        total_bytes, boundary_kept, boundary_bytes = 0, True, 0
        for part in parts:
            saved = part.saved
            total_bytes += saved.inside
            if saved.input and not boundary_kept:
                total_bytes += boundary_bytes
                boundary_kept = True
            if not saved.passes_through:
                boundary_bytes = part.output
                boundary_kept = saved.output
                total_bytes += boundary_bytes if saved.output else 0
        return total_bytes


def _saved_by_training(module: nn.Module, x: Tensor) -> Saved:
    """What a training step on `x` keeps.

    Batch norm refuses to train on one value per channel, as one image whose map is 1x1. Bytes grow by the same
    amount with each image, so they are then extrapolated from one and two images more.
    """
    from blockzoo.measure.memory import saved_for_backward

    try:
        return saved_for_backward(module, x)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
    more, most = (saved_for_backward(module, x.new_empty(len(x) + n, *x.shape[1:])) for n in (1, 2))
    return more._replace(inside=2 * more.inside - most.inside)
