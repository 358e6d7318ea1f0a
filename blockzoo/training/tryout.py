"""Two images through a network before it is trained: does it take them, and what does it give?"""

from __future__ import annotations

import torch
from torch import nn

from blockzoo.core.errors import RequestError
from blockzoo.core.spec import NetworkSpec
from blockzoo.models.outputs import class_scores, main_output
from blockzoo.models.resolve import build_network
from blockzoo.training.steps import is_out_of_memory


def tried(spec: NetworkSpec, shape: tuple[int, int, int], classes: int) -> str:
    """Which output is trained and what of the network takes no part in it, as a sentence; "" where it gives one tensor, of all
    its parameters.

    Args:
        spec: the network; another one is built, so that nothing is changed.
        shape: (C, H, W) of the images.
        classes: of the data.

    Raises:
        RequestError: it does not take two such images in training and evaluation, or does not give scores of classes.
    """
    said = []
    with torch.random.fork_rng(devices=[]):
        network = build_network(spec, seed=0)
        images = torch.randn(2, *shape)
        for mode in (True, False):
            try:
                output = network.train(mode)(images)
            except RequestError:
                raise
            except Exception as error:
                if is_out_of_memory(error):
                    return ""  # the training says what fits
                what = "training" if mode else "evaluation"
                raise RequestError(
                    f"{spec.subject} does not take images of {' x '.join(map(str, shape))} in {what} "
                    f"({type(error).__name__}: {error}); --image-size gives other ones"
                ) from error
            scores = class_scores(output, 2, classes, spec.subject)
            said.append(main_output(output, spec.subject).said)
            said.append(_untrained(network, scores) if mode else "")
    return "; ".join(dict.fromkeys(filter(None, said)))


def _untrained(network: nn.Module, scores: torch.Tensor) -> str:
    """How many parameters no gradient reaches."""
    wanted = [p for p in network.parameters() if p.requires_grad]
    if not scores.requires_grad:
        return "no parameter is trained" if wanted else ""
    found = torch.autograd.grad(scores.sum(), wanted, allow_unused=True)
    lacking = sum(p.numel() for p, gradient in zip(wanted, found, strict=True) if gradient is None)
    return f"{lacking:,} parameters take no part in it and are not trained" if lacking else ""
