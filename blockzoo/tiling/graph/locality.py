"""Which operations of a traced network are local in space, and what they read: each tileable operation says it of its calls."""

from __future__ import annotations

from blockzoo.tiling.contracts import PICTURE, Call, Locality, TileableOperation

DROPPING = {"dropout": 2, "dropout2d": 2, "alpha_dropout": 2, "feature_dropout": 2, "stochastic_depth": 3}
"""Functions that draw random numbers in training, and the place of the argument that says so."""
RANDOM = frozenset(
    "rand randn randint rand_like randn_like randint_like randperm bernoulli normal uniform multinomial poisson "
    "exponential geometric cauchy log_normal random binomial rrelu_with_noise".split()
)


def locality(call: Call, tileable: TileableOperation | None) -> Locality:
    """What an operation reads.

    Args:
        call: the operation as the trace shows it.
        tileable: what it is; None: nothing that is known.
    """
    if not call.shapes:
        return Locality("small", PICTURE if len(call.shape) == 4 and max(call.shape[2:]) > 1 else None)
    if draws(call):
        return call.whole(f"{call.what} draws random numbers")
    answer = None if tileable is None else tileable.locality(call)
    return answer or call.whole(f"{call.what} is not local")


def draws(call: Call) -> bool:
    """Does it draw random numbers? Layers are in evaluation mode."""
    if call.layer is not None:
        return False
    if call.what in DROPPING:
        return bool(call.kwargs.get("train", call.option("training", DROPPING[call.what], True)))
    return call.what in RANDOM


def of_no_image(given: Locality) -> Locality:
    """Of a value that does not hold one entry for each image, as patches that stand side by side as images: no map to be cut."""
    if given.kind == "small":
        return Locality("small")
    return Locality("whole", reason="its maps are not those of the images")
