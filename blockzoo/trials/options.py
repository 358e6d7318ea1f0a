"""How a row is verified: each setting one field, with its default, its sentence and its range. No tensors."""

from __future__ import annotations

from dataclasses import dataclass

from blockzoo.core.checked import Checked, Count, Positive, setting


@dataclass(frozen=True, kw_only=True)
class Verifying(Checked):
    """Reruns of a row."""

    reruns: Count = setting(
        5, "trainings at most; the first has the row's seed, and is enough where it is equal"
    )
    within: Positive = setting(
        5.0, "half of the widest interval, in points, that says that they agree", unit="points"
    )
