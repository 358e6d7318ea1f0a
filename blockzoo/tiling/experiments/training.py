"""Networks on tiles trained, fine-tuned and evaluated: requests turned into trials of the common recipe, records and store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from blockzoo.core.checked import Share, sorted_into
from blockzoo.core.contracts import PROTOCOLS
from blockzoo.core.errors import UsageError
from blockzoo.core.export import export, rows_of
from blockzoo.core.keywords import RunKeywords
from blockzoo.core.outputs import Outputs
from blockzoo.core.record import FINAL, Record
from blockzoo.core.settings import Recipe, Run
from blockzoo.core.sources import digest_of_codes
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.core.table import Row
from blockzoo.tiling.experiments.presets import Preset, preset_for
from blockzoo.tiling.tags import Tiling, plain_subject, tiled_subject

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from blockzoo.data import ImageData
    from blockzoo.training.launch import Circumstances

PRESET = ("batch_size", "lr", "momentum", "weight_decay")
"""What a preset says where a recipe does not, beside epochs and milestones."""
EpochReport = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True, kw_only=True)
class TiledRecipe(Recipe):
    """What overrides a preset; None leaves what it says. The protocol follows from preset and milestones.

    Args:
        effective_train_size, effective_valid_size, effective_test_size: so many images of each split, or a share of them
            (a float up to 1), counted after `validation_share` has been taken.
        validation_share: of all training images, in place of the dataset's own split.
    """

    effective_train_size: int | float | None = None
    validation_share: Share | None = None
    effective_valid_size: int | float | None = None
    effective_test_size: int | float | None = None


@dataclass(frozen=True)
class Start:
    """The weights that a trial starts from.

    Args:
        path: of the file.
        identity: a digest of it, or the fingerprint of the trial that made it.
        with_optimizer: go on with its optimiser and epoch.
    """

    path: Path
    identity: str
    with_optimizer: bool = False


@dataclass(frozen=True)
class TiledRun:
    """One finished run.

    Args:
        record: what came out.
        row: its line of the results table.
        csv: where the table was written.
        weights: where the last checkpoint lies.
        preset: whose recipe it is.
        anew: False where the outcome was in the store already.
    """

    record: Record
    row: Row
    csv: Path
    weights: Path
    preset: Preset
    anew: bool


def tiled_spec(
    arch: str,
    tiling: Tiling,
    data: ImageData,
    recipe: TiledRecipe,
    *,
    start: Start | None = None,
    seed: int = 0,
    image_size: int | None = None,
) -> tuple[TrialSpec, Preset]:
    """The trial of one network, cut in one way; the preset fills in what the recipe leaves open.

    Raises:
        UsageError: an unknown network, or a value out of its range.
    """
    from blockzoo.training.protocols import check_mirrored, protocol_of

    preset = preset_for(arch, fine_tuning=start is not None and not start.with_optimizer)
    epochs = recipe.epochs or preset.epochs
    train, val, test = _limits(recipe, data)
    protocol = "step-v1" if recipe.milestones else preset.protocol
    of_recipe = {field.name: getattr(recipe, field.name) for field in fields(Recipe)}
    of_preset = {name: getattr(preset, name) for name in PRESET if of_recipe[name] is None}
    spec = TrialSpec(
        network=NetworkSpec(tiled_subject(arch, tiling, data.shape[1]), data.num_classes, data.shape[0]),
        **of_recipe
        | of_preset
        | {
            "epochs": epochs,
            "milestones": recipe.milestones or preset.scaled_milestones(epochs),
            "protocol": protocol,
        },
        dataset=data.name,
        seed=seed,
        image_size=image_size,
        limit_train=train,
        limit_val=val,
        limit_test=test,
        validation_share=recipe.validation_share,
        start=None if start is None else str(start.path),
        start_identity=None if start is None else start.identity,
        start_with_optimizer=start is not None and start.with_optimizer,
        images=data.kept,
        data_digest=data.digest or None,
        code_digest=digest_of_codes([PROTOCOLS.own_origin(protocol)]),
    )
    check_mirrored(protocol_of(spec), data)
    return spec, preset


def _limits(recipe: TiledRecipe, data: ImageData) -> tuple[int | None, int | None, int | None]:
    """How many images of train, val and test the recipe asks for; None for all."""
    train, val, test = (len(split.labels) for split in (data.train, data.val, data.test))
    if recipe.validation_share is not None:
        both = train + val
        val = round(recipe.validation_share * both)
        train = both - val
    return (
        _images(recipe.effective_train_size, train),
        _images(recipe.effective_valid_size, val),
        _images(recipe.effective_test_size, test),
    )


def _images(size: int | float | None, count: int) -> int | None:
    wanted = max(1, round(size * count)) if isinstance(size, float) else size
    return None if wanted is None or wanted >= count else wanted


def starting_point(
    arch: str, resume_from: Path | None, *, reset_optimizer: bool = False, pretrained: bool = False
) -> Start | None:
    """What `--resume-from`, `--reset-optimizer` and `--pretrained` ask for; the file is read once, so faults show now.

    Raises:
        UsageError: they contradict each other, or the file cannot be had or read.
    """
    from blockzoo.tiling.experiments.pretrained import pretrained_file
    from blockzoo.training.weights import digest_of, read_weights

    if pretrained and resume_from is not None:
        raise UsageError("--pretrained and --resume-from both name weights to start from: give one of them")
    if resume_from is None and not pretrained:
        if reset_optimizer:
            raise UsageError(
                "--reset-optimizer starts from the weights of a file: name it with --resume-from"
            )
        return None
    path = pretrained_file(plain_subject(arch)) if resume_from is None else resume_from
    read_weights(path)
    return Start(path.resolve(), digest_of(path), with_optimizer=not (pretrained or reset_optimizer))


def train_tiled(
    spec: TrialSpec,
    preset: Preset,
    *,
    workers: int | None = None,
    read_test: bool = True,
    on_epoch: EpochReport = lambda epoch, values: None,
    **settings: Unpack[RunKeywords],
) -> TiledRun:
    """Run one trial, unless its outcome is in the store; a killed one goes on from its last epoch.

    The last checkpoint stays in the results folder's `weights/`, named by the trial's fingerprint.

    Args:
        spec: the trial, from `tiled_spec`.
        preset: whose recipe it is, from `tiled_spec` too.
        workers: processes that read image files, where these are streamed.
        read_test: read the test split at the end.
        on_epoch: told the epoch (from 1) and its values.
        settings: of the table Run in docs/settings.md.

    Raises:
        UsageError, DataError, OutOfMemory, StoreError: each says what to do.
    """
    from blockzoo.execution.queue import only_writer
    from blockzoo.trials.bodies import execute_trial
    from blockzoo.trials.training import circumstances

    (run,) = sorted_into(settings, Run, what="train_tiled")
    outputs, identity = Outputs.at(run.output), spec.fingerprint()
    where = circumstances(run.device, run.data_dir, run.plugins, workers=workers)
    with only_writer(outputs):
        store = outputs.store()
        path = outputs.weights(identity)
        record = next(iter(store.records(fingerprint=identity)), None)
        done = record is not None and record.status in FINAL and (path.is_file() or record.status != "ok")
        if not done:
            (record,) = execute_trial(
                spec.to_json(),
                run={**vars(run), "device": where.device},
                workers=workers,
                checkpoint=str(outputs.checkpoint(identity)),
                report=on_epoch,
                keep=str(path),
                read_test=read_test,
            )
            store.add(record)
            if path.is_file() or record.status != "ok":
                outputs.checkpoint(identity).unlink(missing_ok=True)
        elif read_test and record is not None and record.status == "ok" and "test_acc" not in record.values:
            start = spec.with_(start=str(path), start_identity=identity, start_with_optimizer=False)
            record.values |= _evaluated(start, where, "test").values
            store.add(record)
        assert record is not None
        return TiledRun(record, rows_of(store, [identity])[0], export(outputs, store), path, preset, not done)


def evaluate_tiled(
    spec: TrialSpec, *, split: str = "val", workers: int | None = None, **settings: Unpack[RunKeywords]
) -> Record:
    """Accuracy and loss of the weights that `spec` starts from, on a split; stored as a record of kind `evaluation`.

    Raises:
        UsageError, DataError, StoreError: each says what to do.
    """
    from blockzoo.execution.queue import only_writer
    from blockzoo.trials.training import circumstances

    (run,) = sorted_into(settings, Run, what="evaluate_tiled")
    outputs = Outputs.at(run.output)
    where = circumstances(run.device, run.data_dir, run.plugins, workers=workers)
    with only_writer(outputs):
        store = outputs.store()
        record = _evaluated(spec, where, split)
        record.experiment_name, record.notes = run.experiment_name, run.notes
        store.add(record)
        return record


def _evaluated(spec: TrialSpec, where: Circumstances, split: str) -> Record:
    from blockzoo.data import load_dataset
    from blockzoo.training.launch import evaluate_on_devices

    data = load_dataset(spec.dataset, where.data_dir, image_size=spec.image_size, images=spec.images)
    return evaluate_on_devices(spec, data, where, split=split)
