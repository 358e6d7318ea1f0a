"""Any network with its convolutions and pools cut into tiles; weights and state_dict keys stay."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from blockzoo.core.errors import UsageError
from blockzoo.tiling.geometry import Blocking, pair, tiles
from blockzoo.tiling.layers.conv import BlockConv2d, PaddingMode, check_blocking
from blockzoo.tiling.layers.merged import keep_tiles_when_merged
from blockzoo.tiling.layers.pool import BlockAvgPool2d, BlockMaxPool2d, windows_of
from blockzoo.tiling.layers.variants import TileRule, restored, tiled_variant

if TYPE_CHECKING:
    from jaxtyping import Shaped

POOLS = (nn.MaxPool2d, nn.AvgPool2d)
NEVER: dict[type[nn.Module], str] = {
    nn.ConvTranspose2d: "a transposed convolution writes over its neighbours",
    nn.LPPool2d: "sums of powers are not cut",
    nn.FractionalMaxPool2d: "its windows are drawn at random over the whole map",
    nn.AdaptiveAvgPool2d: "its windows depend on the size of the whole map",
    nn.AdaptiveMaxPool2d: "its windows depend on the size of the whole map",
}
"""Layers that read neighbours and stay whole, and why."""


@dataclass(frozen=True)
class LayerReport:
    """What became of one layer.

    Args:
        name: in the network; "" and the operation for one without a module.
        kind: its class.
        kernel: rows and columns.
        size: of the map it reads, rows and columns; None where it was not called.
        grid: tiles, rows and columns.
        blocked: whether it works on tiles now.
        reason: why not.
    """

    name: str
    kind: str
    kernel: tuple[int, int]
    size: tuple[int, int] | None
    grid: tuple[int, int]
    blocked: bool
    reason: str = ""


@dataclass(frozen=True)
class ConversionReport:
    """Every convolution and pool of a network, in the order of their first call."""

    layers: list[LayerReport]

    @property
    def ratio(self) -> float:
        """Of the convolutions whose kernel is larger than 1 x 1, those called as functions too, the share that is blocked."""
        spatial = [layer for layer in self.layers if "conv" in layer.kind.lower() and max(layer.kernel) > 1]
        return sum(layer.blocked for layer in spatial) / len(spatial) if spatial else 0.0

    def __str__(self) -> str:
        rows = [f"{self.ratio:.0%} of the convolutions larger than 1 x 1 are blocked"]
        for layer in self.layers:
            size = "x".join(map(str, layer.size)) if layer.size else "-"
            what = f"{layer.grid[0]} x {layer.grid[1]} tiles" if layer.blocked else f"whole: {layer.reason}"
            rows.append(f"{layer.name:40} {layer.kind:14} {size:>9}  {what}")
        return "\n".join(rows)


def block_convert(
    model: nn.Module,
    example_input: Shaped[torch.Tensor, "N C H W"],
    block_size: int | Sequence[int] = 28,
    blocking: Blocking = "fixed",
    padding_mode: PaddingMode = "constant",
    ratio: float | None = None,
) -> tuple[nn.Module, ConversionReport]:
    """A copy of a network whose convolutions and pools work on tiles.

    Args:
        model: any network; it is left as it is.
        example_input: (N, C, H, W); the network is run on it once, to learn the size of each map.
        block_size: see `BlockConv2d`.
        blocking: see `BlockConv2d`.
        padding_mode: see `BlockConv2d`; a convolution that mirrors or repeats its border keeps doing so.
        ratio: block this share of the convolutions larger than 1 x 1 only, those with the largest maps first; None for all.

    Returns:
        The copy, and a report of every layer: blocked, or why not.

    Raises:
        UsageError: an option out of its range, or the network does not run on the example.
    """
    check_blocking(blocking, padding_mode)
    pair(block_size, "block size")
    if ratio is not None and not 0 < ratio <= 1:
        raise UsageError(f"ratio {ratio}: give a number in (0, 1], or None for all")
    converted = copy.deepcopy(model)
    calls = _observed(converted, example_input)
    chosen = _chosen(calls, ratio)
    layers = []
    for call in calls:
        reason = _refusal(call) or ("" if call.name in chosen else "the ratio asked for is reached")
        grid = (1, 1)
        if not reason:
            try:
                blocked, grid = _blocked(call, block_size, blocking, padding_mode)
            except UsageError as error:
                reason = str(error)
            else:
                converted = blocked if call.module is converted else converted
                for parent, leaf in call.places:
                    setattr(parent, leaf, blocked)
        layers.append(LayerReport(call.name, call.kind, call.kernel, call.size, grid, not reason, reason))
    keep_tiles_when_merged(converted)
    return converted, ConversionReport(layers)


@dataclass
class _Call:
    """A layer as the example went through it."""

    name: str
    kind: str
    module: nn.Module | None
    kernel: tuple[int, int]
    size: tuple[int, int] | None
    shape: tuple[int, ...] = ()
    places: list[tuple[nn.Module, str]] = field(default_factory=list)


def _observed(model: nn.Module, example: torch.Tensor) -> list[_Call]:
    """Every convolution and pool in the order of their calls; those never called last; operations without a module too."""
    calls: dict[str, _Call] = {}
    kinds: tuple[type[nn.Module], ...] = (nn.Conv2d, *POOLS, *NEVER)
    names = {module: name for name, module in model.named_modules() if isinstance(module, kinds)}
    places: dict[nn.Module, list[tuple[nn.Module, str]]] = {module: [] for module in names}
    for parent in model.modules():
        for leaf, child in parent._modules.items():  # named_children leaves out a second name of one module
            if child in places:
                places[child].append((parent, leaf))

    def saw(module: nn.Module, inputs: Any) -> None:
        x = inputs[0]
        name = names[module]
        size = (x.shape[-2], x.shape[-1])
        call = _Call(
            name, type(module).__name__, module, _kernel(module), size, tuple(x.shape), places[module]
        )
        calls.setdefault(name, call)

    hooks = [module.register_forward_pre_hook(saw) for module in names]
    states = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad(), _Loose(set(names)) as loose:
            model(example)
    except Exception as error:
        raise UsageError(
            f"{type(model).__name__} does not run on an input of shape {tuple(example.shape)}: {error}"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in states.items():
            module.training = training
    for module, name in names.items():
        calls.setdefault(name, _Call(name, type(module).__name__, module, _kernel(module), None))
    return [*calls.values(), *loose.calls]


WATCHED = {
    F.max_pool2d: "max_pool2d",
    F.avg_pool2d: "avg_pool2d",
    F.conv2d: "conv2d",
    torch.conv2d: "conv2d",
}


class _Loose(TorchFunctionMode):
    """Hears of convolutions and pools that are called as functions, outside the modules that are known."""

    def __init__(self, known: set[nn.Module]) -> None:
        super().__init__()
        self.calls: list[_Call] = []
        self._depth = 0
        self._hooks = []
        for module in known:
            self._hooks.append(module.register_forward_pre_hook(self._enter))
            self._hooks.append(module.register_forward_hook(self._leave))

    def _enter(self, *_: Any) -> None:
        self._depth += 1

    def _leave(self, *_: Any) -> None:
        self._depth -= 1

    def __exit__(self, *arguments: Any) -> None:
        for hook in self._hooks:
            hook.remove()
        super().__exit__(*arguments)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self._depth == 0 and func in WATCHED:
            arguments = dict(zip(("input", "weight"), args, strict=False)) | (kwargs or {})
            x, name = arguments["input"], WATCHED[func]
            kernel: Any = (
                arguments["weight"].shape[-2:]
                if "conv" in name
                else arguments.get("kernel_size", arguments.get("weight"))
            )
            size = (x.shape[-2], x.shape[-1])
            self.calls.append(_Call(f"F.{name}", name, None, pair(kernel, "kernel"), size, tuple(x.shape)))
        return func(*args, **(kwargs or {}))


def _kernel(module: nn.Module) -> tuple[int, int]:
    if not hasattr(module, "kernel_size"):
        return 0, 0
    return pair(module.kernel_size, "kernel size")  # type: ignore[arg-type]


def _refusal(call: _Call) -> str:
    if call.module is None:
        return "called as a function, not as a module"
    for kind, reason in NEVER.items():
        if isinstance(call.module, kind):
            return reason
    if call.size is None:
        return "not called by the example"
    if isinstance(call.module, nn.Conv2d) and max(call.kernel) == 1:
        return "1 x 1 reads no neighbours"
    return ""


def _chosen(calls: list[_Call], ratio: float | None) -> set[str]:
    """Names of the layers to block: with a ratio the convolutions with the largest maps, and all pools on maps as large."""
    usable = [call for call in calls if not _refusal(call)]
    if ratio is None:
        return {call.name for call in usable}
    convolutions = [call for call in usable if isinstance(call.module, nn.Conv2d)]
    largest = sorted(convolutions, key=lambda call: -_area(call))[: max(1, round(ratio * len(convolutions)))]
    least = min((_area(call) for call in largest), default=0)
    pools = [call for call in usable if not isinstance(call.module, nn.Conv2d) and _area(call) >= least]
    return {call.name for call in [*largest, *pools]}


def _area(call: _Call) -> int:
    return call.size[0] * call.size[1] if call.size else 0


def _blocked(
    call: _Call, block_size: int | Sequence[int], blocking: Blocking, padding_mode: PaddingMode
) -> tuple[nn.Module, tuple[int, int]]:
    """The blocked layer and its tiles; tried on a map of zeros first, so that what cannot work is known now."""
    module = call.module
    assert module is not None
    blocked = _made(module, block_size, blocking, padding_mode)
    try:
        with torch.no_grad():
            blocked(torch.zeros(call.shape, device=_device(module), dtype=_dtype(module)))
        return blocked, _grid(blocked, call)
    except Exception as error:
        if blocked is module:
            restored(module)
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"it does not run on tiles: {type(error).__name__}: {error}") from error


def _made(
    module: nn.Module, block_size: int | Sequence[int], blocking: Blocking, padding_mode: PaddingMode
) -> nn.Module:
    if isinstance(module, nn.MaxPool2d) and type(module) in (nn.MaxPool2d, BlockMaxPool2d):
        return BlockMaxPool2d(module, block_size, blocking)
    if isinstance(module, nn.AvgPool2d) and type(module) in (nn.AvgPool2d, BlockAvgPool2d):
        return BlockAvgPool2d(module, block_size, blocking)
    if type(module) is BlockConv2d:  # cut anew
        return BlockConv2d.of(module, block_size, blocking, padding_mode, module.stride_mode)
    if type(module) is not nn.Conv2d:
        return tiled_variant(module, TileRule(pair(block_size, "block size"), blocking, padding_mode))
    if module.padding_mode == "circular":
        raise UsageError("circular padding joins opposite borders")
    own = padding_mode if module.padding_mode == "zeros" else module.padding_mode
    return BlockConv2d.of(module, block_size, blocking, own)


def _device(module: nn.Module) -> torch.device:
    return next((p.device for p in module.parameters()), torch.device("cpu"))


def _dtype(module: nn.Module) -> torch.dtype:
    return next((p.dtype for p in module.parameters()), torch.float32)


def _grid(made: nn.Module, call: _Call) -> tuple[int, int]:
    if isinstance(made, (BlockMaxPool2d, BlockAvgPool2d)):
        windows = windows_of(made, torch.empty(call.shape, device="meta"))
        block, blocking = made.block_size, made.blocking
    elif isinstance(made, BlockConv2d):
        windows, block, blocking = made.windows(), made.block_size, made.blocking
    else:
        return made.tile_grid  # type: ignore[return-value]
    sizes = zip(call.size or (0, 0), windows, block, strict=True)
    rows, columns = (len(tiles(size, window, own, blocking)) for size, window, own in sizes)
    return rows, columns
