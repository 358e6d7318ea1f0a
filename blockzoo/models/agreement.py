"""A fast path against the plain way: inputs and statistics that could show a difference, and the comparison itself."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import torch
from torch import nn

from blockzoo.core.errors import CheckFailed

CONTINUOUS = frozenset(
    (
        torch.float16,
        torch.bfloat16,
        torch.float32,
        torch.float64,
        torch.complex32,
        torch.complex64,
        torch.complex128,
    )
)
"""Dtypes in which rounding shows, and numbers can be drawn."""
OF_PYTORCH = frozenset(("aten", "prim", "prims"))
"""Operations whose kernels keep to their memory where they are given NaN; torchvision's deformable convolution does not."""


def random_statistics(module: nn.Module, seed: int = 0) -> nn.Module:
    """A copy of `module` whose norms have random means, variances, weights and biases.

    Fresh batch norms are the identity in eval mode, so a wrong fold does not show on them; on these it does.
    """
    return draw_statistics(copy.deepcopy(module), seed)


def draw_statistics(module: nn.Module, seed: int = 0) -> nn.Module:
    """`random_statistics` of `module` itself, which is changed."""
    generator = torch.Generator().manual_seed(seed)

    def draw(tensor: torch.Tensor, low: float, high: float) -> None:
        values = torch.rand(tensor.shape, generator=generator) * (high - low) + low
        tensor.copy_(values.to(tensor))

    with torch.no_grad():
        for layer in module.modules():
            mean, variance = getattr(layer, "running_mean", None), getattr(layer, "running_var", None)
            if isinstance(mean, torch.Tensor) and isinstance(variance, torch.Tensor):
                draw(mean, -0.5, 0.5)
                draw(variance, 0.5, 2.0)
                for name, low, high in (("weight", 0.5, 1.5), ("bias", -0.5, 0.5)):
                    if isinstance(value := getattr(layer, name, None), torch.Tensor):
                        draw(value, low, high)
    return module


def draw_constants(module: nn.Module, seed: int = 0) -> nn.Module:
    """`module` itself with random numbers for its trainable parameters that are constant, as branches that start at 0 are."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad and is_constant(parameter):
                parameter.copy_(drawn_like(parameter, generator))
    return module


def is_constant(tensor: torch.Tensor) -> bool:
    """Does it hold one number throughout, in place of which another can be drawn?"""
    if not tensor.numel() or tensor.is_inference() or tensor.dtype not in CONTINUOUS:
        return False
    return bool((tensor == tensor.flatten()[0]).all())


def drawn_like(tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Random numbers: vectors as weights and variances of norms are, others as weights of layers."""
    dtype = torch.complex64 if tensor.is_complex() else torch.float32
    if tensor.ndim < 2:
        return torch.rand(tensor.shape, generator=generator, dtype=dtype) + 0.5
    scale: float = tensor[0].numel() ** 0.5
    return torch.randn(tensor.shape, generator=generator, dtype=dtype) / scale


def probes(example: torch.Tensor, seed: int = 0, *, special: bool = True) -> list[torch.Tensor]:
    """Inputs of `example`'s shape on which a wrong shortcut shows: of both signs, large, and with NaN and infinities.

    Args:
        example: floating point or complex, any shape.
        seed: of the values; the generator of the process is left alone.
        special: False leaves out the one with NaN and infinities.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.complex64 if example.is_complex() else torch.float32
    normal = torch.randn(example.shape, generator=generator, dtype=drawn).to(example)
    inputs = [normal, normal.flip(-1) * 100]
    if special and example.dtype in CONTINUOUS and example.numel() >= 3:
        broken = normal.clone().flatten()  # a flat view would put them into the first one too
        places = torch.linspace(0, broken.numel() - 1, 3).long()
        broken[places] = torch.tensor([float("nan"), float("inf"), float("-inf")]).to(broken)
        inputs.append(broken.view(example.shape))
    return inputs


def tensors(output: object) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of an output (a tensor, or tuples, lists, mappings and dataclasses of them), each with its path."""
    yield from _tensors(output, "output")


def _tensors(value: Any, path: str) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        yield path, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _tensors(part, f"{path}[{key!r}]")
    elif isinstance(value, (tuple, list)):
        for index, part in enumerate(value):
            yield from _tensors(part, f"{path}[{index}]")
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _tensors(getattr(value, field.name), f"{path}.{field.name}")


def deviation(plain: object, fast: object, *, types: bool = False) -> float:
    """The largest absolute difference of two outputs, relative to the largest finite value of `plain`'s tensor.

    Infinite where the outputs differ in structure, shape, or in where they are NaN or infinite; with `types` also where they
    differ in dtype or layout.
    """
    expected, got = dict(tensors(plain)), dict(tensors(fast))
    if list(expected) != list(got) or not expected:
        return float("inf")
    if types and [(t.dtype, t.layout) for t in expected.values()] != [
        (t.dtype, t.layout) for t in got.values()
    ]:
        return float("inf")
    return max(_deviation(expected[path], got[path]) for path in expected)


def _deviation(plain: torch.Tensor, fast: torch.Tensor) -> float:
    if plain.shape != fast.shape:
        return float("inf")
    complex_ = plain.is_complex() or fast.is_complex()
    plain, fast = _numbers(plain, complex_), _numbers(fast, complex_)
    finite = plain.isfinite()
    same = plain.isnan() == fast.isnan()
    same &= torch.where(plain.isinf(), plain == fast, ~fast.isinf())
    if not bool(same.all()):
        return float("inf")
    if not bool(finite.any()):
        return 0.0
    difference = (plain - fast)[finite].abs().max()
    return float(difference / plain[finite].abs().max().clamp_min(1e-12))


def _numbers(tensor: torch.Tensor, pairs: bool) -> torch.Tensor:
    """The values of a tensor of any dtype and layout in double precision; as real and imaginary part with `pairs`.

    Raises:
        CheckFailed: nobody can say what they are; names the format.
    """
    try:
        tensor = tensor.detach().cpu()
        if tensor.layout != torch.strided:
            tensor = tensor.to_dense()
        if tensor.is_quantized:
            tensor = tensor.dequantize()
        if pairs:
            return torch.view_as_real(tensor.to(torch.complex128).resolve_conj())
        return tensor.double()
    except (NotImplementedError, RuntimeError) as error:
        form = str(tensor.dtype) if tensor.layout == torch.strided else f"{tensor.dtype}, {tensor.layout}"
        raise CheckFailed(
            f"an output of {form} cannot be compared with the plain network's, so it is not used: convert it first"
        ) from error


def _whole_numbers_differ(plain: Any, fast: Any) -> bool:
    """Do integers and truth values differ at all? Places, classes and keys are right or wrong, however large they are."""
    for (_, one), (_, other) in zip(tensors(plain), tensors(fast), strict=True):
        whole = not (one.is_floating_point() or one.is_complex() or one.is_quantized)
        if whole and one.layout == torch.strided and not torch.equal(one.cpu(), other.cpu()):
            return True
    return False


MARGIN = 30
"""Times what a network moves by when its input is off by rounding: two right ways of computing it may be so far apart."""
SURE = 0.1
"""Of the largest output: a network that rounding moves by more, times `MARGIN`, hides what is wrong."""


def nudged(x: torch.Tensor) -> torch.Tensor:
    """An input that is off by four units in the last place."""
    return x * (1 + 4 * torch.finfo(x.dtype).eps)


def allowed(tolerance: float, difference: float, moved: Callable[[], float]) -> float | None:
    """What two right ways of computing a network may differ by; None where rounding moves it so much that nothing is shown.

    Args:
        tolerance: where rounding stays what it is.
        difference: their deviation, so that `moved` is only asked where it is needed.
        moved: the deviation of the network from itself where its input is `nudged`.
    """
    if difference <= tolerance or not difference < float("inf"):
        return tolerance
    own = MARGIN * moved()
    return max(tolerance, own) if own <= SURE else None


_listening: ContextVar[tuple[dict[str, float], ...]] = ContextVar("listening", default=())


@contextmanager
def what_checks_find() -> Iterator[dict[str, float]]:
    """The largest deviation that each check finds within, by name; for the records of what is made within."""
    deviations: dict[str, float] = {}
    token = _listening.set((*_listening.get(), deviations))
    try:
        yield deviations
    finally:
        _listening.reset(token)


def _from_one_seed(function: Callable[[torch.Tensor], Any], example: torch.Tensor) -> Any:
    """Its output for a copy of `example`; networks that draw random numbers draw the same each time. No generator is moved."""
    with torch.random.fork_rng(devices=[example.device] if example.is_cuda else []):
        torch.default_generator.manual_seed(0)
        if example.is_cuda:
            torch.cuda.manual_seed(0)
        return function(example.clone())


def outputs(function: Callable[[torch.Tensor], Any], inputs: list[torch.Tensor]) -> list[Any]:
    """What a network gives for each input now, for a comparison with what it gives later."""
    with torch.no_grad():
        return [_from_one_seed(function, example) for example in inputs]


def replayed(known: list[Any]) -> Callable[[torch.Tensor], Any]:
    """What gave these outputs, as `compare` calls it: the first for its first input, and so on."""
    answers = iter(known)
    return lambda _: next(answers)


def _moved(plain: Callable[[torch.Tensor], Any], example: torch.Tensor, wanted: Any) -> float:
    return deviation(wanted, _from_one_seed(plain, nudged(example)))


@dataclasses.dataclass(frozen=True)
class Claim:
    """That a fast way gives what the plain one does.

    Args:
        check: the name of the check, for the message.
        what: the operation or network that is checked, for the message.
        tolerance: of `deviation`.
    """

    check: str
    what: str
    tolerance: float


def compare(
    claim: Claim,
    plain: Callable[[torch.Tensor], Any],
    fast: Callable[[torch.Tensor], Any],
    inputs: list[torch.Tensor],
    *,
    again: bool = True,
    unsure: Sequence[int] = (),
) -> float:
    """The largest deviation of `fast` from `plain` over the inputs.

    Deep networks enlarge the rounding of every operation, so that two right ways may be far apart. Where more than the tolerance
    is found, `MARGIN` times what `plain` itself moves by is allowed when its input is off by rounding, up to `SURE`. Integers
    and truth values are equal, unless that moves them.

    Args:
        claim: what is checked, and how closely.
        plain: the way that is right.
        fast: the way that is used.
        inputs: each given to both, as copies.
        again: `plain` can be asked again, and gives what it gave.
        unsure: inputs that are passed over if `plain` moves by so much on them that they could show nothing.

    Raises:
        CheckFailed: it is larger than the tolerance, or outputs are of other types; the message names what is checked and the
            input.
    """
    worst, tolerance = 0.0, claim.tolerance
    with torch.no_grad():
        for index, example in enumerate(inputs):
            wanted = _from_one_seed(plain, example)
            got = _from_one_seed(fast, example)
            difference, limit = deviation(wanted, got, types=True), tolerance
            rounds = again and example.dtype in CONTINUOUS
            if difference < float("inf") and _whole_numbers_differ(wanted, got):
                moved = rounds and _whole_numbers_differ(wanted, _from_one_seed(plain, nudged(example)))
                # what rounding does not move has to be equal
                difference = difference if moved else float("inf")
            if rounds:
                at_most = allowed(tolerance, difference, partial(_moved, plain, example, wanted))
                if at_most is None and index in unsure:
                    continue
                limit = at_most or tolerance
            if not difference <= limit:
                raise CheckFailed(
                    f"{claim.what}: check {claim.check!r} failed: the result differs from the plain network's by "
                    f"{difference:.1e} (relative; allowed {limit:.0e}) on probe {index}, so it is not used"
                )
            worst = max(worst, difference)
    for deviations in _listening.get():
        deviations[claim.check] = max(worst, deviations.get(claim.check, 0.0))
    return worst
