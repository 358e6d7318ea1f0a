"""What the parts of a card share: the subject, its images, the store, and what trainings have taken so far."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blockzoo.card.options import OTHER, Carding
from blockzoo.card.schedule import TimeIsUp
from blockzoo.core.contracts import DEFAULT_FILLER, POSITIONS
from blockzoo.core.errors import UsageError
from blockzoo.core.export import export
from blockzoo.core.once import only_trainer
from blockzoo.core.outputs import Outputs
from blockzoo.core.record import FINAL, Record
from blockzoo.core.settings import Data, Recipe, Run, Scaffold
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.core.store import Store
from blockzoo.core.subject import Subject
from blockzoo.trials.request import images_of, network_spec, trial_spec

if TYPE_CHECKING:
    from blockzoo.data import ImageData

BESIDE = 1.5
"""What a first training takes beside its steps, in steps of its network: Python between them, and reading what comes out."""
TRYING_S = 5.0
"""Seconds that are left at least when a step is timed."""


@dataclass(frozen=True)
class Asked:
    """What a card is of, and how it is made.

    Args:
        subject: a block, without a position.
        carding: the settings of the card itself.
        scaffold, recipe, data, run: of its trainings.
    """

    subject: Subject
    carding: Carding
    scaffold: Scaffold
    recipe: Recipe
    data: Data
    run: Run

    @classmethod
    def of(
        cls, subject: str | type, carding: Carding, scaffold: Scaffold, recipe: Recipe, data: Data, run: Run
    ) -> Asked:
        """A card of a block.

        Raises:
            UsageError: an unknown name, or no block.
        """
        parsed = Subject.parse(subject)
        if not parsed.is_block:
            raise UsageError(
                f"{parsed} is a whole network: a card is of a block, such as RepMixer or my_file.py:MyBlock"
            )
        if parsed.in_running_script:
            raise UsageError(
                f"{parsed} is defined in the running script: put it in a file of its own and name that"
            )
        return cls(replace(parsed, position=None), carding, scaffold, recipe, data, run)

    @cached_property
    def reference(self) -> str:
        """The block that it is compared with."""
        against = Subject.parse(self.carding.against)
        if not against.is_block:
            raise UsageError(f"against {against}: name a block")
        if against.label != self.subject.label:
            return against.label
        return OTHER if self.subject.label == DEFAULT_FILLER else DEFAULT_FILLER

    @property
    def name(self) -> str:
        """Of the subject."""
        return self.subject.label


@dataclass
class Desk:
    """What parts work with.

    Args:
        asked: the request.
        clock: in seconds.
        device: that networks are trained on.
        elsewhere: rows of other results that stand beside the subject's.
        told: of each network that was trained here, the seconds that it took.
        left: seconds that there are for parts.
        pace: how many times as long as usual things take on this machine, now.
    """

    asked: Asked
    clock: Callable[[], float] = time.perf_counter
    device: str = "cpu"
    elsewhere: list[dict[str, Any]] = field(default_factory=list)
    told: dict[str, float] = field(default_factory=dict)
    left: Callable[[], float] = lambda: float("inf")
    pace: float = 1.0
    _image_seconds: dict[str, float] = field(default_factory=dict)

    @cached_property
    def outputs(self) -> Outputs:
        """The results folder."""
        return Outputs.at(self.asked.run.output)

    @cached_property
    def store(self) -> Store:
        """That trainings, times and maps go to."""
        return self.outputs.store()

    @cached_property
    def images(self) -> ImageData:
        """The dataset."""
        return images_of(self.asked.data, self.asked.run.data_dir)

    @cached_property
    def statuses(self) -> dict[str, str]:
        """What one's own trainings of the store came to, by fingerprint."""
        return self.store.own_statuses()

    def network(self, subject: str, position: str | None = None) -> NetworkSpec:
        """A block at a position of the scaffold, or a whole network."""
        return network_spec(subject, position, self.images, self.asked.scaffold)

    def trial(self, subject: str, position: str | None, seed: int) -> TrialSpec:
        """Its training from a seed."""
        key = (subject, position, seed)
        if key not in self._trials:
            network = self.network(subject, position)
            self._trials[key] = trial_spec(network, self.images, self.asked.recipe, self.asked.data, seed)
        return self._trials[key]

    @cached_property
    def _trials(self) -> dict[tuple[str, str | None, int], TrialSpec]:
        return {}

    @cached_property
    def _elsewhere(self) -> set[str]:
        return {str(row.get("fingerprint")) for row in self.elsewhere}

    def is_known(self, spec: TrialSpec) -> bool:
        """Whether the store, or what stands beside it, has its outcome."""
        identity = spec.fingerprint()
        return self.statuses.get(identity) in FINAL or identity in self._elsewhere

    def seconds(self, spec: TrialSpec) -> float:
        """What a training will take: as long as another of the same network took; else by a timed step, as far as such steps told
        the truth so far, and no shorter than the shortest. Nothing where its outcome is known.
        """
        if self.is_known(spec):
            return 0.0
        if spec.network.label in self.told:
            return self.told[spec.network.label]
        return max(self.by_step(spec) * self._truth, min(self.told.values(), default=0.0))

    def by_step(self, spec: TrialSpec) -> float:
        """By its steps alone; a block at another position is taken to be as fast as where it was tried first.

        Raises:
            TimeIsUp: there is no time to try one.
        """
        from blockzoo.training.steps import training_image_seconds, training_images_worth

        key = spec.network.parsed.label
        if key not in self._image_seconds:
            if self.left() < TRYING_S * self.pace:
                raise TimeIsUp
            self._image_seconds[key] = training_image_seconds(spec, self.images, self.device)
        return self._image_seconds[key] * training_images_worth(spec, self.images)

    @property
    def _truth(self) -> float:
        """How much longer trainings took than their steps said."""
        if not self._pairs:
            return BESIDE
        return sum(took for took, _ in self._pairs) / sum(steps for _, steps in self._pairs)

    @cached_property
    def _pairs(self) -> list[tuple[float, float]]:
        return []

    def train(self, spec: TrialSpec, within: float) -> Record | None:
        """Train what is not trained yet, and store it, as `blockzoo train` does.

        Args:
            spec: of the training.
            within: seconds after which it is broken off, between two epochs; it goes on from there the next time.

        Raises:
            TimeIsUp: it was.
            BlockzooError and others: it cannot be trained.
        """
        if self.is_known(spec):
            return None
        from blockzoo.trials.preflight import known_before
        from blockzoo.trials.training import circumstances, train_spec

        run, begin = self.asked.run, self.clock()
        where = circumstances(self.device, run.data_dir, run.plugins)
        identity = spec.fingerprint()
        checkpoint = self.outputs.checkpoint(identity)

        def on_epoch(epoch: int, values: dict[str, float]) -> None:
            if epoch < spec.epochs and self.clock() - begin > within:
                raise TimeIsUp

        resumed = checkpoint.is_file()
        with only_trainer(checkpoint):
            preflight = known_before(spec.network, self.images.shape)
            record = train_spec(spec, self.images, where, checkpoint, run.on_oom, on_epoch)
            record.experiment_name, record.notes = run.experiment_name, run.notes
            preflight.add_to(record)
            self.store.add(record)
            self.keep(checkpoint, spec)
        self.statuses[identity] = record.status
        took = self.clock() - begin
        if not resumed:
            self._pairs.append((took, self.by_step(spec)))
            self.told[spec.network.label] = took
        return record

    def keep(self, checkpoint: Path, spec: TrialSpec) -> None:
        """The weights of the subject's first training at mid stay, for its curvature; others go with their checkpoint."""
        if spec.seed == 0 and spec.network.subject == f"{self.asked.name}/{MIDDLE}":
            place = self.outputs.weights(spec.fingerprint())
            place.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.replace(place)
        else:
            checkpoint.unlink(missing_ok=True)

    def export(self) -> Path:
        """The table of the store."""
        return export(self.outputs, self.store)


MIDDLE = POSITIONS[1]
"""The position at which a block is looked at where one has to do."""
