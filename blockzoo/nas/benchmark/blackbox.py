"""A benchmark as a folder that Syne Tune loads as a blackbox: every vector whose network is known, at every epoch, of every seed.

Source: the tabular blackboxes of https://github.com/syne-tune/syne-tune (blackbox_repository).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from blockzoo.core.errors import UsageError
from blockzoo.core.extras import needed
from blockzoo.core.files import write_atomically, write_text
from blockzoo.nas.benchmark.dataset import Dataset
from blockzoo.nas.space.macro import MacroSpace

if TYPE_CHECKING:
    from jaxtyping import Float, Int

OBJECTIVES = ("val_acc_percent", "elapsed_time_s", "test_acc_percent", "params", "macs")
"""What is known of a vector at an epoch; the test accuracy after the last one alone, NaN before."""
FIDELITY = "epochs"
MOST_VECTORS = 10**6
"""Of a space that is searched for equal networks; of a larger one each network has its canonical vector alone."""


def names_of(space: MacroSpace) -> list[str]:
    """The coordinates of a flat vector: the operation of each node, what it reads, whether the one before goes to the output too.

    Examples:
        >>> names_of(MacroSpace())[:3]
        ['stage1_node1_op', 'stage1_node2_op', 'stage1_node2_reads_node1']
        >>> names_of(MacroSpace())[3:5]
        ['stage1_node2_reads_input', 'stage1_node1_to_output']
    """
    return [
        f"stage{stage}_{name}"
        for stage, nodes in enumerate(space.shape, 1)
        for node, options in enumerate(nodes, 1)
        for name in _names_of_node(node, len(options))
    ]


def _names_of_node(node: int, coordinates: int) -> list[str]:
    """The first node reads the input alone; of node k see `space.cells`."""
    earlier = [f"node{node}_reads_node{k}" for k in range(node - 1, 0, -1)]
    others = [*earlier, f"node{node}_reads_input", f"node{node - 1}_to_output"]
    return [f"node{node}_op", *others[: coordinates - 1]]


def vectors_of(
    dataset: Dataset,
) -> tuple[Int[np.ndarray, "vectors coordinates"], Int[np.ndarray, " vectors"]]:
    """All flat vectors whose networks the benchmark has of some seed, and the index of each."""
    space = dataset.space
    indices = np.unique(np.concatenate([dataset.indices_of(seed) for seed in dataset.seeds]))
    if space.raw_size > MOST_VECTORS:
        return space.vectors(indices).astype(np.int64), indices
    options = list(space.cells.options) * space.stages
    grid = np.indices(options).reshape(len(options), -1).T.astype(np.int64)
    index = space.index(grid)
    there = np.isin(index, indices)
    return grid[there], index[there]


def evaluations(
    dataset: Dataset, index: Int[np.ndarray, " vectors"]
) -> Float[np.ndarray, "vectors seeds epochs objectives"]:
    """What is known of each vector; NaN where a seed lacks its network."""
    epochs = dataset.epochs or 1
    values = np.full((len(index), len(dataset.seeds), epochs, len(OBJECTIVES)), np.nan)
    for place, seed in enumerate(dataset.seeds):
        for epoch in range(1, epochs + 1):
            values[:, place, epoch - 1, 0] = dataset.val_acc(index, epoch, best=False, seed=seed)
            values[:, place, epoch - 1, 1] = dataset.train_time(index, epoch, seed=seed)
        values[:, place, -1, 2] = dataset.test_acc(index, seed=seed)
        values[:, place, :, 3] = np.asarray(dataset.params(index))[:, None]
        values[:, place, :, 4] = np.asarray(dataset.macs(index))[:, None]
    return values


def domain(values: Sequence[int]) -> dict[str, Any]:
    """A coordinate as Syne Tune writes it: one of these, each as probable."""
    return {
        "domain_cls": "Categorical",
        "domain_kwargs": {"categories": list(values)},
        "sampler_cls": "Uniform",
        "sampler_kwargs": {},
    }


def write_blackbox(dataset: Dataset, folder: str | Path, task: str = "") -> list[Path]:
    """Write a benchmark as such a folder; `syne_tune.blackbox_repository.blackbox_tabular.deserialize` loads it.

    Args:
        dataset: a benchmark.
        folder: to write to.
        task: its name there; by default that of the images.

    Raises:
        UsageError: pyarrow is not installed, or the benchmark is empty.
    """
    needed("pyarrow", "parquet", "Parquet files")
    import pyarrow as pa
    import pyarrow.parquet as pq

    place, names = Path(folder), names_of(dataset.space)
    vectors, index = vectors_of(dataset)
    if not len(vectors):
        raise UsageError("the benchmark has no network: there is nothing to write")
    epochs = dataset.epochs or 1
    options = [values for nodes in dataset.space.shape for node in nodes for values in node]
    texts = {
        "configspace.json": {name: domain(_values(o)) for name, o in zip(names, options, strict=True)},
        "fidelityspace.json": {
            FIDELITY: {
                "domain_cls": "Integer",
                "domain_kwargs": {"lower": 1, "upper": epochs},
                "sampler_cls": "Uniform",
                "sampler_kwargs": {},
            }
        },
        "metadata.json": {
            "objectives_names": list(OBJECTIVES),
            "task_names": [task or str(dataset.dataset or "images")],
            "metric_mode": "max",
            "elapsed_time_attr": OBJECTIVES[1],
            "seeds": dataset.seeds,
            "title": dataset.title,
        },
    }
    arrays = {
        "objectives_evaluations.npy": evaluations(dataset, index)[None],
        "fidelities_values.npy": np.arange(1, epochs + 1),
    }
    for name, content in texts.items():
        write_text(place / name, json.dumps(content) + "\n", durable=False)
    for name, array in arrays.items():
        write_atomically(place / name, partial(_save, array))
    table = pa.table({name: vectors[:, column] for column, name in enumerate(names)})
    parquet = place / "hyperparameters.parquet"
    write_atomically(parquet, lambda path: pq.write_table(table, path, compression="gzip"))
    return [*(place / name for name in (*texts, *arrays)), parquet]


def _save(array: np.ndarray[Any, Any], path: Path) -> None:
    np.save(path, array, allow_pickle=False)


def _values(options: Any) -> list[int]:
    return list(range(options)) if isinstance(options, int) else [int(value) for value in options]
