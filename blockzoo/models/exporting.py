"""A network as an ONNX model, by torch's exporter: quietly, and with its reason where it cannot."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from blockzoo.core.errors import UsageError
from blockzoo.models.copying import duplicate
from blockzoo.models.data import data_as_views

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 18


def onnx_program(
    model: nn.Module,
    given: Sequence[torch.Tensor],
    translations: Mapping[Any, Callable[..., Any]] | None = None,
) -> ModelProto:
    """The model of a network for inputs of these shapes, in memory.

    Args:
        model: in evaluation mode, of single precision, on the processor.
        given: its inputs, of any shapes, which are the model's.
        translations: of operations that torch's exporter does not know, as functions of onnxscript.

    Raises:
        UsageError: torch cannot export it; names what it stumbled over.
    """
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            torch.no_grad(),
            data_as_views(model),
        ):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model,
                tuple(given),
                dynamo=True,
                opset_version=OPSET,
                verbose=False,
                custom_translation_table=dict(translations or {}),
            )
    except Exception as error:
        reason = _other_outputs(model, given) or _reason(error)
        raise UsageError(f"{type(model).__name__} cannot be exported to ONNX: {reason}") from error
    finally:
        log.setLevel(level)
    assert program is not None
    return program.model_proto


@torch.no_grad()
def _other_outputs(model: nn.Module, given: Sequence[torch.Tensor]) -> str:
    """What the network returns besides tensors, which a file cannot; "" where there is nothing, or it does not run."""
    try:
        leaves = tree_leaves(duplicate(model)(*(x.clone() for x in given)))
    except Exception:
        return ""
    others = sorted(
        {type(leaf).__name__ for leaf in leaves if not isinstance(leaf, torch.Tensor)} - {"NoneType"}
    )
    return f"it returns {', '.join(others)} besides tensors: return tensors alone" if others else ""


def _reason(error: BaseException) -> str:
    """What torch's exporter stumbled over, in one sentence: the operation that ONNX lacks, or the first line that says most."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    for cause in chain:
        missing = MISSING.search(str(cause))
        if missing:
            return f"ONNX has no operation for {missing[1]}; replace it in the network by others, or export another part"
    lines = [line.strip() for cause in reversed(chain) for line in str(cause).splitlines() if line.strip()]
    first = ANSI.sub("", lines[0]) if lines else type(error).__name__
    return f"{first} (its forward pass may depend on values)"


MISSING = re.compile(
    r"(?:No ONNX function found for|No decompositions registered for).*?<OpOverload\(op='([^']+)'"
)
ANSI = re.compile(r"\x1b\[[0-9;]*m")
