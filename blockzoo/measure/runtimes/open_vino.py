"""OpenVINO."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from blockzoo.core.errors import UsageError, reason_of
from blockzoo.core.extras import needed
from blockzoo.measure.contracts import RUNTIMES
from blockzoo.measure.onnx_files import Bound, Buffers, onnx_bytes, readable

if TYPE_CHECKING:
    from jaxtyping import Float

PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16"}


@RUNTIMES.register("openvino")
def open_vino(model: nn.Module, example: Float[torch.Tensor, "B ..."]) -> Callable[[Any], Any]:
    """OpenVINO on the network as an ONNX model (extra `openvino`), for one input after the other, on the processor.

    As many threads as torch has, in one stream, with the performance hint LATENCY. It computes in the dtype that is asked for:
    left alone it would take bfloat16 where the processor has it. Input and outputs lie in memory that is bound
    before a call, so no copy of them is on the clock, nor is the making of the model; with bfloat16 the input is float32, and the
    outputs are converted on the clock.

    Args:
        model: in evaluation mode, on the processor.
        example: (B, ...), contiguous.

    Raises:
        UsageError: a GPU; a dtype that the processor does not have; a network that cannot be exported.
    """
    if example.device.type != "cpu":
        raise UsageError("OpenVINO is timed on the processor here: take --device cpu")
    readable("OpenVINO", example)
    openvino = needed("openvino", "openvino", "timings by OpenVINO")
    core = openvino.Core()
    precision = PRECISIONS.get(example.dtype, str(example.dtype))
    if precision not in {
        "f32",
        *(name.lower() for name in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")),
    }:
        raise UsageError(f"OpenVINO has no {precision} on this processor: --dtypes fp32")
    content = onnx_bytes(model, example, "openvino")
    config = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": str(torch.get_num_threads()),
        "INFERENCE_PRECISION_HINT": precision,
    }
    try:
        ready = core.compile_model(core.read_model(content), "CPU", config)
    except Exception as error:
        raise UsageError(f"OpenVINO refuses the model: {reason_of(error)}") from error
    runs_in = ready.get_property("INFERENCE_PRECISION_HINT").to_string()
    if runs_in != precision:
        raise UsageError(
            f"OpenVINO would compute in {runs_in} in place of {precision}, so it is not timed: --dtypes fp32"
        )
    buffers, request = Buffers(model, example), ready.create_infer_request()
    for index, (_, tensor) in enumerate(buffers.of(ready.outputs)):
        request.set_output_tensor(index, openvino.Tensor(tensor.numpy(), shared_memory=True))
    held: list[torch.Tensor] = []

    def bind(x: torch.Tensor) -> None:
        held[:] = [x.float().contiguous()]  # alive as long as it is read
        request.set_input_tensor(0, openvino.Tensor(held[0].numpy(), shared_memory=True))

    return Bound(bind, request.infer, buffers, example)
