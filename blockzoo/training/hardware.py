"""What this machine does fast: dtype, and memory that is not given back between steps."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable

import torch
from torch import nn

from blockzoo.models.layouts import laid_out
from blockzoo.training.protocols import Protocol

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # of glibc's malloc.h


def fastest_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the processor multiplies it natively, else float32.

    Decided by what the hardware has, not by a stopwatch: the same machine must give the same numbers twice.
    """
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        native = any(_cpu_has(feature) for feature in ("amx_tile", "avx512_bf16"))
    return torch.bfloat16 if native else torch.float32


def number_format(protocol: Protocol, device: torch.device) -> torch.dtype:
    """What a protocol computes in on a device."""
    return fastest_dtype(device) if protocol.dtype == "fastest" else getattr(torch, protocol.dtype)


def made_ready(network: nn.Module, protocol: Protocol, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The network in the protocol's memory format, its layers in the dtype that is fastest for them."""
    if protocol.channels_last:
        network = laid_out(network, torch.channels_last)
    if device.type == "cpu" and protocol.channels_last:
        network = keep_narrow_strided_convolutions_whole(network)
    if device.type == "cpu" and dtype != torch.float32:
        network = keep_grouped_convolutions_in_float32(network)
    return network


def keep_grouped_convolutions_in_float32(network: nn.Module) -> nn.Module:
    """Make grouped convolutions leave CPU autocast: their bfloat16 kernels are the slow ones.

    Measured on a CPU with AVX512-BF16, one training step of narrow scaffolds at batch 256: a MobileNetV2 stage
    0.33 s in float32, 0.55 s in bfloat16, 0.25 s with only the dense layers in bfloat16; dense blocks gain as before.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.groups > 1:
            layer.forward = _outside_autocast(layer.forward)  # type: ignore[assignment]
    return network


def keep_narrow_strided_convolutions_whole(network: nn.Module) -> nn.Module:
    """Let 1x1 convolutions with stride and fewer than 8 inputs read the pixels they keep, rather than skip the others.

    oneDNN's backward pass of such a layer writes past its memory in channels_last on processors without AVX-512 (torch
    2.14.1 on AVX2: `free(): invalid size`, the whole process ends). The function and its gradients are the same.
    """
    if "AVX512" in torch.backends.cpu.get_cpu_capability():
        return network
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and type(layer).forward is nn.Conv2d.forward and _is_narrow(layer):
            layer.forward = _of_kept_pixels(layer)  # type: ignore[assignment]
    return network


def _is_narrow(layer: nn.Conv2d) -> bool:
    pointwise = layer.kernel_size == (1, 1) and layer.padding in ((0, 0), 0, "valid")
    return pointwise and max(layer.stride) > 1 and layer.in_channels < 8


def _of_kept_pixels(layer: nn.Conv2d) -> Callable[[torch.Tensor], torch.Tensor]:
    rows, columns = layer.stride

    def forward(x: torch.Tensor) -> torch.Tensor:
        pixels = x[..., ::rows, ::columns]
        return nn.functional.conv2d(pixels, layer.weight, layer.bias, groups=layer.groups)

    return forward


def _outside_autocast(
    forward: Callable[[torch.Tensor], torch.Tensor],
) -> Callable[[torch.Tensor], torch.Tensor]:
    def in_float32(x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return forward(x.float())

    return in_float32


def _cpu_has(feature: str) -> bool:
    probe = getattr(torch.cpu, f"_is_{feature}_supported", None)
    return bool(probe and probe())


def keep_freed_memory() -> None:
    """Let glibc keep large freed blocks for the next step instead of returning them to the system.

    Activations are freed and asked for again in every step; without this a third of a step on the CPU goes into
    page faults. Does nothing where the C library is another.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(M_TOP_PAD, 64 * 2**20)
