"""Models run by ONNX Runtime: what each value is, in which order nodes run, and how many bytes are alive on the way."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from blockzoo.core.errors import UsageError
from blockzoo.core.progress import followed
from blockzoo.tiling.onnx.files import OnnxSource, needed
from blockzoo.tiling.onnx.nodes import Value
from blockzoo.tiling.operations.lookup import in_place_nodes

if TYPE_CHECKING:
    from jaxtyping import Int, Shaped
    from onnx import ModelProto, NodeProto
    from onnxruntime import InferenceSession

VIEWS = frozenset("Reshape Flatten Squeeze Unsqueeze Identity".split())
"""Nodes whose output is their first input in another shape."""
Inputs = Sequence[np.ndarray]
"""What a model is given, in order; the first are images (N, C, H, W)."""
Prepare = Callable[[np.ndarray], np.ndarray]
"""Makes a model's inputs of some images, both (n, C, H, W)."""


def session(
    model: OnnxSource, *, optimised: bool = True, threads: int = 0, profile: str = "", written: str = ""
) -> InferenceSession:
    """A session for a model, one node after the other in the file's order.

    Args:
        model: the model, or the path of its file.
        optimised: let ONNX Runtime merge and replace nodes; without it, nodes run as they stand in the file.
        threads: within a node; 0 for all.
        profile: beginning of the name of a profile to write; "" for none.
        written: file for the model as it is run, operations without a kernel replaced by others; "" for none.

    Raises:
        UsageError: ONNX Runtime refuses the model.
    """
    runtime = needed("onnxruntime")
    options = runtime.SessionOptions()
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others need the processor too
    options.intra_op_num_threads = threads
    level = runtime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
    if written:
        options.optimized_model_filepath = written
    source = str(model) if isinstance(model, (str, Path)) else model.SerializeToString()
    try:
        return runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise UsageError(f"ONNX Runtime refuses the model: {str(error).strip().splitlines()[0]}") from error


def _run(ready: InferenceSession, given: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    try:
        results: list[np.ndarray] = ready.run(None, dict(given))
    except Exception as error:
        reason = str(error).strip().splitlines()[0].rpartition("Non-zero status code returned while ")[2]
        raise UsageError(f"ONNX Runtime cannot run the model: {reason}") from error
    return results


@dataclass(frozen=True)
class Entry:
    """What a model is given: a name, a shape, and a type of NumPy."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"{self.name} {self.shape}"

    @property
    def zeros(self) -> np.ndarray:
        return np.zeros(self.shape, self.dtype)


def entries_of(model: ModelProto) -> list[Entry]:
    """The inputs of a model; the first is a batch of images (N, C, H, W).

    Raises:
        UsageError: the first is none, or the size of one is not fixed.
    """
    onnx = needed("onnx")
    constants = {tensor.name for tensor in model.graph.initializer}
    entries = [
        Entry(
            value.name,
            tuple(d.dim_value for d in value.type.tensor_type.shape.dim),
            onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type),
        )
        for value in model.graph.input
        if value.name not in constants
    ]
    if not entries or len(entries[0].shape) != 4 or any(0 in entry.shape for entry in entries):
        raise UsageError(
            f"the model reads {', '.join(map(str, entries)) or 'nothing'}: its first input has to be images of a fixed shape "
            "(N, C, H, W), and others of a fixed shape too, to be cut into tiles"
        )
    return entries


def input_of(model: ModelProto) -> tuple[str, tuple[int, ...]]:
    """Name and shape (N, C, H, W) of a model's only input, which is calibrated.

    Raises:
        UsageError: several inputs, or one that is no batch of images of a fixed size.
    """
    first, *others = entries_of(model)
    if others:
        raise UsageError(
            f"the model reads {first}, {', '.join(map(str, others))}: int8 is calibrated on images alone, so a model of one input"
        )
    return first.name, first.shape


def _feed(ready: InferenceSession, given: Inputs) -> dict[str, np.ndarray]:
    """Arrays by the names of a session's inputs; numbers with a fraction in single precision."""
    names = [source.name for source in ready.get_inputs()]
    if len(names) != len(given):
        raise UsageError(
            f"the file reads {', '.join(names) or 'nothing'}, and {len(given)} inputs were given: it may not use all that the "
            "network takes"
        )
    floats = (np.asarray(x, np.float32) if np.issubdtype(x.dtype, np.floating) else x for x in given)
    return dict(zip(names, floats, strict=True))


def values_of(model: ModelProto) -> dict[str, Value]:
    """Of each value that a node makes, and of the inputs: found by running the model once on zeros."""
    onnx = needed("onnx")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    present = {value.name for value in copy.graph.output}
    internal = [name for node in copy.graph.node for name in node.output if name and name not in present]
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in internal)
    entries = entries_of(model)
    ready = session(copy, optimised=False)
    results = _run(ready, {entry.name: entry.zeros for entry in entries})
    names = [output.name for output in ready.get_outputs()]
    values = {n: Value(tuple(a.shape), a.itemsize) for n, a in zip(names, results, strict=True)}
    return {entry.name: Value(entry.shape, entry.zeros.itemsize) for entry in entries} | values


@dataclass(frozen=True)
class Execution:
    """What one run showed.

    Args:
        order: names of the nodes as they ran.
        peak_bytes: of live activations, the model's inputs not counted.
    """

    order: tuple[str, ...]
    peak_bytes: int


def executed(model: OnnxSource) -> Execution:
    """Run a model, or the file of one, on zeros, node by node as it stands, and take order and sizes from ONNX Runtime's profile.

    Counted are the values that nodes make, from where they are made to where they are read last; a view is the value it shows,
    and a node of `in_place_nodes` writes over an operand that dies there. Not counted are weights, and what kernels take for a
    moment.
    """
    model = needed("onnx").load(str(model)) if isinstance(model, (str, Path)) else model
    zeros = {entry.name: entry.zeros for entry in entries_of(model)}
    with tempfile.TemporaryDirectory() as folder:
        ready = session(model, optimised=False, threads=1, profile=str(Path(folder) / "profile"))
        _run(ready, zeros)
        events = json.loads(Path(ready.end_profiling()).read_text(encoding="utf-8"))
    ran = [event for event in events if event["name"].endswith("_kernel_time")]
    order = [event["name"].removesuffix("_kernel_time") for event in ran]
    sizes = {
        n: int(event["args"]["output_size"]) for n, event in zip(order, ran, strict=True) if event["args"]
    }
    nodes = {node.name: node for node in model.graph.node}
    unknown = sorted(
        {event["args"].get("op_name", "?") for n, event in zip(order, ran, strict=True) if n not in nodes}
    )
    if unknown:
        raise UsageError(
            f"ONNX Runtime replaced operations of the model by {', '.join(unknown)}: its memory cannot be counted node by node"
        )
    nbytes = {nodes[name].output[0]: size for name, size in sizes.items()}
    returned = [value.name for value in model.graph.output]
    return Execution(tuple(order), max(live_bytes([nodes[n] for n in order], nbytes, returned), default=0))


def run_order(nodes: Sequence[NodeProto]) -> list[int]:
    """The places of a file's nodes in the order in which ONNX Runtime runs them one by one.

    From the last result backwards, depth first, of several operands the one that stands last in the file first.
    """
    maker = {output: place for place, node in enumerate(nodes) for output in node.output if output}
    reads = [sorted({maker[name] for name in node.input if name in maker}) for node in nodes]
    read = {place for places in reads for place in places}
    waiting = [(place, False) for place in range(len(nodes)) if place not in read]
    order, seen = [], set()
    while waiting:
        place, done = waiting.pop()
        if done:
            order.append(place)
        elif place not in seen:
            seen.add(place)
            waiting.append((place, True))
            waiting.extend((source, False) for source in reads[place] if source not in seen)
    return order


def live_bytes(nodes: Sequence[NodeProto], sizes: Mapping[str, int], kept: Collection[str]) -> list[int]:
    """Live bytes while each node runs, with the nodes in this order.

    Args:
        nodes: of a model.
        sizes: bytes of what each makes, by the name of its first output.
        kept: values that stay to the end.
    """
    root: dict[str, str] = {}
    for node in nodes:
        if node.op_type in VIEWS:
            root[node.output[0]] = root.get(node.input[0], node.input[0])
    last: dict[str, int] = {}
    for place, node in enumerate(nodes):
        last.update({root.get(value, value): place for value in (*node.input, *node.output)})
    last.update({root.get(value, value): len(nodes) for value in kept})
    live: dict[str, int] = {}
    overwriting, totals = in_place_nodes(), []
    for place, node in enumerate(nodes):
        if node.op_type not in VIEWS:
            dying = [r for v in node.input if last[r := root.get(v, v)] == place]
            over = next((r for r in dying if live.get(r) == sizes[node.output[0]]), None)
            if node.op_type in overwriting and over is not None:
                del live[over]
            live[node.output[0]] = sizes[node.output[0]]
        totals.append(sum(live.values()))
        live = {value: size for value, size in live.items() if last[value] > place}
    return totals


def outputs(
    model: OnnxSource,
    images: Shaped[np.ndarray, "n ..."],
    *,
    others: Inputs = (),
    prepare: Prepare = lambda images: images,
    optimised: bool = True,
    threads: int = 0,
) -> Shaped[np.ndarray, "n ..."]:
    """A model's first output for any number of images (n, C, H, W), in batches of the size that it was exported with.

    Args:
        model: an ONNX model, or the path of one.
        images: the model's inputs, or what `prepare` makes them of, a batch at a time.
        others: what it reads besides, the same for each batch.
        prepare: makes the model's inputs of a batch of images.
        optimised: let ONNX Runtime merge and replace nodes.
        threads: within a node; 0 for all.
    """
    return np.concatenate(list(_batches(model, images, others, prepare, optimised, threads)))


def _batches(
    model: OnnxSource, images: np.ndarray, others: Inputs, prepare: Prepare, optimised: bool, threads: int
) -> Iterator[np.ndarray]:
    ready = session(model, optimised=optimised, threads=threads)
    size = ready.get_inputs()[0].shape[0]
    starts = range(0, len(images), size)
    for start in followed(starts, "running the file", len(starts), "batches"):
        some = np.asarray(prepare(images[start : start + size]), np.float32)
        filled = np.concatenate([some, np.zeros((size - len(some), *some.shape[1:]), np.float32)])
        yield ready.run(None, _feed(ready, [filled, *others]))[0][: len(some)]


def every_output(
    model: OnnxSource, batches: Iterable[Inputs], *, optimised: bool = True
) -> Iterator[list[np.ndarray]]:
    """All outputs for each batch, of the shapes that the model was exported with, in order."""
    ready = session(model, optimised=optimised)
    for batch in batches:
        yield _run(ready, _feed(ready, batch))


def relative_error(got: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference, relative to the largest wanted value; of whatever types."""
    got, wanted = got.astype(np.float64), wanted.astype(np.float64)
    return float(np.abs(got - wanted).max() / max(float(np.abs(wanted).max()), 1e-30))


def accuracy(
    model: OnnxSource, images: Shaped[np.ndarray, "n ..."], labels: Int[np.ndarray, " n"], prepare: Prepare
) -> float:
    """Share of images (n, C, H, W) whose largest output is their label (n); `prepare` as in `outputs`."""
    return float((outputs(model, images, prepare=prepare).argmax(1) == np.asarray(labels)).mean())
