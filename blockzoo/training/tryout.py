"""Two images through a network before it is trained: does it take them, what does it give, and does it follow its weights?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from blockzoo.core.errors import CheckFailed, UsageError
from blockzoo.core.spec import NetworkSpec
from blockzoo.models.following import check_following
from blockzoo.models.outputs import class_scores, main_output
from blockzoo.models.resolve import build_network
from blockzoo.models.standing import depends_on
from blockzoo.training.resolution import side_at
from blockzoo.training.steps import is_out_of_memory


def tried(
    spec: NetworkSpec,
    shape: tuple[int, int, int],
    classes: int,
    dtype: torch.dtype = torch.float32,
    ready: Callable[[nn.Module], nn.Module] = lambda network: network,
) -> str:
    """Which output is trained, what of the network takes no part in it, and what its evaluation depends on besides the image, as
    a sentence; "" where it gives one tensor, of all its parameters and the image alone.

    Args:
        spec: the network; another one is built, so that nothing is changed.
        shape: (C, H, W) of the images.
        classes: of the data.
        dtype: the dtype that it will be trained in, under autocast.
        ready: makes the network ready for that.

    Raises:
        UsageError: it does not take two such images in training and evaluation, in the dtype that it will be trained
            in too, does not give scores of classes, or keeps what it computed from earlier weights.
    """
    sentences = []
    with torch.random.fork_rng(devices=[]):
        network, images = build_network(spec, seed=0), torch.randn(2, *shape)
        for mode in (True, False):
            output = _run(network.train(mode), images, spec, mode)
            if output is None:
                return ""  # the training says what fits
            scores = class_scores(output, 2, classes, spec.subject)
            sentences.append(main_output(output, spec.subject).said)
            sentences.append(_untrained(network, scores) if mode else "")
        sentences += [f"it {sentence}" for sentence in depends_on(network, images)]
        if _is_of_this_package(network):
            return "; ".join(dict.fromkeys(filter(None, sentences)))
        if dtype != torch.float32:
            _step_in(dtype, ready(network).train(), images, spec)
        try:
            check_following(lambda: build_network(spec, seed=0), images)
        except CheckFailed as error:
            raise UsageError(f"{spec.subject} is not trained: it {error}") from error
        except Exception as error:
            if not is_out_of_memory(error):
                raise UsageError(
                    f"{spec.subject} cannot be evaluated, trained and evaluated again "
                    f"({type(error).__name__}: {error}{_where(network, error)})"
                ) from error
    return "; ".join(dict.fromkeys(filter(None, sentences)))


def check_smaller_images(
    spec: NetworkSpec, shape: tuple[int, int, int], classes: int, initial_scale: float
) -> None:
    """A network takes the images of the first epoch too, where these are smaller than the later ones.

    Args:
        spec: the network; another one is built.
        shape: (C, H, W) of the whole images.
        classes: of the data.
        initial_scale: side of the first epoch's images, as a share of their own.

    Raises:
        UsageError: it does not.
    """
    smaller = shape[0], side_at(initial_scale, shape[1]), side_at(initial_scale, shape[2])
    if smaller == shape:
        return
    try:
        tried(spec, smaller, classes)
    except UsageError as error:
        raise UsageError(f"initial_scale {initial_scale:g}: {error}; or leave out initial_scale") from error


def _is_of_this_package(network: nn.Module) -> bool:
    """All of it, the layers of torch aside: then the tests have seen it trained and evaluated."""
    return all(type(layer).__module__.startswith(("blockzoo.", "torch.nn.")) for layer in network.modules())


def _run(network: nn.Module, images: torch.Tensor, spec: NetworkSpec, training: bool, form: str = "") -> Any:
    """What it gives; None where it does not fit in memory."""
    try:
        return network(images)
    except UsageError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            return None
        what = "training" if training else "evaluation"
        remedy = (
            "; cast what it mixes, or choose a protocol of float32"
            if form
            else "; --image-size gives other ones"
        )
        raise UsageError(
            f"{spec.subject} does not take images of {' x '.join(map(str, images.shape[1:]))} in {what}{form} "
            f"({type(error).__name__}: {error}{_where(network, error)}){remedy}"
        ) from error


def _step_in(dtype: torch.dtype, network: nn.Module, images: torch.Tensor, spec: NetworkSpec) -> None:
    """A training step in another dtype, on a processor."""
    form = f" under autocast in {str(dtype).removeprefix('torch.')}"
    with torch.autocast("cpu", dtype):
        output = _run(network, images, spec, True, form)
    if output is None or not (scores := main_output(output).tensor).requires_grad:
        return
    try:
        scores.float().sum().backward()
    except Exception as error:
        if not is_out_of_memory(error):
            raise UsageError(
                f"{spec.subject} has no gradient{form} ({type(error).__name__}: {error}); cast what it mixes"
            ) from error


def _where(network: nn.Module, error: BaseException) -> str:
    """The innermost module of the network that raised, as a part of a sentence."""
    paths, place = {id(layer): path for path, layer in network.named_modules()}, ""
    step = error.__traceback__
    while step is not None:
        layer = step.tb_frame.f_locals.get("self")
        if paths.get(id(layer)):
            place = f", in {paths[id(layer)]} ({type(layer).__name__})"
        step = step.tb_next
    return place


def _untrained(network: nn.Module, scores: torch.Tensor) -> str:
    """How many parameters no gradient reaches."""
    wanted = [p for p in network.parameters() if p.requires_grad]
    if not scores.requires_grad:
        return "no parameter is trained" if wanted else ""
    try:
        scores.sum().backward()  # as it is trained: reentrant checkpoints take no other way
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise UsageError(
            f"{type(network).__name__} has no gradient ({reason}{_where(network, error)})"
        ) from error
    lacking = sum(p.numel() for p in wanted if p.grad is None)
    network.zero_grad()
    return f"{lacking:,} parameters take no part in it and are not trained" if lacking else ""
