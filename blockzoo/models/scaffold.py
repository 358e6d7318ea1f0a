"""The fixed scaffold: stem, three stages, head. One stage holds the block under test, the others a filler.

Positions differ in position alone: stem, fillers and head are the same network for every block, and start from
the same weights for the same seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F

from blockzoo.blocks.adapters import adapted
from blockzoo.blocks.lookup import block_class
from blockzoo.blocks.transition import transition
from blockzoo.core.checked import sorted_into
from blockzoo.core.contracts import BLOCKS, DEFAULT_FILLER, POSITIONS
from blockzoo.core.errors import UsageError
from blockzoo.core.seeds import seed_of_part
from blockzoo.core.settings import Scaffold
from blockzoo.core.spec import CLASSES, IDENTITY, NetworkSpec
from blockzoo.core.subject import Subject
from blockzoo.models.contract import trust
from blockzoo.models.findings import Examined

if TYPE_CHECKING:
    from jaxtyping import Float
    from typing_extensions import Unpack

    from blockzoo.core.keywords import ScaffoldKeywords


WIDENING = (1, 2, 4)
"""Width of each stage, as multiples of the base width; each stage but the first halves the resolution."""


@dataclass(frozen=True)
class ScaffoldPart:
    """One network block of the scaffold: where it stands and what builds it.

    Parts with equal `key` are equal networks up to their weights.
    """

    name: str
    key: tuple[Any, ...]
    stride: int
    active: bool
    build: Callable[[], nn.Module]


class FixedTransition(nn.Module):
    """The cheapest change of shape: average pooling, and channels padded with zeros or cut. No parameters.

    Source: option A of He et al., CVPR 2016, with pooling in place of subsampling.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.extra_channels, self.stride = out_channels - in_channels, stride

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C_out H_out W_out"]:
        if self.stride > 1:
            x = F.avg_pool2d(x, self.stride, ceil_mode=True, count_include_pad=False)
        return F.pad(x, (0, 0, 0, 0, 0, self.extra_channels))


@dataclass(frozen=True)
class BehindTransition:
    """Makes blocks that keep their shape, behind the shared transition where the shape changes (`--transition shared`).

    Args:
        maker: of the blocks.
    """

    maker: Callable[..., nn.Module]

    def __call__(self, in_channels: int, out_channels: int, stride: int, position: str) -> nn.Module:
        """The block, or the transition and the block."""
        front = transition(
            in_channels, out_channels, stride
        )  # first, so that it starts alike whatever the block
        block = self.maker(out_channels, out_channels, 1, position)
        return nn.Sequential(*front, block) if front else block


def identity_filler(in_channels: int, out_channels: int, stride: int, position: str) -> nn.Module:
    """Nothing where shapes allow, else the cheapest fixed transition."""
    if in_channels == out_channels and stride == 1:
        return nn.Identity()
    return FixedTransition(in_channels, out_channels, stride)


def _stem(in_channels: int, width: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())


def _head(width: int, out_dim: int) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, out_dim))


def usual_width(spec: NetworkSpec) -> int:
    """Channels of the stage under test where its width is that of the scaffold."""
    return spec.base_channels * WIDENING[POSITIONS.index(str(spec.parsed.position))]


def scaffold_parts(spec: NetworkSpec, block: Callable[..., nn.Module] | None = None) -> list[ScaffoldPart]:
    """The parts of the scaffold in order: stem, stage1.0, ..., head.

    Args:
        spec: what to build.
        block: the class of the block, where it is at hand rather than named by `spec.subject`.

    Raises:
        UsageError: a block that is not of the zoo cannot be called, or does not keep the contract of a block.
    """
    subject = spec.parsed
    makers = _makers(spec, block)
    parts = [
        ScaffoldPart("stem", ("stem", spec.in_channels, spec.base_channels), 1, False,
             lambda: _stem(spec.in_channels, spec.base_channels))
    ]  # fmt: skip
    channels = spec.base_channels
    for stage, position in enumerate(POSITIONS):
        active = position == subject.position
        usual = spec.base_channels * WIDENING[stage]
        width = max(1, round(usual * spec.active_width)) if active else usual
        depth = (spec.active_blocks or spec.num_blocks) if active else spec.num_blocks
        maker = makers[stage]
        for index in range(depth):
            stride = 2 if stage > 0 and index == 0 else 1
            arguments = (channels, width, stride, position)
            _trusted(maker, *arguments)
            parts.append(
                ScaffoldPart(
                    f"stage{stage + 1}.{index}",
                    (maker, *arguments),
                    stride,
                    active,
                    _builder(maker, arguments),
                )
            )
            channels = width
    parts.append(
        ScaffoldPart(
            "head", ("head", channels, spec.num_classes), 1, False, lambda: _head(channels, spec.num_classes)
        )
    )
    return parts


def _makers(spec: NetworkSpec, block: Callable[..., nn.Module] | None) -> list[Callable[..., nn.Module]]:
    """What makes the blocks of each stage."""

    def made_by(kind: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
        return BehindTransition(adapted(kind)) if spec.transition == "shared" else adapted(kind)

    subject = spec.parsed
    if subject.stages:
        return [made_by(block_class(stage)) for stage in subject.stages]
    block = made_by(block or block_class(subject))
    filler = (
        identity_filler
        if spec.filler_name == IDENTITY
        else made_by(block_class(Subject.parse(spec.filler_name)))
    )
    return [block if position == subject.position else filler for position in POSITIONS]


def examined_blocks(spec: NetworkSpec) -> list[Examined]:
    """What was found of the blocks of a network that are not of the zoo; empty for networks that are not the scaffold."""
    if not spec.parsed.in_scaffold:
        return []
    parts = [part for part in scaffold_parts(spec) if part.name not in ("stem", "head")]
    return [_trusted(*key) for key in dict.fromkeys(part.key for part in parts)]


def _trusted(
    maker: Callable[..., nn.Module], in_channels: int, out_channels: int, stride: int, position: str
) -> Examined:
    """See `trust`; of a block behind a transition, what it is called with."""
    if isinstance(maker, BehindTransition):
        return trust(maker.maker, out_channels, out_channels, 1, position)
    return trust(maker, in_channels, out_channels, stride, position)


def _builder(
    maker: Callable[..., nn.Module], arguments: tuple[int, int, int, str]
) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        try:
            return maker(*arguments)
        except Exception as error:
            names = "in_channels, out_channels, stride, position"
            raise UsageError(
                f"{getattr(maker, '__name__', maker)}({names}) = {arguments} failed: {type(error).__name__}: {error}"
            ) from error

    return build


class Staged(nn.Module):
    """A stem, three stages of blocks, a head; input (B, in_channels, H, W), output (B, out_dim)."""

    stem: nn.Module
    stage1: nn.Sequential
    stage2: nn.Sequential
    stage3: nn.Sequential
    head: nn.Module

    def _build(self, parts: list[ScaffoldPart], seed: int | None) -> None:
        """Every part starts from its own seed; without one it is drawn from torch's global generator."""
        seed = int(torch.randint(2**31, (), device="cpu").item()) if seed is None else seed
        stages: dict[str, list[nn.Module]] = {f"stage{i}": [] for i in (1, 2, 3)}
        for part in parts:
            with seeded(seed, part.name):
                module = part.build()
            if part.name in ("stem", "head"):
                setattr(self, part.name, module)
            else:
                stages[part.name.partition(".")[0]].append(module)
        for name, modules in stages.items():
            setattr(self, name, nn.Sequential(*modules))

    @property
    def blocks(self) -> list[nn.Module]:
        """The network blocks in order; applied one after the other they are the forward pass."""
        return [self.stem, *self.stage1, *self.stage2, *self.stage3, self.head]

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B classes"]:
        for block in self.blocks:
            x = block(x)
        return x


class StagesNet(Staged):
    """A network with a block of its own in each stage, as a crossed design has them: `stages:A,B,C`.

    Stem and head are those of `ScaffoldNet`; for one seed a block at a position starts alike in whatever company.

    Args:
        spec: with such a subject.
        seed: start of all weights.
    """

    def __init__(self, spec: NetworkSpec, *, seed: int | None = None) -> None:
        super().__init__()
        self._build(scaffold_parts(spec), seed)


class ScaffoldNet(Staged):
    """A network that differs from another in one stage only.

    Stem 3x3 (in_channels -> w) + BN + ReLU; stages of width w (`base_channels`), 2w, 4w, the second and third starting with
    stride 2; head: average pooling and a linear layer. Input (B, in_channels, H, W), output (B, out_dim).

    Args:
        block: name or class of the block under test.
        position: which stage holds it: "early" (1), "mid" (2) or "late" (3).
        out_dim: number of classes.
        in_channels: channels of the images.
        seed: start of all weights; the same seed gives stem, fillers and head the same weights whatever the block.
            Without it the seed is drawn from torch's global generator.
        scaffold: settings of the table Scaffold in docs/settings.md.

    Raises:
        UsageError: a position, width, count or name that cannot be used, naming the choices.
    """

    def __init__(
        self,
        block: str | type[nn.Module] | Callable[..., nn.Module],
        position: str = "mid",
        *,
        out_dim: int = CLASSES,
        in_channels: int = 3,
        seed: int | None = None,
        **scaffold: Unpack[ScaffoldKeywords],
    ) -> None:
        super().__init__()
        named: str | None = block if isinstance(block, str) else BLOCKS.name_of(block)
        self._unnamed: Any = None if named else block
        self._layout = NetworkSpec(
            subject=str(Subject.parse(named or DEFAULT_FILLER).at(position)),
            out_dim=out_dim,
            in_channels=in_channels,
            **vars(sorted_into(scaffold, Scaffold, what="ScaffoldNet")[0]),
        )
        self._build(scaffold_parts(self._layout, None if isinstance(block, str) else block), seed)
        self.position = position
        self.block_name = named or getattr(block, "__name__", str(block))

    @property
    def spec(self) -> NetworkSpec:
        """What this network is.

        Raises:
            UsageError: its block is a class that no other process could find by a name.
        """
        if self._unnamed is None:
            return self._layout
        return replace(self._layout, subject=str(Subject.parse(self._unnamed).at(self.position)))

    @property
    def active_stage(self) -> nn.Sequential:
        """The stage that holds the block under test."""
        return (self.stage1, self.stage2, self.stage3)[POSITIONS.index(self.position)]

    def get_stage_info(self) -> list[dict[str, Any]]:
        """For each stage: its name, position, what it holds, how many, and its parameters."""
        return [
            {
                "stage": f"stage{i + 1}",
                "position": position,
                "active": position == self.position,
                "holds": self.block_name if position == self.position else self._layout.filler_name,
                "blocks": len(getattr(self, f"stage{i + 1}")),
                "stride": 1 if i == 0 else 2,
                "params": sum(p.numel() for p in getattr(self, f"stage{i + 1}").parameters()),
            }
            for i, position in enumerate(POSITIONS)
        ]


@contextmanager
def seeded(seed: int, part: str) -> Iterator[None]:
    """Torch's generators start from (seed, part) inside, and are as before outside."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed_of_part(seed, part))
        yield
