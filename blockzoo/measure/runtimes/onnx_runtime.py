"""ONNX Runtime."""

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


@RUNTIMES.register("onnxruntime")
def onnx_runtime(model: nn.Module, example: Float[torch.Tensor, "B ..."]) -> Callable[[Any], Any]:
    """ONNX Runtime on the network as an ONNX model (extra `onnx`), fp32.

    As many threads as torch has, which do not spin while they wait: they would take the processor from what is timed beside
    them. The input lies in memory and the memory of the outputs is there before a call, so no copy and no allocation of these is
    on the clock; the making of the model and the session is not either.

    Args:
        model: in evaluation mode, on the device of the example.
        example: (B, ...), contiguous.

    Raises:
        UsageError: another dtype; a GPU that this build does not run on; a network that cannot be exported.
    """
    if example.dtype != torch.float32:
        raise UsageError(
            f"ONNX Runtime has no convolutions of {str(example.dtype).removeprefix('torch.')} on the processor: --dtypes fp32"
        )
    readable("ONNX Runtime", example)
    runtime = needed("onnxruntime", "onnx", "timings by ONNX Runtime")
    provider = "CUDAExecutionProvider" if example.is_cuda else "CPUExecutionProvider"
    if provider not in runtime.get_available_providers():
        raise UsageError(
            f"this build of ONNX Runtime has no {provider}: take --device cpu, or install onnxruntime-gpu in its place"
        )
    content = onnx_bytes(model, example, "onnx")
    try:
        session = runtime.InferenceSession(content, _session_options(runtime), providers=[provider])
    except Exception as error:
        raise UsageError(f"ONNX Runtime refuses the model: {reason_of(error)}") from error
    if session.get_providers()[0] != provider:
        raise UsageError(f"ONNX Runtime could not start its {provider}: take --device cpu")
    buffers, binding = Buffers(model, example), session.io_binding()
    device, index = example.device.type, example.device.index or 0
    for place, tensor in buffers.of(session.get_outputs()):
        kind = tensor.numpy(force=True).dtype
        binding.bind_output(place.name, device, index, kind, tuple(tensor.shape), tensor.data_ptr())
    name = session.get_inputs()[0].name

    def bind(x: torch.Tensor) -> None:
        binding.bind_input(name, device, index, "float32", tuple(x.shape), x.data_ptr())

    return Bound(bind, lambda: session.run_with_iobinding(binding), buffers, example)


def _session_options(runtime: Any) -> Any:
    """One node after the other, threads of its own as torch has, which do not spin."""
    options = runtime.SessionOptions()
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options
