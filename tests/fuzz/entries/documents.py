"""Files that people write: sweeps, studies, units, projects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blockzoo.blockwise import sweep
from blockzoo.blockwise.units import make_units, read_units
from blockzoo.core.errors import BlockzooError, UsageError
from blockzoo.core.plugins import project_of
from blockzoo.nas.benchmark.download import known_sums
from blockzoo.tiling.experiments import paired_runs
from blockzoo.tiling.experiments.accuracy import read_results
from blockzoo.trials.study import read_study
from tests.fuzz.formats import fuzzed

SWEEP = """\
# a grid
blocks: [ResNetBasicBlock, "InvertedResidual@published"]
positions: all
seeds: 2
dataset: digits
epochs: 3
lr: 0.05
image-size: 16
name: 'first'
dry_run: true
output: results
"""
SWEEP_TOML = """\
blocks = ["ResNetBasicBlock", "EdgeResidual"]
seeds = 2
dataset = "digits"   # small
epochs = 3
lr = 5e-2
limit_train = 1_000
latency = false
"""
BLOCKWISE = """\
base: {model: cnn, config: [16, 16, 32], dataset: digits, rounds: 10, k: 5, budget: "gradient_evaluations:300"}
vary:
  training_mode: [jacobi, gauss-seidel, entire]
  step_size: [0.03, 0.1]
  prox_lambda: [0.0, [0.1, 0.2]]
tune: [step_size]
seeds: 2
"""
TILING = """\
archs: [block_resnet18, block_mobilenet]
dataset: digits
blockings: &cuts [H2x2, F16]
paddings: [zeros, reflect]
reference: F16
seeds: 3
train: {epochs: 3, lr: 0.1, milestones: [1, 2]}
fine_tune: {epochs: 1, lr: 1.0e-3, effective_train_size: 0.5}
image_size: 32
"""
UNITS = """\
Units of measurement:
- coupling rank=4 batches=2   # a map
- working-memory
- norms,
"""
PROJECT = """\
[project]
name = "mine"
[tool.blockzoo]
plugins = ["blocks.py", "my.module"]
"""


def put(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


def sweep_options(path: Path) -> Any:
    """The options of the file, as `blockzoo sweep --config` takes them up."""
    from cyclopts.exceptions import CycloptsError

    from blockzoo.cli.app import build
    from blockzoo.cli.everywhere import OptionsFile

    app, file = build(), OptionsFile.read(path)
    app.config = [file]
    try:
        _, bound, _ = app.parse_args(["sweep", "run"], exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise UsageError(str(error)) from None
    file.check()
    return dict(bound.arguments)


def trials(path: Path) -> Any:
    """The first trials of the grid that the file asks for."""
    from blockzoo.core.spec import NetworkSpec, TrialSpec

    options = sweep_options(path)
    try:
        fields = {
            k: options[k]
            for k in ("epochs", "lr", "image_size", "limit_train", "dataset")
            if options.get(k) is not None
        }
        subjects = [f"{block}/mid" if "/" not in block else block for block in options.get("blocks") or []][
            :3
        ]
        return options, [
            TrialSpec(network=NetworkSpec(subject), **fields).fingerprint() for subject in subjects
        ]
    except UsageError as error:  # of the request, which the command quotes
        raise UsageError(f"{path.name}: {ascii(str(error))[:2000]}") from error


@fuzzed("sweep file (YAML)", text=True)
class SweepFile:
    def write(folder: Path) -> Path:
        return put(folder, "sweep.yaml", SWEEP)

    read = trials


@fuzzed("sweep file (TOML)", text=True)
class SweepToml:
    def write(folder: Path) -> Path:
        return put(folder, "sweep.toml", SWEEP_TOML)

    read = trials


@fuzzed("study of block-wise runs", text=True, quick=100)
class BlockwiseStudy:
    def write(folder: Path) -> Path:
        return put(folder, "study.yaml", BLOCKWISE)

    def read(path: Path) -> Any:
        study = read_study(path, sweep.BlockwiseStudy)
        return study, [study.config(setting, 0).fingerprint() for setting in study.settings()]


@fuzzed("study of tilings", text=True)
class TilingStudy:
    def write(folder: Path) -> Path:
        return put(folder, "study.yaml", TILING)

    def read(path: Path) -> Any:
        return read_study(path, paired_runs.TilingStudy)


@fuzzed("units file", text=True)
class Units:
    def write(folder: Path) -> Path:
        return put(folder, "Units.txt", UNITS)

    def read(path: Path) -> Any:
        lines = read_units(path)
        try:
            return lines, [type(unit).__name__ for unit in make_units(lines).values()]
        except BlockzooError as error:  # of a unit, which the command quotes
            raise UsageError(f"{path.name}: {ascii(str(error))[:2000]}") from error


@fuzzed("results of a study of tilings", text=True)
class TilingResults:
    def write(folder: Path) -> Path:
        head = "arch,way,blocking,padding,seed,epochs,status,reason,test_acc,val_acc,fingerprint\n"
        lines = [f"resnet18,fine-tuned,F{8 * i},zeros,0,3,ok,,0.{i}5,0.5,{i:016x}\n" for i in range(1, 6)]
        return put(folder, "study.csv", head + "".join(lines) + "resnet18,scratch,H2x2,,0,3,failed,why,,,0\n")

    read = read_results


@fuzzed("SHA256SUMS", text=True)
class Sums:
    def write(folder: Path) -> Path:
        return put(folder, "SHA256SUMS", "".join(f"{i:064x}  blox-base-{i}.blox\n" for i in range(5)))

    read = known_sums


@fuzzed("project file", text=True)
class Project:
    def write(folder: Path) -> Path:
        return put(folder, "pyproject.toml", PROJECT)

    def read(path: Path) -> Any:
        project = project_of(path.parent)
        return [Path(plugin).name for plugin in project.plugins] if project else None
