"""What a plan is asked for: each setting one field, with its default, its sentence and its range. No tensors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from blockzoo.core.checked import setting
from blockzoo.core.errors import UsageError
from blockzoo.tiling.geometry import pair
from blockzoo.tiling.planning.plan import ITEM_BYTES
from blockzoo.tiling.planning.stage import MODES, Mode
from blockzoo.tiling.planning.tile_memory import Counted


@dataclass(frozen=True)
class Cutting:
    """Within what memory a network runs, or which part of it in how many tiles.

    Raises:
        UsageError: what is out of its range, all of it at once.
    """

    grid: int | tuple[int, ...] | None = setting(
        None,
        "tiles of the map that enters the fused stage, 4 or 4,2 (rows, columns); with --fuse-to",
        repeated=True,
    )
    fuse_to: str | None = setting(None, "the last module of the fused stage, layer2")
    budget: int | str | None = setting(
        None, "live activations stay within, 256KiB or a number of bytes; the input is not counted"
    )
    mode: Mode = setting(
        "block", "block: independent tiles; exact: the network's own result, halos computed again"
    )

    def __post_init__(self) -> None:
        if faults := list(self._faults()):
            raise UsageError("; ".join(faults))

    def _faults(self) -> Iterator[str]:
        if self.mode not in MODES:
            yield f"mode {self.mode!r}: choose {' or '.join(MODES)}"
        if (self.grid is None) != (self.fuse_to is None):
            yield "grid and fuse_to belong together: how many tiles, and the last module of the stage"

    @property
    def tiles(self) -> tuple[int, int]:
        """Along rows and along columns, of the stage up to `fuse_to`.

        Raises:
            UsageError: neither one number nor two.
        """
        grid = self.grid if isinstance(self.grid, int) else tuple(self.grid or ())
        return pair(grid, "grid")


@dataclass(frozen=True)
class Planning(Cutting):
    """What a plan is asked for.

    Raises:
        UsageError: what is out of its range, all of it at once.
    """

    dtype: Literal["fp64", "fp32", "fp16", "bf16", "int8"] | None = setting(
        None,
        "of activations, by default the network's own; int8 counts each layer's input and output alone, others as PyTorch runs",
    )
    batch: int = setting(1, "tiles that run together in the stage of --fuse-to: more memory, more speed")
    fold: bool = setting(True, "fold batch norms into convolutions")
    in_place_depthwise: bool = setting(False, "depthwise convolutions write over their input (int8 alone)")

    def _faults(self) -> Iterator[str]:
        if self.dtype is not None and self.dtype not in ITEM_BYTES:
            yield f"dtype {self.dtype!r}: choose {', '.join(ITEM_BYTES)}"
        yield from super()._faults()
        if self.batch < 1:
            yield f"batch {self.batch}: give 1 or more tiles that run together"

    def counted(self, dtype: str) -> Counted:
        """How memory is counted, in the dtype that was asked for or is the network's own."""
        if dtype == "int8":
            return Counted(ITEM_BYTES[dtype], "bare", self.in_place_depthwise)
        return Counted(ITEM_BYTES[dtype])
