"""Train networks of the space, as a sweep: resumable, each a process, each outcome a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blockzoo.core.errors import UsageError
from blockzoo.core.keywords import DataKeywords, RecipeKeywords, RunKeywords, SweepingKeywords
from blockzoo.nas.options import PUBLISHED_WIDTH
from blockzoo.nas.space.published import published_space

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from blockzoo.execution.progress import Progress
    from blockzoo.trials.grid import SweepResult


@dataclass(frozen=True)
class Choice:
    """Which networks of the space, chosen in one of four ways.

    Args:
        range: first and last + 1.
        indices: themselves.
        sample, sample_seed: so many, drawn uniformly.
        start, per_worker, workers: `per_worker` for each of `workers` from `start` on, as the published launcher splits.
        first: only so many of them.
    """

    range: Sequence[int] | None = None
    indices: Sequence[int] | None = None
    sample: int | None = None
    sample_seed: int = 0
    start: int | None = None
    per_worker: int | None = None
    workers: int = 1
    first: int | None = None

    def networks(self) -> list[int]:
        """Their indices.

        Raises:
            UsageError: none or several ways, or networks that the space does not have.
        """
        ways = [(name, getattr(self, name)) for name in ("range", "indices", "sample", "start")]
        given = [f"--{name}" for name, value in ways if value is not None]
        if len(given) != 1:
            options = " or ".join(f"--{name}" for name, _ in ways)
            raise UsageError(f"say which networks in one way: {options}; given: {given or 'none'}")
        if self.first is not None and self.first < 1:
            raise UsageError(f"first {self.first}: give 1 or more")
        return self._all()[: self.first]

    def _all(self) -> list[int]:
        space = published_space()
        if self.sample is not None:
            return [int(i) for i in space.sample(self.sample, self.sample_seed)]
        if self.indices is not None:
            return [space.index(int(index)) for index in self.indices]
        if self.start is not None:
            end = min(self.start + (self.per_worker or 50) * self.workers, len(space))
            return _between(self.start, end, len(space))
        first, last = self.range or ()
        return _between(first, last, len(space))


def _between(first: int, end: int, count: int) -> list[int]:
    if not 0 <= first < end <= count:
        raise UsageError(f"range {first} {end}: first and end + 1, within 0 to {count}")
    return list(range(first, end))


class NetworksKeywords(RecipeKeywords, DataKeywords, RunKeywords, SweepingKeywords, total=False):
    """The settings of these trainings."""


def train_networks(
    indices: Sequence[int],
    *,
    seeds: int | Sequence[int] = 1,
    width: int = PUBLISHED_WIDTH,
    dry_run: bool = False,
    progress: Progress | None = None,
    **settings: Unpack[NetworksKeywords],
) -> SweepResult:
    """Train these networks; `blockzoo.nas.benchmark.release.build_release` makes a benchmark of what comes out.

    Args:
        indices: of the published space.
        seeds: how many, or which.
        width: channels of the first stage.
        dry_run: plan and estimate only.
        progress: told what happens.
        settings: as of `run_sweep`; the default protocol is blox-v1, the dataset cifar100, the output exp. They are not timed.
    """
    from blockzoo.trials.sweep import run_sweep

    at = "" if width == PUBLISHED_WIDTH else f"@{width}"
    subjects = [f"macro:{index}{at}" for index in indices]
    keywords: NetworksKeywords = {
        "protocol": "blox-v1",
        "dataset": "cifar100",
        "output": "exp",
        **settings,
        "latency": False,
    }
    return run_sweep(subjects, "mid", seeds, dry_run=dry_run, progress=progress, **keywords)
