"""What a plan is asked for: each option once, with its default, its sentence and its range. No tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from blockzoo.core.errors import UsageError
from blockzoo.tiling.geometry import pair
from blockzoo.tiling.planning.plan import ITEM_BYTES
from blockzoo.tiling.planning.stage import MODES, Mode
from blockzoo.tiling.planning.tile_memory import Counted


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """Within what memory a network is planned, or which part of it in how many tiles.

    Args:
        budget: bytes of live activations, as a number or "256KiB", "1.5MiB"; the input is not counted.
        grid: tiles of the map that enters the fused stage, 4 or (4, 2).
        fuse_to: the last module of that stage.
        dtype: "fp64", "fp32", "fp16" or "bf16", the network's own where none is given: as this package's executor runs, copies
            for padding and a pool's indices included; values of another type than the network's count as what they are.
            "int8": as on a device whose layers hold their input and output alone.
        mode: "block": tiles are independent, as in block convolution; "exact": the network's own result, halos computed again.
        batch: tiles that run together in the stage of `fuse_to`.
        fold: fold batch norms into convolutions.
        in_place_depthwise: depthwise convolutions write over their input (int8 alone).

    Raises:
        UsageError: what is out of its range, all of it at once.
    """

    budget: int | str | None = None
    grid: int | Sequence[int] | None = None
    fuse_to: str | None = None
    dtype: str | None = None
    mode: Mode = "block"
    batch: int = 1
    fold: bool = True
    in_place_depthwise: bool = False

    def __post_init__(self) -> None:
        faults = []
        if self.dtype is not None and self.dtype not in ITEM_BYTES:
            faults.append(f"dtype {self.dtype!r}: choose {', '.join(ITEM_BYTES)}")
        if self.mode not in MODES:
            faults.append(f"mode {self.mode!r}: choose {' or '.join(MODES)}")
        if (self.grid is None) != (self.fuse_to is None):
            faults.append(
                "grid and fuse_to belong together: how many tiles, and the last module of the stage"
            )
        if self.batch < 1:
            faults.append(f"batch {self.batch}: give 1 or more tiles that run together")
        if faults:
            raise UsageError("; ".join(faults))

    @property
    def tiles(self) -> tuple[int, int]:
        """Along rows and along columns, of the stage up to `fuse_to`.

        Raises:
            UsageError: neither one number nor two.
        """
        return pair(self.grid if isinstance(self.grid, int) else tuple(self.grid or ()), "grid")

    def counted(self, dtype: str) -> Counted:
        """How memory is counted, in the dtype that was asked for or is the network's own."""
        if dtype == "int8":
            return Counted(ITEM_BYTES[dtype], "bare", self.in_place_depthwise)
        return Counted(ITEM_BYTES[dtype])


class PlanKeywords(TypedDict, total=False):
    """`PlanOptions` as keyword arguments."""

    budget: int | str | None
    grid: int | Sequence[int] | None
    fuse_to: str | None
    dtype: str | None
    mode: Mode
    batch: int
    fold: bool
    in_place_depthwise: bool
