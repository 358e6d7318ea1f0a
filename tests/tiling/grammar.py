"""Networks drawn by hypothesis from a grammar: convolutions, norms, activations, views, writes in place, branches, pools,
upsampling, concatenations, and outputs of every structure. A network is a program in Python; it prints as one.

Each statement is tried on tensors without values while it is drawn: what PyTorch itself refuses is left out.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

Drawn = TypeVar("Drawn")

LARGEST_SIDE, MOST_CHANNELS = 40, 16
NAMES: dict[str, Any] = {
    "torch": torch,
    "nn": nn,
    "F": F,
    "Outputs": collections.namedtuple("Outputs", "first second"),
}


@dataclass(frozen=True)
class Program:
    """A network of one input (1, 3, H, W).

    Args:
        layers: what each of `self.l0`, `self.l1` ... is.
        lines: of the forward pass.
        result: what it returns.
        size: H and W.
    """

    layers: tuple[str, ...]
    lines: tuple[str, ...]
    result: str
    size: tuple[int, int]

    def __str__(self) -> str:
        made = [f"        self.l{number} = {text}" for number, text in enumerate(self.layers)]
        head = ["class Net(nn.Module):", "    def __init__(self):", "        super().__init__()", *made, ""]
        body = ["    def forward(self, x):", *(f"        {line}" for line in self.lines)]
        shape = f"# x: (1, 3, {self.size[0]}, {self.size[1]})"
        return "\n".join([shape, *head, *body, f"        return {self.result}"])

    __repr__ = __str__

    def build(self, seed: int = 0) -> nn.Module:
        """In evaluation mode, with weights of PyTorch's own initialisation."""
        names = dict(NAMES)
        exec(str(self), names)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network: nn.Module = names["Net"]()
        return network.eval()


class Writer:
    """A program while it is drawn.

    Args:
        draw: from hypothesis.
        size: H and W of its input.
    """

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any], size: tuple[int, int]) -> None:
        self._draw = draw
        self.values: dict[str, torch.Tensor] = {"x": torch.empty(1, 3, *size, device="meta")}
        self.layers: list[str] = []
        self.lines: list[str] = []
        self._module = nn.Module()

    def one_of(self, *choices: Drawn) -> Drawn:
        drawn: Drawn = self._draw(st.sampled_from(choices))
        return drawn

    def number(self, low: int, high: int) -> int:
        drawn: int = self._draw(st.integers(low, max(low, high)))
        return drawn

    def map(self) -> str:
        """A value with rows and columns, one of the last ones as a rule."""
        names = [name for name, value in self.values.items() if value.ndim == 4]
        return names[-1 - min(self.one_of(0, 0, 0, 1, 2, 5), len(names) - 1)]

    def channels(self, name: str) -> int:
        return self.values[name].shape[1]

    def like(self, name: str, *, channels: bool = True) -> str:
        """A value of the same rows and columns, and of as many channels; perhaps the same."""
        shape = self.values[name].shape
        alike = [
            other
            for other, value in self.values.items()
            if value.ndim == 4 and value.shape[2:] == shape[2:] and (not channels or value.shape == shape)
        ]
        return self.one_of(*reversed(alike))

    def share(self, one: str, other: str) -> bool:
        """Do two values lie in one memory?"""
        storages = [self.values[name].untyped_storage()._cdata for name in (one, other)]
        return storages[0] == storages[1]

    def write(self, expression: str, *layers: str, into: str | None = "") -> None:
        """Add `v = expression`; `{0}`, `{1}` in it are new layers. Not where PyTorch refuses it, or it makes something large.

        Args:
            into: names before the `=`; "" for a new one; None for a statement that gives none.
        """
        count, old = len(self.layers), dict(self.values)
        if into == "":
            into = f"v{len(self.values)}"
        text = expression.format(*(f"self.l{count + place}" for place in range(len(layers))))
        line = text if into is None else f"{into} = {text}"
        try:
            with torch.device("meta"), torch.no_grad():
                for place, layer in enumerate(layers):
                    setattr(self._module, f"l{count + place}", eval(layer, NAMES))
                self._module.eval()
                exec(line, {**NAMES, "self": self._module}, self.values)
            allowed = all(self._is_small(value) for value in self.values.values())
        except (RuntimeError, ValueError, IndexError, TypeError, AssertionError):
            allowed = False
        if not allowed:
            self.values = old
            return
        self.layers += layers
        self.lines.append(line)

    def _is_small(self, value: torch.Tensor) -> bool:
        if value.numel() == 0 or not value.is_floating_point():
            return False
        return value.ndim != 4 or (max(value.shape[2:]) <= LARGEST_SIDE and value.shape[1] <= MOST_CHANNELS)

    def program(self, result: str, size: tuple[int, int]) -> Program:
        return Program(tuple(self.layers), tuple(self.lines), result, size)


def convolution(w: Writer) -> None:
    source = w.map()
    channels = w.channels(source)
    groups = w.one_of(1, 1, 1, channels, 2 if channels % 2 == 0 else 1)
    kernel: Any = w.one_of(3, 3, 1, 5, (1, 3), 2)
    options = {
        "stride": w.one_of(1, 1, 1, 2, (2, 1)),
        "padding": w.one_of(1, 1, 0, 2, (1, 0), "'same'"),
        "dilation": w.one_of(1, 1, 1, 2),
        "groups": groups,
        "bias": w.one_of(True, False),
        "padding_mode": w.one_of("'zeros'", "'zeros'", "'zeros'", "'reflect'", "'replicate'", "'circular'"),
    }
    usual = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True, "padding_mode": "'zeros'"}
    told = "".join(f", {name}={value}" for name, value in options.items() if value != usual[name])
    outputs = groups * w.number(1, max(1, 8 // groups))
    w.write(f"{{0}}({source})", f"nn.Conv2d({channels}, {outputs}, {kernel}{told})")


def convolution_and_norm(w: Writer) -> None:
    before = len(w.values)
    convolution(w)
    if len(w.values) > before:
        name = list(w.values)[-1]
        w.write(f"{{0}}({name})", f"nn.BatchNorm2d({w.channels(name)})")


def transposed_convolution(w: Writer) -> None:
    source = w.map()
    channels = w.channels(source)
    stride, kernel = w.one_of(2, 2, 1, 3), w.one_of(2, 3, 4)
    options = f"{kernel}, {stride}, {w.one_of(0, 1)}, output_padding={w.one_of(0, 0, 1)}, dilation={w.one_of(1, 1, 2)}"
    w.write(f"{{0}}({source})", f"nn.ConvTranspose2d({channels}, {w.number(1, 6)}, {options})")


def convolution_of_functions(w: Writer) -> None:
    """Of a layer's weight, or the layer once more."""
    source = w.map()
    convolutions = [number for number, text in enumerate(w.layers) if text.startswith("nn.Conv2d")]
    if convolutions:
        layer = f"self.l{w.one_of(*convolutions)}"
        w.write(w.one_of(f"{layer}({source})", f"F.conv2d({source}, {layer}.weight, padding=1)"))


def norm(w: Writer) -> None:
    source = w.map()
    c = w.channels(source)
    layer = w.one_of(
        f"nn.BatchNorm2d({c})",
        f"nn.BatchNorm2d({c})",
        f"nn.BatchNorm2d({c}, affine=False)",
        f"nn.BatchNorm2d({c}, track_running_stats=False)",
        f"nn.GroupNorm(1, {c})",
        f"nn.InstanceNorm2d({c}, affine=True)",
        f"nn.InstanceNorm2d({c}, track_running_stats=True)",
        "nn.LocalResponseNorm(3)",
        "F.normalize",
        "F.layer_norm",
    )
    if layer == "F.normalize":
        w.write(f"F.normalize({source}, dim={w.one_of(1, 2)})")
    elif layer == "F.layer_norm":
        w.write(f"F.layer_norm({source}.permute(0, 2, 3, 1), ({c},)).permute(0, 3, 1, 2)")
    else:
        w.write(f"{{0}}({source})", layer)


def activation(w: Writer) -> None:
    v = w.map()
    kind = w.one_of("layer", "function", "in place")
    if kind == "layer":
        layer = w.one_of(
            "nn.ReLU()",
            "nn.ReLU(inplace=True)",
            "nn.ReLU6(inplace=True)",
            "nn.Hardswish()",
            "nn.SiLU(inplace=True)",
            "nn.LeakyReLU(0.2, inplace=True)",
            "nn.GELU()",
            "nn.Mish()",
            "nn.ELU(inplace=True)",
            f"nn.PReLU({w.channels(v)})",
            "nn.Softmax(1)",
            "nn.Softmax2d()",
            "nn.Identity()",
            "nn.Dropout2d()",
        )
        w.write(f"{{0}}({v})", layer)
    elif kind == "function":
        w.write(
            w.one_of(
                f"F.relu({v})",
                f"{v}.sigmoid()",
                f"{v}.clamp(-1, 1)",
                f"torch.where({v} > 0, {v}, 0.1 * {v})",
                f"{v}.softmax({w.one_of(1, 2, 3)})",
                f"1 - {v}",
                f"{v} / ({v}.abs() + 1)",
                f"{v}.cumsum({w.one_of(1, 3)})",
                f"F.glu({v}, 1)",
                f"F.hardtanh({v}, inplace=True)",
                f"{v}.pow(2)",
                f"torch.tanh({v})",
            )
        )
    else:
        w.write(
            w.one_of(
                f"F.relu_({v})",
                f"{v}.mul_(2)",
                f"{v} *= 0.5",
                f"{v} += 1",
                f"{v}.clamp_(min=0)",
                f"{v}.sigmoid_()",
                f"{v}.neg_()",
                f"F.leaky_relu_({v}, 0.1)",
            ),
            into=None,
        )


def view(w: Writer) -> None:
    v = w.map()
    c = w.channels(v)
    cut = w.number(1, c - 1)
    n = len(w.values)
    pairs = (
        f"v{n}, v{n + 1} = {v}.chunk(2, 1)",
        f"v{n}, v{n + 1} = torch.split({v}, [{cut}, {c - cut}], 1)",
        f"v{n}, v{n + 1} = {v}[:, :{cut}], {v}[:, {cut}:]",
    )
    singles = (
        f"{v}[:, {cut}:]",
        f"{v}[:, ::2]",
        f"{v}.narrow(1, 0, {cut})",
        f"{v}[:, [0, {c - 1}]]",
        f"{v}[:, :, 1:-1, 1:]",
        f"{v}[..., ::2, 1::2]",
        f"{v}.flip({w.one_of(1, 2, 3)})",
        f"{v}.transpose(2, 3)",
        f"{v}.roll(1, {w.one_of(1, 2, 3)})",
        f"{v}.reshape(1, 2, {c // 2}, *{v}.shape[2:]).transpose(1, 2).flatten(1, 2)",
        f"{v}.unflatten(1, (2, {c // 2})).sum(2)",
        f"{v}.clone()",
        f"{v}.contiguous()",
        f"{v}.view_as({v})",
        f"{v}.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)",
    )
    chosen = w.one_of(*pairs, *pairs, *singles)
    w.write(chosen.split(" = ")[-1], into=chosen.split(" = ")[0] if " = " in chosen else "")


def write_in_place(w: Writer) -> None:
    """Through the value itself or a view of it; what is read elsewhere in the same memory is copied, or PyTorch gives this
    or that.
    """
    v = w.map()
    other, c = w.like(v), w.channels(v)
    shifted = f"{other}.clone()" if w.share(v, other) else other
    other = shifted if other != v else v
    cut = w.number(1, c - 1)
    w.write(
        w.one_of(
            f"{v}[:, :{cut}] += {other}[:, :{cut}]",
            f"{v}[:, {cut}:] = {other}[:, {cut}:] * 2",
            f"{v}[:, ::2] *= 2",
            f"{v}.chunk(2, 1)[1].relu_()",
            f"{v}[:, :, 1:] += {shifted}[:, :, :-1]",
            f"{v}[..., :2] = 0",
            f"{v}[:, 0] = {shifted}[:, -1]",
            f"{v}.add_({other}, alpha=2)",
            f"{v}.copy_({other})",
            f"{v}[:, 0].fill_(1)",
            f"F.relu({v}[:, :{cut}], inplace=True)",
            f"{v}.narrow(1, 0, 1).mul_(3)",
            f"{v}.permute(0, 2, 3, 1)[..., 0].add_(1)",
            f"torch.add({v}, {other}, out={v})",
            f"{v} += {other}",
            f"{v} *= {other}",
            f"{v}[:] = {other}.flip(1)",
        ),
        into=None,
    )


def branch(w: Writer) -> None:
    """Two values together."""
    v = w.map()
    other, beside, c = w.like(v), w.like(v, channels=False), w.channels(v)
    rows, columns = w.values[v].shape[2:]
    buffers = (f"1, {c}, 1, 1", f"1, {c}, {rows}, {columns}", f"{c}, 1, 1", f"{columns},")
    joined = (
        f"torch.cat([{v}, {beside}], 1)",
        f"torch.cat([{beside}, {v}, {beside}], dim=1)",
        f"torch.cat([{v}, torch.ones_like({v}[:, :1])], 1)",
        f"torch.cat([{v}, {other}], {w.one_of(2, 3)})",
        f"torch.stack([{v}, {other}], 1).sum(1)",
    )
    summed = (
        f"{v} + {other}",
        f"{v} * {other}",
        f"{v} - 2 * {other}",
        f"torch.maximum({v}, {other})",
        f"torch.add({v}, {other}, alpha=2)",
        f"sum([{v}, {other}])",
        f"torch.lerp({v}, {other}, 0.25)",
        f"{v} * {other}.mean((2, 3), keepdim=True)",
        f"{v} * {other}.mean(1, keepdim=True)",
    )
    if w.number(0, 4) == 4:
        w.write(f"{v} {w.one_of('+', '*')} {{0}}", f"nn.Buffer(torch.randn({w.one_of(*buffers)}))")
    else:
        w.write(w.one_of(*joined, *summed, *summed))


def pool(w: Writer) -> None:
    v = w.map()
    ceil = w.one_of("", ", ceil_mode=True")
    layers = (
        f"nn.MaxPool2d({w.one_of('2', '3, 2, 1', '3, 1, 1', '3, 2', '(1, 2)', '2, 2, 0, 2')}{ceil})",
        f"nn.AvgPool2d({w.one_of('2', '3, 2, 1', '3, 1, 1', '3, 2')}{ceil}{w.one_of('', ', count_include_pad=False')})",
        f"nn.AdaptiveAvgPool2d({w.one_of('1', '(2, 3)', '(1, None)')})",
        f"nn.AdaptiveMaxPool2d({w.one_of('1', '2')})",
        "nn.LPPool2d(2, 2)",
    )
    functions = (
        f"F.max_pool2d({v}, 2)",
        f"F.avg_pool2d({v}, 3, 2, 1)",
        f"{v}.mean((2, 3), keepdim=True)",
        f"{v}.mean(dim={w.one_of(1, 2, 3)}, keepdim=True)",
        f"{v}.amax({w.one_of(1, (2, 3))}, keepdim=True)",
        f"F.adaptive_avg_pool2d({v}, 1)",
        f"{v}.std((2, 3), keepdim=True)",
    )
    if w.one_of(True, False):
        w.write(f"{{0}}({v})", w.one_of(layers[0], *layers))
    else:
        w.write(w.one_of(*functions))


def upsampling(w: Writer) -> None:
    v = w.map()
    mode = w.one_of("nearest", "bilinear", "bicubic", "nearest-exact", "area")
    smooth = mode in ("bilinear", "bicubic")
    corners = w.one_of("", ", align_corners=True") if smooth else ""
    antialias = w.one_of("", "", ", antialias=True") if smooth else ""
    recompute = w.one_of("", "", ", recompute_scale_factor=True")
    other, scale = w.map(), w.one_of(2, 1.5, (2, 1), 0.5, 1.3)
    w.write(
        w.one_of(
            f"F.interpolate({v}, scale_factor={scale}, mode='{mode}'{corners}{antialias}{recompute})",
            f"F.interpolate({v}, size={other}.shape[2:], mode='{mode}'{corners}{antialias})",
            f"F.interpolate({v}, size=(7, 11), mode='{mode}'{corners})",
            f"F.pixel_shuffle({v}, 2)",
            f"F.pixel_unshuffle({v}, 2)",
            f"{v}.repeat_interleave(2, 2).repeat_interleave(2, 3)",
        )
    )


def context(w: Writer) -> None:
    """What the whole map says, as a map again, and beside the map it is of."""
    v = w.map()
    c, (height, width) = w.channels(v), w.values[v].shape[2:]
    small = w.one_of(
        f"F.adaptive_avg_pool2d({v}, 1)", f"{v}.amax((2, 3), keepdim=True)", f"{v}.mean(2, keepdim=True)"
    )
    before = len(w.values)
    w.write(f"{{0}}({small})", f"nn.Conv2d({c}, {c}, 1)")
    if len(w.values) == before:
        return
    summary = list(w.values)[-1]
    made = w.one_of(
        f"F.interpolate({summary}, size=({height}, {width}), mode='bilinear')",
        f"F.interpolate({summary}, size=({height}, {width}))",
        f"{summary}.expand(-1, -1, {height}, {width})",
        f"{summary}.expand_as({v})",
    )
    w.write(w.one_of(f"torch.cat([{v}, {made}], 1)", f"{v} + {made}", f"{made} * {v}", made))


def padding(w: Writer) -> None:
    v = w.map()
    mode = w.one_of("constant", "constant", "reflect", "replicate", "circular")
    value = w.one_of("", ", value=0.5") if mode == "constant" else ""
    sides = w.one_of((1, 0, 2, 1), (1, 1, 1, 1), (0, 1), (-1, 1, 0, -1), (0, 0, 0, 0, 0, 1))
    w.write(f"F.pad({v}, {sides}, mode='{mode}'{value})")


STATEMENTS = (
    convolution,
    convolution,
    convolution_and_norm,
    convolution_and_norm,
    convolution_of_functions,
    transposed_convolution,
    norm,
    activation,
    activation,
    view,
    view,
    write_in_place,
    write_in_place,
    branch,
    branch,
    pool,
    upsampling,
    context,
    padding,
)


def head(w: Writer) -> None:
    v = w.map()
    w.write(
        w.one_of(f"{v}.mean((2, 3))", f"{{0}}({v}.mean((-2, -1)))", f"{{0}}({v}.amax((2, 3)).flatten(1))"),
        f"nn.Linear({w.channels(v)}, 5)",
    )


def returned(w: Writer) -> str:
    """One value or several, in a structure."""
    names = list(w.values)[1:]
    last = names[-1]
    other = w.one_of(*reversed(names))
    return w.one_of(
        last,
        last,
        last,
        f"({other}, {last})",
        f"[{last}, {other}]",
        f"{{'out': {last}, 'aux': {other}}}",
        f"Outputs({last}, {other})",
        f"{{'out': {last}, 'more': ({other}, None, [x])}}",
    )


@st.composite
def programs(
    draw: Callable[[st.SearchStrategy[Any]], Any], most: int = 9, *, several: bool = True
) -> Program:
    """Programs of up to `most` statements, of at least one.

    Args:
        several: outputs, in any structure; False: one tensor.
    """
    size = draw(st.sampled_from([(12, 10), (9, 13), (16, 16), (8, 21)]))
    w = Writer(draw, size)
    convolution(w)
    for statement in draw(st.lists(st.sampled_from(STATEMENTS), min_size=1, max_size=most)):
        statement(w)
    if draw(st.booleans()):
        head(w)
    if len(w.values) == 1:
        w.write("x * 2")
    return w.program(returned(w) if several else list(w.values)[-1], size)


def the_same_each_time(count: int) -> settings:
    """Of a test of so many programs: they follow from the grammar alone, and may take their time."""
    return settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[*HealthCheck],
    )
