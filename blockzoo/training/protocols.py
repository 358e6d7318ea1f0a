"""Named, versioned recipes. Results compare only within one of them; a changed recipe gets a new version."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from blockzoo.core.contracts import PROTOCOLS
from blockzoo.core.errors import UsageError
from blockzoo.core.spec import TrialSpec

if TYPE_CHECKING:
    from blockzoo.data import ImageData

OF_SGD = ("momentum", "weight_decay", "milestones", "muon_lr")
"""Settings of a trial that override those of a protocol with SGD,"""
OF_ANY = ("warmup_share", "ema_decay", "initial_scale", "flip_average")
"""and those that override any protocol's."""


@dataclass(frozen=True)
class Protocol:
    """Everything about training that is not the network, the data or the seed."""

    name: str
    epochs: int
    batch_size: int
    lr: float
    optimizer: Literal["sgd", "adam"]
    schedule: Literal["one-cycle", "plateau", "cosine", "step"]
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 0.0
    decay_all: bool = False  # decay norms and biases too
    label_smoothing: float = 0.0
    warmup_share: float = 0.25  # of all steps, one-cycle only
    ema_decay: float | None = None  # of the average of the weights that is validated and tested
    initial_scale: float = 1.0  # side of the training images in the first epoch, as a share of their own
    muon_lr: float | None = None  # of Muon for hidden layers, the others by SGD with lr
    flip_average: bool = (
        False  # validated and tested with the mean of an image's logits and its mirror image's
    )
    milestones: tuple[int, ...] = ()  # epochs after which the learning rate falls, step only
    step_factor: float = 0.1  # by how much
    plateau_factor: float = 0.5
    plateau_patience: int = 3
    crop_padding: Literal["zeros", "reflect"] = "zeros"
    rand_augment: tuple[int, int] | None = None  # operations per image, and their magnitude
    cutout: int = 0  # side of a square of every training image that is set to the mean
    tested: Literal["last", "best"] = (
        "last"  # the test split is read with these weights, best by validation accuracy
    )
    dtype: Literal["float32", "bfloat16", "fastest"] = (
        "float32"  # fastest: bfloat16 where the hardware has it
    )
    channels_last: bool = False


@PROTOCOLS.register("published-v1")
def published_v1() -> Protocol:
    """Adam 1e-3, learning rate halved when the validation loss stalls for 3 epochs, batch 256, crop and flip, fp32.

    The recipe behind tables published earlier (50 epochs).

    Source: Kingma and Ba, Adam: A Method for Stochastic Optimization, ICLR 2015, arXiv:1412.6980.
    """
    return Protocol("published-v1", epochs=50, batch_size=256, lr=1e-3, optimizer="adam", schedule="plateau")


@PROTOCOLS.register("fast-v1")
def fast_v1() -> Protocol:
    """SGD with Nesterov momentum, one-cycle, label smoothing 0.1, reflected crop and flip, bfloat16 where it pays.

    A fixed schedule, so nothing is chosen while training; weight decay on weights only, not on norms and biases.

    Source: Smith and Topin, Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates, 2018,
    arXiv:1708.07120; Szegedy et al., Rethinking the Inception Architecture for Computer Vision, CVPR 2016, arXiv:1512.00567
    (label smoothing).
    """
    return Protocol(
        "fast-v1",
        epochs=10,
        batch_size=256,
        lr=0.4,
        optimizer="sgd",
        schedule="one-cycle",
        weight_decay=5e-4,
        label_smoothing=0.1,
        crop_padding="reflect",
        dtype="fastest",
        channels_last=True,
    )


@PROTOCOLS.register("blox-v1")
def blox_v1() -> Protocol:
    """SGD 0.01 with momentum, cosine to 0 over 200 epochs, crop, flip, RandAugment 2x14, cutout 16, tested by best validation.

    The recipe of the published macro benchmark.

    Source: Chau et al., BLOX: Macro Neural Architecture Search Benchmark and Algorithms, NeurIPS 2022, arXiv:2210.07271; Cubuk
    et al., RandAugment: Practical Automated Data Augmentation with a Reduced Search Space, NeurIPS 2020, arXiv:1909.13719;
    DeVries and Taylor, Improved Regularization of Convolutional Neural Networks with Cutout, 2017, arXiv:1708.04552.
    """
    return Protocol(
        "blox-v1",
        epochs=200,
        batch_size=256,
        lr=0.01,
        optimizer="sgd",
        schedule="cosine",
        nesterov=False,
        weight_decay=5e-4,
        decay_all=True,
        rand_augment=(2, 14),
        cutout=16,
        tested="best",
    )


@PROTOCOLS.register("step-v1")
def step_v1() -> Protocol:
    """SGD 0.1 with momentum 0.9, a tenth of it after epochs 30 and 60 of 90, batch 128, decay 1e-4 of everything, crop, flip.

    The recipe of torchvision's and most published ImageNet networks, and of block convolution's.
    """
    return Protocol(
        "step-v1",
        epochs=90,
        batch_size=128,
        lr=0.1,
        optimizer="sgd",
        schedule="step",
        milestones=(30, 60),
        nesterov=False,
        weight_decay=1e-4,
        decay_all=True,
        dtype="fastest",
        channels_last=True,
    )


@PROTOCOLS.register("cosine-v1")
def cosine_v1() -> Protocol:
    """As step-v1, but the learning rate falls along a cosine to 0.

    Source: Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, ICLR 2017, arXiv:1608.03983.
    """
    return replace(step_v1(), name="cosine-v1", schedule="cosine", milestones=())


def protocol_of(spec: TrialSpec) -> Protocol:
    """The recipe of a trial: the named one, with what the trial overrides in it.

    Raises:
        UsageError: it overrides what the recipe has not.
    """
    protocol = get_protocol(spec.protocol)
    if spec.milestones is not None and protocol.schedule != "step":
        raise UsageError(f"protocol {protocol.name} has no milestones; step-v1 has")
    if spec.warmup_share is not None and protocol.schedule != "one-cycle":
        raise UsageError(f"protocol {protocol.name} has no warmup_share; fast-v1 has")
    options = {name: getattr(spec, name) for name in (*OF_SGD, *OF_ANY)}
    overrides = {name: value for name, value in options.items() if value is not None}
    if protocol.optimizer != "sgd" and (lacking := [name for name in OF_SGD if name in overrides]):
        raise UsageError(
            f"protocol {protocol.name} takes no {', '.join(lacking)}: choose one with SGD, step-v1"
        )
    if spec.train_dtype:
        overrides["dtype"] = spec.train_dtype
    return replace(protocol, **overrides)


def check_mirrored(protocol: Protocol, data: ImageData) -> None:
    """A recipe that averages over mirror images is for images whose mirror images are of their class.

    Raises:
        UsageError: they are not.
    """
    if protocol.flip_average and not data.flip:
        raise UsageError(f"mirror images of {data.name} are of other classes: leave out flip_average")


def get_protocol(name: str) -> Protocol:
    """The recipe of that name.

    Raises:
        UnknownNameError: with the known names.
        UsageError: what bears it makes no recipe.
    """
    protocol = PROTOCOLS[name]()
    if not isinstance(protocol, Protocol):
        raise UsageError(f"protocol {name!r}: it makes a {type(protocol).__name__}, not a Protocol")
    return protocol
