"""What dol1.py and master.py share: the earlier options and names, as a run of ours.

The earlier system is the block-wise sandbox of parham-yz (Framework_For_DistributedTrainging, src/dol1.py of November 2025).
"""

from __future__ import annotations

import argparse
import ast
import re
from pathlib import Path
from typing import Any

from blockzoo.blockwise.contracts import UNITS
from blockzoo.blockwise.run.config import RunConfig
from blockzoo.blockwise.run.options import Network, Options
from blockzoo.blockwise.run.regressions import REGRESSIONS
from blockzoo.core.documents import decoded
from blockzoo.core.errors import UsageError

DEFAULTS: dict[str, Any] = {
    "step_size": 0.01,
    "batch_size": 128,
    "rounds": 1000,
    "dataset_name": "cifar10",
    "cuda_core": None,
    "training_mode": "blockwise_sequential",
    "report_sampling_rate": 5,
    "measurement_sampling_rate": 399,
    "model": "ResNet34",
    "config": (32, 32, 32, 32, 32),
    "K": 1,
    "communication_delay": 0.0,
    "n_workers": 1.0,
    "beta": 0.5,
    "gamma": 1.0,
    "prox_lambda": 0.0,
    "block_accuracy_factor": 0.5,
    "seed": 42,
    "reports_dir": "",
}
"""The earlier options. n_workers and beta were read and not used, so here too; cuda_core was 0, now a GPU where there is one."""

STOPPER, IMAGE_SIZE, OPTIMIZER = "accuracy:0.9", 32, "adam"

MODELS = {
    "ResNet18": ("resnet18", "blocks"),
    "ResNet34": ("resnet34", "blocks"),
    "ResNet34-bi": ("resnet34", "halves"),
    "linear_nn": ("linear", "blocks"),
    "neural_net": ("feedforward", "blocks"),
    "cnn": ("plain_cnn", "blocks"),
    "residual_cnn": ("residual_cnn", "blocks"),
    "residual_feedforward_cnn": ("residual_cnn", "blocks"),
    "residual_cnn_bi": ("residual_cnn_bi", "halves"),
    "cnn_ensemble": ("plain_cnn_ensemble", "blocks"),
    "feedforward_cnn_ensemble": ("plain_cnn_ensemble", "blocks"),
    "feedforward_ensemble": ("nn_ensemble", "blocks"),
}
"""Earlier names: the network, and which of its blocks are trained together. Other names are ours."""

MODES = {"blockwise": "distributed", "blockwise_sequential": "jacobi", "entire": "entire"}

UNITS_FILE = Path("measurements") / "Units.txt"
OTHER_UNITS = {"HessianMeasurement": "hessian"}


def parser(description: str | None, several: bool = False) -> argparse.ArgumentParser:
    """The earlier options, each of several values where asked; underscores and dashes, and their beginnings, as before."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, value in DEFAULTS.items():
        kind = {"config": literal, "prox_lambda": literal, "cuda_core": int}.get(name, type(value))
        many: dict[str, Any] = {"nargs": "+", "default": [value]} if several else {"default": value}
        made.add_argument(f"--{name.replace('_', '-')}", type=kind, help=f"(default: {value})", **many)
    made.add_argument("--data-dir", help="folder with the datasets")
    made.add_argument("--output", type=Path, default=Path("results"), help="where runs lie, with checkpoints")
    made.add_argument("--dry-run", action="store_true", help="run nothing")
    return made


def parsed(options: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
    """The values of options, written with underscores or dashes."""
    return options.parse_args([re.sub(r"^--[^=]+", lambda m: m[0].replace("_", "-"), word) for word in words])


def literal(text: str) -> Any:
    """A number, or a list of them as tuples."""
    try:
        return frozen(ast.literal_eval(text))
    except (ValueError, SyntaxError):
        raise argparse.ArgumentTypeError(f"{text} is neither a number nor a list") from None


def run_config(given: dict[str, Any], device: str, data_dir: str | None = None) -> RunConfig:
    """The same request as a run of ours.

    Raises:
        UsageError: a mode or a dataset that there is not, or a value that cannot be used.
    """
    mode, dataset = given["training_mode"], given["dataset_name"]
    if mode == "ploting":
        raise UsageError(
            "--training_mode ploting wrote the network as an ONNX file: blockzoo tile export model:resnet34 -o model.onnx"
        )
    if mode not in MODES:
        raise UsageError(f"--training_mode {mode}: choose {', '.join(MODES)}")
    if dataset == "imdb":
        raise UsageError(
            "--dataset_name imdb had a name before and nothing behind it; there are no texts here either"
        )
    model, partition = MODELS.get(given["model"], (given["model"], "blocks"))
    prox = given["prox_lambda"]
    options = Options(
        training_mode=MODES[mode],
        rounds=given["rounds"],
        k=1 if mode == "entire" else given["K"],  # there it was always one step a round
        step_size=given["step_size"],
        optimizer=OPTIMIZER,
        gamma=given["gamma"],
        prox_lambda=tuple(map(float, prox)) if isinstance(prox, (list, tuple)) else float(prox or 0.0),
        delta_factor=max(0.0, given["block_accuracy_factor"]),  # a negative one meant never
        batch_size=given["batch_size"],
        seed=given["seed"],
    )
    return RunConfig(
        model=model,
        config=() if model.startswith("resnet") else _widths(given["config"]),
        combine="vote" if model.endswith("ensemble") else "average",
        dataset=dataset,
        data_dir=data_dir,
        image_size=IMAGE_SIZE,
        partition=partition,
        options=options,
        stopper="never" if dataset in REGRESSIONS else STOPPER,
        units=earlier_units(),
        report_sampling_rate=given["report_sampling_rate"],
        measurement_sampling_rate=given["measurement_sampling_rate"],
        network=Network(delay_s=given["communication_delay"], seed=given["seed"]),
        device=device,
    )


def earlier_units(path: Path = UNITS_FILE) -> tuple[str, ...]:
    """The units that lines `- Name` of the earlier file list; nothing where there is no file.

    The file is read because it lies there, so that it can only name units that are registered: nothing in it is run.

    Raises:
        UsageError: another name, or a file that cannot be read.
        DataError: it is no text, or too long a one.
    """
    try:
        lines = decoded(path.read_bytes(), str(path)).splitlines() if path.is_file() else []
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    listed = [line.strip()[1:].strip() for line in lines if line.strip().startswith("-")]
    known, aliases = set(UNITS.names()), {**UNITS.aliases(), **OTHER_UNITS}
    if unknown := [name for name in listed if name not in known and name not in aliases]:
        raise UsageError(
            f"{path}: {', '.join(map(repr, unknown))}: a line names one of {', '.join(sorted({*known, *aliases}))}; "
            "a unit of your own goes to blockzoo blockwise --units my_file.py:MyUnit"
        )
    return tuple(dict.fromkeys(aliases.get(name, name) for name in listed))


def frozen(value: Any) -> Any:
    """Lists as tuples."""
    return tuple(map(frozen, value)) if isinstance(value, (list, tuple)) else value


def _widths(value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        raise UsageError(f"--config {value}: give a list, [64,64] or [[16,16],[32,32]]")
    return frozen(value)
