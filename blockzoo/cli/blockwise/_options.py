"""Options that the commands of this group share, and the values they take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from blockzoo.core.errors import UsageError

if TYPE_CHECKING:
    from blockzoo.blockwise.run.config import RunConfig

Model = Annotated[
    str,
    Parameter(
        help="feedforward, linear, cnn, plain_cnn, residual_cnn, nn_ensemble, cnn_ensemble, plain_cnn_ensemble, resnet18, "
        "or a subject (macro:1234, timm:NAME)"
    ),
]
Config = Annotated[
    str,
    Parameter(
        ("--widths", "--config"),
        help='widths of the hidden layers, "[64,64]"; for ensembles a list each, "[[16,16],[32,32]]"',
    ),
]
Combine = Annotated[str, Parameter(help="outputs of an ensemble: average or vote")]
Partition = Annotated[
    str,
    Parameter(
        help="blocks, halves, module, stage, tensor, or regular expressions for parameter names: 'a.*|b.*'"
    ),
]
DryRun = Annotated[bool, Parameter(help="build everything, run nothing", negative=())]
Output = Annotated[Path, Parameter(name=("--output", "--out-dir", "-o"), help="results folder")]


def run_config(*, config: str, data_dir: Path | None, device: str, **fields: Any) -> RunConfig:
    """A run, from the values of options as they were typed; `fields` are taken as they are.

    Raises:
        UsageError: as `RunConfig`, `widths` and `available_device`.
    """
    from blockzoo.blockwise.run.config import RunConfig
    from blockzoo.trials.training import available_device

    place = str(data_dir) if data_dir else None
    return RunConfig(config=widths(config), data_dir=place, device=available_device(device), **fields)


def widths(text: str) -> tuple[Any, ...]:
    """The value of --config.

    Raises:
        UsageError: it is no list.
    """
    try:
        numbers = json.loads(text or "[]")
    except ValueError:
        numbers = None
    if not isinstance(numbers, list):
        raise UsageError(f"--config {text}: give a list, [64,64] or [[16,16],[32,32]]")
    return tuple(tuple(v) if isinstance(v, list) else v for v in numbers)
