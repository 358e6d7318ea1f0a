"""What each operation of a network needs in memory, run without values as it is run with them: on its device, in its layout.

Which kernel runs, and whether it copies, depends on both: a flattened map is a view or a copy, attention holds its scores or does
not. Fake tensors (torch._subclasses) know the device and the strides, and hold nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import fx
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves, tree_map_only

from blockzoo.measure.memory import LiveMemory
from blockzoo.measure.memory import peak_memory as peak_memory
from blockzoo.models.tracing import quiet
from blockzoo.tiling.geometry import part_of_tile
from blockzoo.tiling.graph.network import Operation
from blockzoo.tiling.graph.payload import Payload


class Memory:
    """Measures operations in the order of a graph, each on what those before it made.

    Args:
        device: that they run on; on the meta device they are measured as they are there.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._held: dict[str, Any] = {}
        self._mode: Any = nullcontext()
        if device.type != "meta":
            self._mode = FakeTensorMode(allow_non_fake_inputs=True)

    def hold(self, name: str, like: torch.Tensor) -> None:
        """A value that is given: of this shape, layout and type."""
        with self._mode:
            self._held[name] = self._empty(like)

    def _empty(self, like: torch.Tensor) -> torch.Tensor:
        return torch.empty_strided(like.shape, like.stride(), dtype=like.dtype, device=self._device)

    def _without_values(self, tensor: torch.Tensor) -> torch.Tensor:
        """Of weights, which the mode takes for tensors without values when an operation reads them."""
        if isinstance(self._mode, FakeTensorMode):
            return self._mode.from_tensor(tensor)
        return tensor

    def beside_kernel(self, operation: Operation, size: tuple[int, int]) -> int:
        """Bytes that an operation's kernel needs for a moment on the whole map, besides what it reads and makes; 0 where it does
        not run without values.

        Args:
            operation: one that reads neighbours, of a map that is held.
            size: rows and columns of what it reads.
        """
        assert operation.tileable is not None
        row, column = (
            part_of_tile(0, operation.size(axis), (0, size[axis]), operation.windows[axis]) for axis in (0, 1)
        )
        with torch.no_grad(), quiet(), self._mode:
            x = self._held[operation.maps[0]]
            try:
                kernel = operation.tileable.kernel(operation, size)
            except Exception:
                return 0
            return self._beside(lambda: kernel(x, row, column), [x], operation.payload)

    def beside_parts(
        self, node: fx.Node, payload: Payload, maps: Mapping[str, tuple[int, int] | None]
    ) -> int:
        """Bytes that an operation needs for a moment besides what it reads and makes if the maps that it reads are parts of
        larger ones, as a tile reads them: some copy what is not dense. 0 where it does not run without values.

        Args:
            node: the operation in the graph, run on what is held.
            payload: what executes it.
            maps: those that tiles read in parts, with the dimensions of their rows and columns.
        """
        with torch.no_grad(), quiet(), self._mode:
            read = {source.name: self._held[source.name] for source in node.all_input_nodes}
            read |= {name: self._part(read[name], axes) for name, axes in maps.items()}
            inputs = [t for held in read.values() for t in tensors_of(held)]
            return self._beside(lambda: payload.run(read.__getitem__), inputs, payload)

    def _beside(self, run: Callable[[], Any], given: list[torch.Tensor], payload: Payload) -> int:
        """Bytes that are alive at most while something runs, less those of what it makes; 0 where it does not run."""
        excluded = [
            *given,
            *map(self._without_values, state_of(payload)),
        ]  # held, or they would be made again, and counted
        try:
            with LiveMemory(exclude=excluded) as memory:
                output = run()
                live = memory.live
            del output
        except Exception:
            return 0
        return int(memory.peak - live)

    def _part(self, held: Any, axes: tuple[int, int] | None) -> Any:
        """As large a part of a map as it is now, of one that has a row and a column more in the same layout."""
        if not isinstance(held, torch.Tensor) or axes is None:
            return held
        size = [n + (place in axes) for place, n in enumerate(held.shape)]
        strides = held.stride()
        order = sorted(range(held.ndim), key=lambda place: -strides[place])
        larger = torch.empty([size[place] for place in order], dtype=held.dtype, device=self._device)
        whole = larger.permute([order.index(place) for place in range(held.ndim)])
        return whole[tuple(slice(n) for n in held.shape)]

    def of(self, node: fx.Node, payload: Payload, result: object, turned: Sequence[str]) -> tuple[int, int]:
        """Bytes that an operation makes and keeps, and those that it needs for a moment besides.

        What cannot be run without values on this device counts as what it returns.

        Args:
            node: the operation in the graph, run on what is held; what it makes is held afterwards.
            payload: what executes it.
            result: what it returns, on the meta device.
            turned: images that it reads in the layout of convolutions, channels last where they have it.
        """

        def value(name: str) -> Any:
            held = self._held[name]
            if name in turned and self._device.type == "cpu":
                return held.contiguous(memory_format=torch.channels_last)
            return held

        with torch.no_grad(), quiet(), self._mode:
            read = {source.name: value(source.name) for source in node.all_input_nodes}
            excluded = [t for held in read.values() for t in tensors_of(held)]
            excluded += map(self._without_values, state_of(payload))
            try:
                with LiveMemory(exclude=excluded) as memory:
                    self._held[node.name] = payload.run(read.__getitem__)
                    nbytes = memory.live
                beside = memory.peak - nbytes
                if node.target is torch.ops.aten.col2im.default and self._device.type == "cpu":
                    nbytes = max(
                        nbytes, excluded[0].nbytes
                    )  # which PyTorch gives the sum of windows first, and keeps
                return nbytes, beside
            except Exception:
                self._held[node.name] = tree_map_only(torch.Tensor, self._empty, result)
                return sum(t.nbytes for t in tensors_of(result)), 0


def state_of(payload: Payload) -> list[torch.Tensor]:
    """The weights and constants of an operation."""
    layer, leaves = payload.layer, tree_leaves((list(payload.args), dict(payload.kwargs)))
    weights = [] if layer is None else [*layer.parameters(), *layer.buffers()]
    return [*weights, *(value for value in leaves if isinstance(value, torch.Tensor))]


def tensors_of(value: object) -> list[torch.Tensor]:
    """Of what an operation returns, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    return [t for part in value for t in tensors_of(part)] if isinstance(value, (tuple, list)) else []
