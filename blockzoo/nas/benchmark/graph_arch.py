"""A benchmark as one Parquet table with the columns of GraphArch-Regression: networks as graphs in text, and what they came to.

Source: the card of https://huggingface.co/datasets/akhauriyash/GraphArch-Regression.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from blockzoo.core.errors import UsageError
from blockzoo.core.extras import needed
from blockzoo.core.files import write_atomically
from blockzoo.nas.benchmark.curves import MEAN
from blockzoo.nas.benchmark.dataset import Dataset
from blockzoo.nas.space.graphs import Graph, graph_of
from blockzoo.nas.space.hashing import INPUT, OUTPUT
from blockzoo.nas.space.macro import MacroSpace

SPACE = "blockzoo_macro"
COLUMNS = (
    "identifier",
    "space",
    "uid",
    "arch_str",
    "input",
    "target_metric",
    "val_accuracy",
    "flops",
    "params",
    "metadata",
    "metainformation",
)
TARGET = "val_accuracy"
NUMBERS = (TARGET, "flops", "params")


def graph_text(graph: Graph, space: MacroSpace) -> str:
    """A network as lines, one for each operation, in an order in which all inputs of a line stand above it.

    Examples:
        >>> print(graph_text(graph_of(0), MacroSpace()).splitlines()[0])
        %0 = input()
    """
    before: list[list[int]] = [[] for _ in graph.labels]
    for source, target in graph.edges:
        before[target].append(source)
    return "\n".join(
        f"%{place} = {_operation(label, space)}({', '.join(f'%{source}' for source in sorted(before[place]))})"
        for place, label in _in_order(graph, before)
    )


def _in_order(graph: Graph, before: list[list[int]]) -> list[tuple[int, int | str]]:
    """Vertices and labels, each behind all that lead to it."""
    left, order = dict(enumerate(graph.labels)), list[tuple[int, int | str]]()
    done: set[int] = set()
    while left:
        ready = [place for place in left if done.issuperset(before[place])]
        if not ready:
            raise UsageError("the graph has a circle")
        order += [(place, left.pop(place)) for place in ready]
        done.update(ready)
    return order


def _operation(label: int | str, space: MacroSpace) -> str:
    if label in (INPUT, OUTPUT):
        return "input" if label == INPUT else "output"
    stage, operation = divmod(int(label), len(space.ops) + 1)
    name = space.ops[operation] if operation < len(space.ops) else "reduction"
    return f"stage{stage + 1}.{name}"


def columns_of(dataset: Dataset) -> dict[str, list[Any]]:
    """The table, a row for each network: means over seeds.

    Accuracies are percent, as the benchmark has them; FLOPs are twice the multiply-adds; latencies, in seconds, are predictions
    of other columns in `metadata`.
    """
    index = np.unique(np.concatenate([dataset.indices_of(seed) for seed in dataset.seeds]))
    space, epochs = dataset.space, dataset.epochs
    accuracies, times = dataset.val_acc(index, seed=MEAN), dataset.train_time(index, seed=MEAN)
    params, macs = dataset.params(index), dataset.macs(index)
    counts = np.sum([np.isin(index, dataset.indices_of(seed)) for seed in dataset.seeds], axis=0)
    latencies = {f"lat_{device}": dataset.latency(index, device) for device in dataset.devices}
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for place, (one, text) in enumerate(zip(index.tolist(), space.hashes()[index].tolist(), strict=True)):
        vector = json.dumps(space.nested(one))
        predictions = {
            name: float(values[place]) for name, values in latencies.items() if np.isfinite(values[place])
        }
        about = {
            "arch_str": vector, "train_time_sec": float(times[place]), "epochs": epochs, "seeds": int(counts[place]),
            "accuracy_unit": "percent", "dataset": dataset.dataset,
        }  # fmt: skip
        row = {
            "identifier": f"{SPACE}_{one}", "space": SPACE, "uid": text, "arch_str": vector,
            "input": graph_text(graph_of(one, space), space), "target_metric": TARGET,
            TARGET: float(accuracies[place]), "flops": 2.0 * float(macs[place]), "params": float(params[place]),
            "metadata": str(predictions), "metainformation": str(about),
        }  # fmt: skip
        for name, value in row.items():
            columns[name].append(value)
    return columns


def write_graph_arch(dataset: Dataset, path: str | Path) -> Path:
    """Write a benchmark as such a table, `NAME.parquet`.

    Raises:
        UsageError: pyarrow is not installed, or the name ends otherwise.
    """
    needed("pyarrow", "parquet", "Parquet files")
    import pyarrow as pa
    import pyarrow.parquet as pq

    place = Path(path)
    if place.suffix.lower() != ".parquet":
        raise UsageError(f"{place}: a table of graphs is written to a file NAME.parquet")
    columns = columns_of(dataset)
    types = {name: pa.float64() if name in NUMBERS else pa.string() for name in COLUMNS}
    table = pa.table({name: pa.array(columns[name], types[name]) for name in COLUMNS})
    write_atomically(place, lambda own: pq.write_table(table, own, compression="zstd"))
    return place
