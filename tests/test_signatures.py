"""What the signatures of the package say: few parameters outside the command line, and a type for each that is public."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1] / "blockzoo"
Function = ast.FunctionDef | ast.AsyncFunctionDef

MOST = 7
"""Parameters of a function. What a command line offers stands one by one, so `cli` may have more."""

PUBLISHED = "as the published package has it, so that its scripts run"
TORCH = "as torch has it, so that it can stand in its place"
MANY = {
    "nas.benchmark.loading.from_folder": PUBLISHED,
    "tiling.layers.conv.BlockConv2d.__init__": TORCH,
    "tiling.layers.convolutions.padded_convolution": TORCH,
    "training.synchronised._batch_norm": TORCH,
}
"""Functions with more, and why. The list only shrinks."""


@cache
def functions() -> dict[str, Function]:
    """All functions and methods, by `module.Class.name`, but for overloaded ones, whose forms speak for them."""
    named: dict[str, Function] = {}

    def walk(node: ast.AST, trail: str) -> Iterator[tuple[str, Function]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Function):
                yield f"{trail}.{child.name}", child
                yield from walk(child, f"{trail}.{child.name}.<locals>")
            elif isinstance(child, ast.ClassDef):
                yield from walk(child, f"{trail}.{child.name}")
            else:
                yield from walk(child, trail)

    overloaded: set[str] = set()
    for path in sorted(ROOT.rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for name, function in walk(ast.parse(path.read_text()), module):
            if any("overload" in ast.unparse(decorator) for decorator in function.decorator_list):
                overloaded.add(name)
            named[name] = function
    return {name: function for name, function in named.items() if name not in overloaded}


def parameters(function: Function) -> list[ast.arg]:
    """Those that a caller gives one by one."""
    arguments = function.args
    own = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return [argument for argument in own if argument.arg not in ("self", "cls")]


def test_functions_have_few_parameters() -> None:
    many = {
        name
        for name, function in functions().items()
        if len(parameters(function)) > MOST and not name.startswith("cli.")
    }
    assert many == set(MANY), f"new: {many - set(MANY)}; gone, so strike them: {set(MANY) - many}"


UNSHAPED = {
    "blockwise.curvature.hessian.flat",
    "blockwise.curvature.lanczos.random_unit",
    "blockwise.run.reading.read_array",
    "blockwise.sweep.at_cost",
    "core.checksums.array_bytes",
    "data.cache.cached_array",
    "data.mnist.read_idx",
    "measure.held.Held.__init__",
    "measure.macs.count_macs",
    "measure.memory.peak_memory",
    "measure.memory.saved_for_backward",
    "measure.outside.Unwritten.wrote",
    "measure.shapes.shapes_only",
    "models.agreement.drawn_like",
    "models.agreement.is_constant",
    "models.agreement.nudged",
    "models.agreement.probes",
    "models.deploy.deployed",
    "models.deploy.fold_batch_norm",
    "models.deploy.relative_difference",
    "models.folding.check_folded",
    "models.folding.safe_pairs",
    "models.merging.check_merged",
    "models.merging.sound_kinds",
    "models.merging.with_merged_branches",
    "models.operands.tensor_of",
    "models.tracing.Trace.value",
    "models.views.back_from",
    "tiling.graph.trace.own_dtype",
    "tiling.layers.convolutions.plain_convolutions",
    "tiling.onnx.session.Entry.zeros",
    "tiling.onnx.session.relative_error",
    "tiling.planning.memory.Memory.hold",
    "tiling.runtime.runner.TiledRunner.forward",
    "training.together.Ranks.summed",
}
"""Public functions whose tensors may have any shape: the inputs of any network, what is compared, packed or traced."""
ARRAYS = ("torch.Tensor", "Tensor", "np.ndarray", "torch.Tensor | None")


SPECIAL = ("__init__", "__call__", "__main__")


def is_public(name: str) -> bool:
    return not any(part.startswith(("_", "<")) and part not in SPECIAL for part in name.split("."))


def test_shapes_are_said_where_a_tensor_crosses_a_public_function() -> None:
    bare = {
        name
        for name, function in functions().items()
        if is_public(name) and any(ast.unparse(annotation) in ARRAYS for annotation in annotations(function))
    }
    assert bare == UNSHAPED, f"new: {bare - UNSHAPED}; gone, so strike them: {UNSHAPED - bare}"


def annotations(function: Function) -> list[ast.expr]:
    """Those of the parameters and of what is returned."""
    arguments = function.args
    every = [*parameters(function), *(a for a in (arguments.vararg, arguments.kwarg) if a)]
    return [node for node in (*(argument.annotation for argument in every), function.returns) if node]


SAID_BY_SOMEBODY = "what somebody wrote: JSON, YAML, a pickle, a value that is yet to be checked"
HANDED_ON = "options that are handed on to a verb, which says them"
OF_ANY_STRUCTURE = "outputs of a network: tensors, and tuples, lists and mappings of them, as torch has it"
UNTYPED = "of a library that has no types, or says Any itself"
DOOR_OF_MANY = "each behind this door takes what it needs"
SETTINGS = "a dataclass of settings, or the default of one of its fields, which dataclasses call Any"
MANY_ANSWERS = "its answer has the form of its question"
ANY = {
    "blockwise.run.counting.CountedLoss.__call__": OF_ANY_STRUCTURE,
    "tiling.operations.windows.window_of_node": UNTYPED,
    "tiling.onnx.nodes.NodeCall.attribute": UNTYPED,
    "nas.benchmark.beside.BenchmarkingDataset.by_device": MANY_ANSWERS,
    "tiling.operations.windows.own_cuts": UNTYPED,
    "measure.held.Held.saw": OF_ANY_STRUCTURE,
    "tiling.onnx.nodes.NodeTile.set": UNTYPED,
    "models.copying.tensors_in": OF_ANY_STRUCTURE,
    "tiling.contracts.Locality.window": UNTYPED,
    "measure.outside.storages": OF_ANY_STRUCTURE,
    "benchmark.benchmark_model": HANDED_ON,
    "benchmark.quick_benchmark": HANDED_ON,
    "blockwise.contracts.Resumable.load_state_dict": SAID_BY_SOMEBODY,
    "blockwise.contracts.Resumable.state_dict": SAID_BY_SOMEBODY,
    "blockwise.curvature.frozen_loss.FrozenLoss.of_outputs": OF_ANY_STRUCTURE,
    "blockwise.curvature.frozen_loss.FrozenLoss.outputs": OF_ANY_STRUCTURE,
    "blockwise.run.losses.joined": OF_ANY_STRUCTURE,
    "cli.screen.Screen.__init__": UNTYPED,
    "cli.screen.Screen.print": UNTYPED,
    "cli.screen.Screen.render_str": UNTYPED,
    "cli.sweep.run.finish": HANDED_ON,
    "core.arguments.check_types": SETTINGS,
    "core.arguments.check_values": SETTINGS,
    "core.checked.default_of": SETTINGS,
    "core.checked.is_settings": SETTINGS,
    "core.checked.narrowed": SETTINGS,
    "core.checked.needing": SETTINGS,
    "core.checked.setting": SETTINGS,
    "core.checked.takes_several": SETTINGS,
    "core.checked.together": SETTINGS,
    "core.checked.unusual": SETTINGS,
    "core.contracts.Check.__call__": DOOR_OF_MANY,
    "core.documents.checked": SAID_BY_SOMEBODY,
    "core.documents.from_json": SAID_BY_SOMEBODY,
    "core.documents.from_yaml": SAID_BY_SOMEBODY,
    "core.plugins.load_object": SAID_BY_SOMEBODY,
    "core.record.plain": SAID_BY_SOMEBODY,
    "core.values.from_plain": SAID_BY_SOMEBODY,
    "core.values.to_plain": SAID_BY_SOMEBODY,
    "core.scan.Times.add": SAID_BY_SOMEBODY,
    "core.spec.TrialSpec.with_": HANDED_ON,
    "data.images.ImageData.held_out": HANDED_ON,
    "execution.board.Pen.__init__": UNTYPED,
    "models.structure.Structure.filled": OF_ANY_STRUCTURE,
    "models.structure.mapped": OF_ANY_STRUCTURE,
    "models.tracing.attribute": UNTYPED,
    "models.views.back_from": UNTYPED,
    "models.views.piece_of": UNTYPED,
    "nas.benchmark.beside.BenchmarkingDataset.latency": MANY_ANSWERS,
    "nas.benchmark.best.Ranking.quantity": "a part of `Dataset`, which it reads",
    "nas.benchmark.dataset.Dataset.full_info_by_graph": HANDED_ON,
    "nas.benchmark.dataset.Dataset.latency": MANY_ANSWERS,
    "nas.benchmark.dataset.Dataset.to_arrow": UNTYPED,
    "nas.benchmark.dataset.Dataset.to_pandas": UNTYPED,
    "nas.benchmark.loading.load": HANDED_ON,
    "nas.benchmark.loading.seeds_named": SAID_BY_SOMEBODY,
    "nas.benchmark.surrogate.Surrogate.full_info": MANY_ANSWERS,
    "nas.contracts.SearchMaker.__call__": DOOR_OF_MANY,
    "nas.files.columns.flat_vector": SAID_BY_SOMEBODY,
    "nas.files.pickled.load_plain": SAID_BY_SOMEBODY,
    "nas.files.pickled.unfolded_bytes": SAID_BY_SOMEBODY,
    "nas.search.predictor_guided.predictor_class": DOOR_OF_MANY,
    "nas.space.graphs.hash_of_graph": UNTYPED,
    "profile.quick_profile": HANDED_ON,
    "tiling.graph.payload.Payload.run": OF_ANY_STRUCTURE,
    "tiling.contracts.Call.option": UNTYPED,
    "tiling.planning.parts.Held.part": OF_ANY_STRUCTURE,
    "tiling.runtime.interpreter.Interpreter.outputs": OF_ANY_STRUCTURE,
    "tiling.runtime.runner.TiledRunner.forward": OF_ANY_STRUCTURE,
    "tiling.runtime.runner.TiledRunner.load_state_dict": UNTYPED,
    "training.archives.read_saved": SAID_BY_SOMEBODY,
    "training.checkpoint.AfterEachEpoch.on_train_epoch_end": UNTYPED,
}
"""Public functions with a bare `Any`, and why. The list only shrinks."""


def test_public_functions_say_their_types() -> None:
    vague = {
        name
        for name, function in functions().items()
        if is_public(name) and any(ast.unparse(node) == "Any" for node in annotations(function))
    }
    assert vague == set(ANY), f"new: {vague - set(ANY)}; gone, so strike them: {set(ANY) - vague}"
