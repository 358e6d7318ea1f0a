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

VERB = "a verb: keywords with defaults, which its settings' one dataclass is to hold"
DOOR = "what its door hands to each, and options of its own"
TORCH = "as torch has it, so that it can stand in its place"
TO_MEND = "to be taken apart"
MANY = {
    "benchmark.benchmark_block": VERB,
    "benchmark.benchmark_specs": VERB,
    "blockwise.curvature.coupling.coupling_map": VERB,
    "blockwise.run.runs.run_blockwise": VERB,
    "blockwise.study.run_study": VERB,
    "blockwise.units.coupling.Coupling.__init__": "the options of a unit's line",
    "data.batches.ResidentBatches.__init__": TO_MEND,
    "data.batches._check": TO_MEND,
    "data.streams.StreamedBatches.__init__": TO_MEND,
    "execution.cluster.RayCluster.__init__": DOOR,
    "models.agreement.compare": TO_MEND,
    "models.scaffold.ScaffoldNet.__init__": VERB,
    "nas.benchmark.dataset.Dataset._hold": TO_MEND,
    "nas.benchmark.loading.from_folder": VERB,
    "nas.ranking.latency.measure_latency": VERB,
    "nas.training.distillation.run_scenario": VERB,
    "nas.training.distillation.train_network": VERB,
    "nas.training.lessons.teach": VERB,
    "nas.training.networks.build": VERB,
    "nas.training.trials.chosen": VERB,
    "profile.profile_block": VERB,
    "sweep.run_sweep": VERB,
    "sweep.run_trials": VERB,
    "tiling.experiments.study.run_study": VERB,
    "tiling.experiments.training.evaluate_tiled": VERB,
    "tiling.experiments.training.tiled_spec": VERB,
    "tiling.experiments.training.train_tiled": VERB,
    "tiling.layers.conv.BlockConv2d.__init__": TORCH,
    "tiling.layers.convolutions.padded_convolution": TORCH,
    "tiling.layers.networks.block_network": VERB,
    "tiling.onnx.deployment.export_subject": VERB,
    "tiling.planning.planner.plan": VERB,
    "train.train_block": VERB,
    "train.trial_spec": VERB,
    "training.synchronised._batch_norm": TORCH,
    "training.trial._run": TO_MEND,
    "training.trial.run_trial": VERB,
    "workers.execute_trial": TO_MEND,
}
"""Functions with more, and why. The list only shrinks."""


@cache
def functions() -> dict[str, Function]:
    """All functions and methods, by `module.Class.name` without the package; an overload's form is none of its own."""
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

    for path in sorted(ROOT.rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        named.update(walk(ast.parse(path.read_text()), module))
    return named


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
    "core.checksums.array_bytes",
    "data.cache.cached_array",
    "data.mnist.read_idx",
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
    "models.tracing.Trace.value",
    "models.views.back_from",
    "training.together.Ranks.summed",
}
"""Public functions whose tensors may have any shape: the inputs of any network, what is compared, packed or traced."""
SHAPES_TO_COME = ("measure.", "tiling.", "cli.")
"""Rooms whose signatures do not say shapes yet."""
ARRAYS = ("torch.Tensor", "Tensor", "np.ndarray", "torch.Tensor | None")


SPECIAL = ("__init__", "__call__", "__main__")


def is_public(name: str) -> bool:
    return not any(part.startswith(("_", "<")) and part not in SPECIAL for part in name.split("."))


def test_shapes_are_said_where_a_tensor_crosses_a_public_function() -> None:
    bare = {
        name
        for name, function in functions().items()
        if is_public(name) and not name.startswith(SHAPES_TO_COME)
        if any(ast.unparse(annotation) in ARRAYS for annotation in annotations(function))
    }
    assert bare == UNSHAPED, f"new: {bare - UNSHAPED}; gone, so strike them: {UNSHAPED - bare}"


def annotations(function: Function) -> list[ast.expr]:
    """Those of the parameters and of what is returned."""
    arguments = function.args
    every = [*parameters(function), *(a for a in (arguments.vararg, arguments.kwarg) if a)]
    return [node for node in (*(argument.annotation for argument in every), function.returns) if node]
