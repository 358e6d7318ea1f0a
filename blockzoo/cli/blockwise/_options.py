"""Options that the commands of this group share, and the values they take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from blockzoo.blockwise.run.config import RunConfig
from blockzoo.cli.options import taken
from blockzoo.core.errors import UsageError

Model = Annotated[str, taken(RunConfig, "model")]
Config = Annotated[str, taken(RunConfig, "config", "--widths", "--config")]
Combine = Annotated[str, taken(RunConfig, "combine")]
Partition = Annotated[str, taken(RunConfig, "partition")]
ImageSize = Annotated[int | None, taken(RunConfig, "image_size")]
Dataset = Annotated[str | None, taken(RunConfig, "dataset")]
DryRun = Annotated[bool, Parameter(help="build everything, run nothing", negative=())]
Output = Annotated[Path, Parameter(name=("--output", "--out-dir", "-o"), help="results folder")]


def run_config(*, config: str, data_dir: Path | None, device: str, **fields: Any) -> RunConfig:
    """A run, from the values of options as they were typed; `fields` are taken as they are.

    Raises:
        UsageError: as `RunConfig`, `widths` and `available_device`.
    """
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
