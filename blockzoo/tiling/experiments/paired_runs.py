"""A fair comparison of ways to cut a network: every run paired over seeds, the uncut baseline given the same extra epochs.

A study file (YAML or TOML):

    archs: [block_resnet18]         dataset: cifar10            seeds: 3
    blockings: [H2x2, F16, F8]      paddings: [zeros, replicate, reflect]
    reference: F8                   # where from scratch is run, and paddings are compared
    train: {epochs: 90, lr: 0.1}    fine_tune: {epochs: 30, lr: 0.001}    # what overrides the presets

For each network and seed: the baseline; the baseline trained on for the epochs of fine-tuning; the network cut and trained from
scratch for both together; and each blocking and padding fine-tuned from the baseline's weights. Test splits are read once, at the
end of each schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from blockzoo.core.checked import sorted_into
from blockzoo.core.errors import UsageError
from blockzoo.core.outputs import Outputs
from blockzoo.core.record import now
from blockzoo.core.settings import Run, Sweeping
from blockzoo.core.spec import TrialSpec
from blockzoo.report.estimates import LEAST_SEEDS
from blockzoo.tiling.experiments.training import Start, TiledRecipe, tiled_spec
from blockzoo.tiling.tags import WHOLE, Tiling, padding_of, plain_subject, tiling_of
from blockzoo.trials.study import StudyKeywords

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from blockzoo.data import ImageData
    from blockzoo.execution.progress import Progress

Way = Literal["baseline", "baseline, more epochs", "scratch", "fine-tuned"]

MOST_SEEDS = 1000


@dataclass(frozen=True)
class TilingStudy:
    """What is compared.

    Args:
        archs: networks; `block_NAME` and `NAME` are the same one here.
        dataset: its name.
        blockings: tags, see `tiling_of`.
        paddings: compared at the reference.
        reference: the blocking that is trained from scratch too (default: the first).
        seeds: how many, at least 3 unless `few_seeds` is set.
        train, fine_tune: what overrides the presets of either.
        image_size: side the images are resized to.
        few_seeds: for trying out.
    """

    archs: tuple[str, ...] = ()
    dataset: str | None = None
    blockings: tuple[str, ...] = ("H2x2", "H4x4", "H8x8", "H16x16", "F28")
    paddings: tuple[str, ...] = ("zeros", "replicate", "reflect")
    reference: str = ""
    seeds: int = LEAST_SEEDS
    train: TiledRecipe = field(default_factory=TiledRecipe)
    fine_tune: TiledRecipe = field(default_factory=TiledRecipe)
    image_size: int | None = None
    few_seeds: bool = False

    def __post_init__(self) -> None:
        if not self.archs:
            raise UsageError("name the networks, as in archs: [block_resnet18]")
        if not self.blockings or not self.paddings:
            raise UsageError("a study compares at least one blocking and one padding: name them")
        if self.seeds > MOST_SEEDS:
            raise UsageError(f"seeds {self.seeds:,}: a study has {MOST_SEEDS:,} at most")
        if self.seeds < 1 or (self.seeds < LEAST_SEEDS and not self.few_seeds):
            raise UsageError(
                f"seeds {self.seeds}: intervals take at least {LEAST_SEEDS} (few_seeds: true to try out with fewer)"
            )
        for tag in (*self.blockings, self.base.tag):
            if tiling_of(tag).blocking is None:
                raise UsageError(f"blocking {tag!r}: the network that is left whole is compared anyway")
        for padding in self.paddings:
            padding_of(padding)
        for arch in self.archs:
            plain_subject(arch)

    @property
    def base(self) -> Tiling:
        """The reference blocking with zeros around each tile."""
        return tiling_of(self.reference or self.blockings[0])


@dataclass(frozen=True)
class Planned:
    """One run of a study: which network, how trained, how cut, with which seed."""

    arch: str
    way: Way
    tiling: Tiling
    seed: int
    spec: TrialSpec


def planned(study: TilingStudy, data: ImageData, output: Path) -> list[Planned]:
    """All runs, seed by seed, so that a study cut short holds whole comparisons; baselines come before what starts from them."""
    runs: list[Planned] = []
    for seed in range(study.seeds):
        for arch in study.archs:
            runs += _of_one(study, arch, seed, data, Outputs.at(output))
    return runs


def _of_one(study: TilingStudy, arch: str, seed: int, data: ImageData, outputs: Outputs) -> list[Planned]:
    def run(way: Way, tiling: Tiling, recipe: TiledRecipe, start: Start | None = None) -> Planned:
        spec, _ = tiled_spec(arch, tiling, data, recipe, start=start, seed=seed, image_size=study.image_size)
        return Planned(arch, way, tiling, seed, spec)

    baseline = run("baseline", Tiling(), study.train)
    identity = baseline.spec.fingerprint()
    start = Start(outputs.weights(identity).resolve(), identity)
    more = run("baseline, more epochs", Tiling(), study.fine_tune, start)
    together = {**asdict(study.train), "epochs": baseline.spec.epochs + more.spec.epochs}
    scratch = run("scratch", study.base, TiledRecipe(**together))
    cuts = [tiling_of(tag) for tag in study.blockings] + [study.base.padded(p) for p in study.paddings]
    tuned = [
        run("fine-tuned", tiling, study.fine_tune, start) for tiling in dict.fromkeys([study.base, *cuts])
    ]
    return [baseline, more, scratch, *tuned]


def run_tiling_study(
    study: TilingStudy,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
    on_plan: Callable[[list[Planned]], None] = lambda runs: None,
    **settings: Unpack[StudyKeywords],
) -> list[dict[str, Any]]:
    """Run what is not in the store yet, the baselines first, and read all of it.

    Args:
        study: what is compared.
        dry_run: tell the plan, run nothing.
        progress: told what happens.
        on_plan: told all runs before the first.
        settings: of the tables Run and Sweeping in docs/settings.md; the baselines' weights stay in `weights/` of `output`.

    Returns:
        A line for each run: arch, way, blocking, padding, seed, status, test_acc and val_acc (fractions; None where it failed).

    Raises:
        UsageError, DataError, StoreError: each says what to do.
    """
    from blockzoo.execution.progress import SilentProgress
    from blockzoo.trials.grid import Call, run_trials
    from blockzoo.trials.request import load_data

    run, sweeping = sorted_into({**settings, "latency": False}, Run, Sweeping, what="run_tiling_study")
    data = load_data(study.dataset, run.data_dir, study.image_size)
    runs = planned(study, data, run.output)
    on_plan(runs)
    baselines = [one.spec for one in runs if one.way == "baseline"]
    others = [one.spec for one in runs if one.way != "baseline"]
    rows: dict[str, dict[str, Any]] = {}
    for trials in (baselines, others):
        if dry_run:
            break
        _reopen(trials, run.output, with_weights=trials is baselines)
        call = Call(progress=progress or SilentProgress(), keep_weights=trials is baselines)
        done = run_trials(trials, data.shape, run, sweeping, call)
        rows |= {row["fingerprint"]: row for row in done.rows}
    return [_line(one, rows.get(one.spec.fingerprint(), {})) for one in runs]


def _reopen(trials: Sequence[TrialSpec], output: Path, *, with_weights: bool) -> None:
    """Runs that lack something the study needs run again: their records are followed by one that says so; none is deleted."""
    outputs = Outputs.at(output)
    store = outputs.store()
    for trial in trials:
        record = next(iter(store.records(fingerprint=trial.fingerprint())), None)
        if record is None or record.status != "ok":
            continue
        lacks = [] if "test_acc" in record.values else ["its test split was not read"]
        if with_weights and not outputs.weights(record.fingerprint).is_file():
            lacks.append("its weights are gone")
        if lacks:
            store.add(replace(record, status="killed", reason=" and ".join(lacks), timestamp=now()))


def _line(run: Planned, row: dict[str, Any]) -> dict[str, Any]:
    name = plain_subject(run.arch).rpartition(":")[2]
    return {
        "arch": "mobilenet" if name == "mobilenet_v1" else name,
        "way": run.way,
        "blocking": run.tiling.tag,
        "padding": "" if run.tiling.tag == WHOLE else run.tiling.padding,
        "seed": run.seed,
        "epochs": run.spec.epochs,
        "status": row.get("status", "not run"),
        "reason": row.get("reason"),
        "test_acc": row.get("test_acc"),
        "val_acc": row.get("val_acc"),
        "fingerprint": run.spec.fingerprint(),
    }
