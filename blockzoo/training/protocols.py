"""Named, versioned recipes. Results compare only within one of them; a changed recipe gets a new version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from blockzoo.core.contracts import PROTOCOLS


@dataclass(frozen=True)
class Protocol:
    """Everything about training that is not the network, the data or the seed."""

    name: str
    epochs: int
    batch_size: int
    lr: float
    optimizer: Literal["sgd", "adam"]
    schedule: Literal["one-cycle", "plateau", "cosine"]
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 0.0
    decay_all: bool = False  # decay norms and biases too
    label_smoothing: float = 0.0
    warmup_share: float = 0.25  # of all steps, one-cycle only
    plateau_factor: float = 0.5
    plateau_patience: int = 3
    crop_padding: Literal["zeros", "reflect"] = "zeros"
    rand_augment: tuple[int, int] | None = None  # operations per image, and their magnitude
    cutout: int = 0  # side of a square of every training image that is set to the mean
    tested: Literal["last", "best"] = (
        "last"  # the test split is read with these weights, best by validation accuracy
    )
    precision: Literal["fp32", "fastest"] = "fp32"  # fastest: bfloat16 autocast where the hardware has it
    channels_last: bool = False


@PROTOCOLS.register("published-v1")
def published_v1() -> Protocol:
    """Adam 1e-3, step size halved when the validation loss stalls for 3 epochs, batch 256, crop and flip, fp32.

    The recipe behind tables published earlier (50 epochs).
    """
    return Protocol("published-v1", epochs=50, batch_size=256, lr=1e-3, optimizer="adam", schedule="plateau")


@PROTOCOLS.register("fast-v1")
def fast_v1() -> Protocol:
    """SGD with Nesterov momentum, one-cycle, label smoothing .1, reflected crop and flip, bfloat16 where it pays.

    A fixed schedule, so nothing is chosen while training; weight decay on weights only, not on norms and biases.
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
        precision="fastest",
        channels_last=True,
    )


@PROTOCOLS.register("blox-v1")
def blox_v1() -> Protocol:
    """SGD .01 with momentum, cosine to 0 over 200 epochs, crop, flip, RandAugment 2x14, cutout 16, tested by best validation.

    The recipe of the published macro benchmark (Chau et al., Blox, NeurIPS 2022).
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


def get_protocol(name: str) -> Protocol:
    """The recipe of that name.

    Raises:
        UnknownNameError: with the known names.
    """
    protocol: Protocol = PROTOCOLS[name]()
    return protocol
