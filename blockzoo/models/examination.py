"""A block is tried on small maps: all that a block promises, one after the other."""

from __future__ import annotations

import random
from functools import cache

import numpy
import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter

from blockzoo.blocks.adapters import Maker, name_of, what_to_write
from blockzoo.core.contracts import POSITIONS
from blockzoo.core.errors import CheckFailed, UsageError
from blockzoo.core.signature import signature_of
from blockzoo.models.agreement import deviation, draw_statistics
from blockzoo.models.copying import duplicate
from blockzoo.models.findings import Broken, Examined, Failed, listed, misshaped, said
from blockzoo.models.following import check_following, follows_loaded_weights
from blockzoo.models.state import changed, generators_kept, same, state, storages
from blockzoo.models.surroundings import Surroundings

SIZES = ((9, 7), (8, 8), (14, 14), (16, 16), (32, 32), (56, 56))
"""Maps it is tried on, the odd one first: the first that it takes is used."""
MANY, FEW = 16, 2
"""Images in one batch of evaluation, on small maps and on those of a network."""
TOLERANCE = 1e-4
"""Of the largest output: what kernels for other numbers of images may differ by."""


@cache
def examine(maker: Maker, in_channels: int, out_channels: int, stride: int, position: str) -> Examined:
    """All that is wrong with a block of one shape, once in a process. The process is left as it was, its generators too.

    Raises:
        UsageError: it cannot be built; the message says what to write.
    """
    with generators_kept(), torch.device("cpu"), torch.autocast("cpu", enabled=False):
        return _Examination(maker, (in_channels, out_channels, stride, position)).examined()


@cache
def examine_there(maker: Maker, arguments: tuple[int, int, int, str], size: tuple[int, int]) -> Examined:
    """What is wrong in evaluation mode with a block of these `arguments` of `examine` on maps of its network, of this size: some
    do there what they do not do on small ones. Once in a process, which is left as it was.
    """
    with generators_kept(), torch.device("cpu"), torch.autocast("cpu", enabled=False):
        return _Examination(maker, arguments).examined_there(size)


class _Examination:
    def __init__(self, maker: Maker, arguments: tuple[int, int, int, str]) -> None:
        self._maker, self._arguments = maker, arguments
        self._in, self._out, self._stride, self._position = arguments
        self._faults: list[str] = []
        self._notes: list[str] = []
        self._deviation = 0.0
        self._generator = torch.Generator().manual_seed(0)

    def examined(self) -> Examined:
        try:
            first = self._constructor()
            around = Surroundings(first)
            size = self._shapes(first)
            drawn = self._drawn()
            self._evaluation(drawn, size)
            self._memory_format(drawn, size)
            self._training(drawn, size)
            around.restore()
            self._following(size)
            self._number_format(drawn, size)
            self._copies(size)
            self._without_values(size)
        except Broken as broken:
            self._faults.append(str(broken))
        return Examined(tuple(self._faults), tuple(self._notes), self._deviation)

    def examined_there(self, size: tuple[int, int]) -> Examined:
        try:
            self._evaluation(self._drawn(), size, FEW)
        except Broken as broken:
            self._faults.append(str(broken))
        return Examined(tuple(f"{fault}, on maps of {size[0]} x {size[1]}" for fault in self._faults))

    def _fault(self, condition: object, sentence: str) -> None:
        if condition:
            self._faults.append(sentence)

    def _note(self, condition: object, sentence: str) -> None:
        if condition:
            self._notes.append(sentence)

    def _images(self, count: int, size: tuple[int, int]) -> torch.Tensor:
        return torch.randn(count, self._in, *size, generator=self._generator)

    def _build(self, seed: int = 0, position: str | None = None) -> nn.Module:
        arguments = (*self._arguments[:3], position or self._position)
        torch.manual_seed(seed)
        try:
            block = self._maker(*arguments)
        except UsageError:
            raise
        except Exception as error:
            raise UsageError(
                f"{name_of(self._maker)}(in_channels, out_channels, stride, position) = {arguments} failed: "
                f"{said(error)}. {what_to_write(self._maker)}".rstrip()
            ) from error
        if not isinstance(block, nn.Module):
            raise Broken(f"makes a {type(block).__name__}, not a torch nn.Module")
        if any(isinstance(parameter, UninitializedParameter) for parameter in block.parameters()):
            raise Broken("has lazy layers, whose weights are not there until it runs: it is told in_channels")
        return block

    def _drawn(self) -> nn.Module:
        """A block on which differences show: norms that have seen data, and no weight at its start."""
        block = draw_statistics(self._build())
        with torch.no_grad():
            for parameter in block.parameters():
                if parameter.is_floating_point():
                    parameter.add_(0.05 * torch.randn(parameter.shape, generator=self._generator))
        return block

    def _constructor(self) -> nn.Module:
        """Weights come from torch's generator, which goes on from where it was."""
        around = random.getstate(), numpy.random.get_state(legacy=False)["state"]["key"].tolist()
        block = self._build(seed=1)
        after = torch.get_rng_state()
        again, other = self._build(seed=1), self._build(seed=2)
        self._fault(
            torch.equal(after, torch.get_rng_state()),
            "sets torch's seed in its constructor: every seed of a trial would start it alike",
        )
        first, second = state(block), state(again)
        self._fault(
            not same(first, second),
            "starts from other weights each time it is built with one seed: draw them from torch's generator",
        )
        moved = (random.getstate(), numpy.random.get_state(legacy=False)["state"]["key"].tolist()) != around
        self._note(moved and same(first, second), "uses the generator of Python or NumPy in its constructor")
        shared = storages(block).keys() & storages(other).keys()
        self._fault(
            shared,
            f"shares {listed(storages(block)[s] for s in shared)} with other blocks of its class: two of them would be one",
        )
        if signature_of(self._maker).positional or signature_of(self._maker).position:
            other_places = (
                self._build(seed=1, position=place) for place in POSITIONS if place != self._position
            )
            self._note(
                not all(same(first, state(place)) for place in other_places),
                "is another network at another position: its results differ by more than their position",
            )
        return block

    def _shapes(self, block: nn.Module) -> tuple[int, int]:
        """The size of map to go on with."""
        block.eval()
        failed = ""
        for size in SIZES:
            try:
                with torch.no_grad():
                    y = self._called(block, self._images(2, size), "evaluation")
            except Failed as error:
                failed = failed or f"maps of {size[0]} x {size[1]} ({error})"
                continue
            height, width = (-(-n // self._stride) for n in size)
            if tuple(y.shape) != (2, self._out, height, width):
                if size == SIZES[0] and tuple(y.shape) == (2, self._out, *(n // self._stride for n in size)):
                    self._notes.append("rounds odd sizes down, where a block rounds up")
                    continue
                raise Broken(misshaped(tuple(y.shape), (2, self._in, *size), self._out, self._stride))
            self._note(failed and size != SIZES[0], f"does not take {failed}")
            self._fault(not y.isfinite().all(), "gives values that are not finite for images of noise")
            return size
        raise Broken(f"does not take {failed}, nor other sizes up to {SIZES[-1][0]}")

    def _called(self, block: nn.Module, x: torch.Tensor, mode: str) -> torch.Tensor:
        before = x.detach().clone()
        try:
            y = block(x)
        except Exception as error:
            raise Failed(said(error)) from error
        if not isinstance(y, torch.Tensor):
            raise Broken(f"returns a {type(y).__name__} in {mode} mode, not one tensor")
        if y.dtype != x.dtype:
            raise Broken(f"returns {y.dtype} for an input of {x.dtype}")
        if x.shape != before.shape or not torch.equal(x, before):
            raise Broken(
                f"changes its input in {mode} mode (an in-place operation on it, such as ReLU(inplace=True))"
            )
        return y

    def _compared(self, first: torch.Tensor, second: torch.Tensor, sentence: str) -> None:
        difference = deviation(first, second)
        self._deviation = max(self._deviation, difference)
        self._fault(not difference <= TOLERANCE, sentence)

    @torch.no_grad()
    def _evaluation(self, block: nn.Module, size: tuple[int, int], count: int = MANY) -> None:
        """Equal calls give equal outputs, each image's its own; nothing is kept from call to call, nor of the first one."""
        block.eval()
        before = state(block, copied=True)
        x, other = self._images(count, size), self._images(count, size)
        try:
            late = duplicate(block)
        except Exception:  # `_copies` says so
            late = block
        try:
            y = self._called(block, x, "evaluation")
        except Failed as error:
            raise Broken(f"does not take {count} images in evaluation mode ({error})") from error
        self._called(block, other, "evaluation")
        written = changed(before, state(block))
        self._fault(written, f"changes {listed(written)} in evaluation mode")
        if not deviation(y, self._called(block, x, "evaluation")) <= TOLERANCE:
            raise Broken(
                "differs between two calls with the same images in evaluation mode (chance, or a memory of earlier calls)"
            )
        self._called(late, other, "evaluation")
        if not deviation(y, self._called(late, x, "evaluation")) <= TOLERANCE:
            raise Broken(
                "gives other outputs when other images came first, in evaluation mode: it keeps something of them"
            )
        try:
            alone = torch.cat([self._called(block, image, "evaluation") for image in (x[:1], x[-1:])])
        except Failed as error:
            self._faults.append(f"does not take one image in evaluation mode ({error})")
            return
        ends = torch.cat([y[:1], y[-1:]])
        if alone.shape == ends.shape:
            sentence = "gives an image another output when others are in its batch, in evaluation mode"
            self._compared(ends, alone, sentence)

    def _training(self, block: nn.Module, size: tuple[int, int]) -> None:
        """A training pass changes the statistics of this block alone, and every parameter has a gradient."""
        bystander = self._build()
        block.train()
        weights = {name: p.detach().clone() for name, p in block.named_parameters()}
        buffers = state(bystander, copied=True)
        x = self._images(2, size).requires_grad_()
        try:
            y = self._called(block, x * 1, "training")
        except Failed as error:
            raise Broken(
                f"does not take two images of {size[0]} x {size[1]} in training mode ({error})"
            ) from error
        if tuple(y.shape) != (2, self._out, *(-(-n // self._stride) for n in size)):
            raise Broken(f"gives another shape in training mode: {tuple(y.shape)}")
        written = changed(weights, dict(block.named_parameters()))
        self._fault(written, f"writes to its parameters {listed(written)} when it is called")
        written = changed(buffers, state(bystander))
        self._fault(written, f"changes {listed(written)} of another block when it is trained")
        if not y.requires_grad:
            raise Broken(
                "gives an output without a gradient: neither it nor what stands before it would learn"
            )
        (y * torch.randn(y.shape, generator=self._generator)).sum().backward()
        self._fault(
            x.grad is None or not x.grad.any(),
            "lets no gradient through to its input: what stands before it would not learn",
        )
        unheard = [
            name
            for name, p in block.named_parameters()
            if p.requires_grad and (p.grad is None or not p.grad.any())
        ]
        self._note(unheard, f"has parameters that no gradient reaches: {listed(unheard)}")

    def _following(self, size: tuple[int, int]) -> None:
        """In evaluation mode it is what its weights say, also after they were others."""
        images = self._images(MANY, size)
        try:
            self._deviation = max(self._deviation, check_following(self._build, images))
        except CheckFailed as error:
            self._faults.append(str(error))
            return
        except Exception as error:
            raise Broken(f"cannot be evaluated, trained and evaluated again ({said(error)})") from error
        self._note(
            not follows_loaded_weights(self._build, images),
            "keeps what it computed from its weights in evaluation mode until train() is called: weights that are loaded into it "
            "before that are not used",
        )

    def _number_format(self, block: nn.Module, size: tuple[int, int]) -> None:
        """A training step as processors and GPUs with bfloat16 do it."""
        try:
            with torch.autocast("cpu", torch.bfloat16):
                y = block.train()(self._images(2, size))
            y.float().sum().backward()
        except Exception as error:
            self._notes.append(
                f"does not train under autocast in bfloat16 ({said(error)}): cast what it mixes"
            )

    @torch.no_grad()
    def _copies(self, size: tuple[int, int]) -> None:
        """A copy has everything of its own."""
        block, x = self._build().eval(), self._images(2, size)
        try:
            self._called(block, x, "evaluation")
            copied = duplicate(block)
        except Failed:
            return
        except Exception as error:
            self._faults.append(f"cannot be copied ({said(error)})")
            return
        y = self._called(copied, x, "evaluation")
        for parameter in block.parameters():
            parameter.add_(1.0) if parameter.is_floating_point() else None
        self._compared(
            y,
            self._called(copied, x, "evaluation"),
            "cannot be copied: a copy still reads the weights of the original",
        )

    def _without_values(self, size: tuple[int, int]) -> None:
        try:
            with torch.device("meta"), torch.no_grad():
                self._build().eval()(torch.empty(2, self._in, *size))
        except Exception as error:
            self._notes.append(f"does not run without values, on the meta device ({said(error)})")

    @torch.no_grad()
    def _memory_format(self, block: nn.Module, size: tuple[int, int]) -> None:
        x = self._images(2, size)
        y = self._called(block, x, "evaluation")
        try:
            again = self._called(block, x.to(memory_format=torch.channels_last), "evaluation")
        except Failed as error:
            self._notes.append(
                f"does not take maps in channels_last, in which trainings run ({error}): use reshape instead of view"
            )
            return
        self._compared(y, again, "gives another output for maps in channels_last")
