"""The whole way from a subject to a file: weights, quantisation on a dataset's images, accuracy before and after."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from blockzoo.core.errors import UsageError
from blockzoo.core.progress import working
from blockzoo.core.spec import NetworkSpec
from blockzoo.core.subject import Subject
from blockzoo.tiling.onnx.options import Quantising
from blockzoo.tiling.tags import IMAGENET_SIDE, Tiling, plain_subject, tiled_subject

if TYPE_CHECKING:
    import torch
    from torch import nn

    from blockzoo.data import ImageData
    from blockzoo.tiling.onnx.export import ExportReport
    from blockzoo.tiling.onnx.fuse import FusedReport, Fusing
    from blockzoo.tiling.onnx.quantise import Calibration

CLASSES = 1000
"""Outputs of a network for which no dataset is named."""


@dataclass(frozen=True)
class Accuracies:
    """Top-1 accuracies, as fractions.

    Args:
        images: how many.
        split: of which split.
        dataset: of which dataset.
        floats: of the float32 network.
        cut: by the same with its layers cut as in the file.
        file: by the file.
        environment: versions and hardware.
    """

    images: int
    split: str
    dataset: str
    floats: float
    cut: float
    file: float
    environment: dict[str, Any]

    def __str__(self) -> str:
        versions = ", ".join(f"{name} {self.environment[name]}" for name in ("onnxruntime", "torch"))
        return (
            f"accuracy {self.file:.4f} on {self.images:,} {self.split} images of {self.dataset}; the float32 network "
            f"{self.floats:.4f}, cut into the same tiles {self.cut:.4f}: tiles cost {100 * (self.floats - self.cut):.2f} points, "
            f"the type {100 * (self.cut - self.file):.2f} ({versions}, {self.environment['cpu']})"
        )


@dataclass(frozen=True)
class Deployment:
    """A network that becomes a file: what it is, what its weights are, on what it is calibrated and evaluated.

    Args:
        subject: block_resnet18, torchvision:NAME, timm:NAME, model:NAME, ...
        tiling: how its layers are cut before; the default: not at all.
        weights: checkpoint; None: drawn at random, which the file says.
        pretrained: in place of a checkpoint, torchvision's ImageNet weights.
        num_classes: outputs of the network; None: of the dataset, else 1,000, or a class of the user's own default.
        data: says what the images are; without one, 3 channels, or a class of the user's own default.
        image_size: side of the images where there is no dataset (224).
        quantising: to int8; None: floats.
        evaluate: a split to name the accuracies on; "" for none.

    Raises:
        UsageError: an option out of its range, or without what it needs.
    """

    subject: str
    tiling: Tiling = field(default_factory=Tiling)
    weights: str | Path | None = None
    pretrained: bool = False
    num_classes: int | None = None
    data: ImageData | None = None
    image_size: int | None = None
    quantising: Quantising | None = None
    evaluate: Literal["", "val", "test"] = ""

    def __post_init__(self) -> None:
        if self.data is None and (self.quantising is not None or self.evaluate):
            raise UsageError("--dtype int8 and --evaluate need images: name a dataset with --dataset")
        if self.weights is not None and self.pretrained:
            raise UsageError("--weights and --pretrained both name weights: give one of them")
        if self.evaluate and self.weights is None and not self.pretrained:
            raise UsageError("--evaluate needs weights: name them with --weights FILE, or use --pretrained")
        if self.data is not None and self.num_classes not in (None, self.data.num_classes) and self.evaluate:
            raise UsageError(
                f"--num-classes {self.num_classes}: {self.data.name} has {self.data.num_classes} classes to evaluate"
            )

    @property
    def image(self) -> tuple[int, int, int]:
        """What the network reads: (C, H, W)."""
        from blockzoo.models.own import channels_of

        if self.data is not None:
            return self.data.shape
        side = self.image_size or IMAGENET_SIDE
        return channels_of(plain_subject(self.subject)), side, side

    @property
    def classes(self) -> int | None:
        """How many outputs the network has; None: as many as a class of the user's own says."""
        from blockzoo.models.own import classes_of

        if self.data is not None:
            return self.num_classes or self.data.num_classes
        return classes_of(plain_subject(self.subject), self.num_classes, CLASSES)


@dataclass(frozen=True)
class Deployed:
    """A file that was written.

    Args:
        report: on the file.
        weights: what they are, in words; the file's metadata say it too.
        accuracies: None where no split was named.
    """

    report: ExportReport | FusedReport
    weights: str
    accuracies: Accuracies | None = None


def export_subject(
    deployment: Deployment,
    path: str | Path,
    *,
    fusing: Fusing | None = None,
    overwrite: bool = False,
    strict: bool = False,
) -> Deployed:
    """Write a network to an ONNX file.

    Args:
        deployment: the network, its weights, and the images on which it is calibrated and evaluated.
        path: of the file.
        fusing: what to fuse; None: layer by layer.
        overwrite: replace a file that is there.
        strict: refuse a file that makes something else of NaN and infinities than the network.

    Raises:
        CheckFailed, UsageError: see `export_onnx`.
    """
    from blockzoo.models.resolve import build_network
    from blockzoo.tiling.experiments.pretrained import pretrained_file
    from blockzoo.tiling.onnx.export import WantedFile, exported
    from blockzoo.tiling.onnx.files import free
    from blockzoo.training.weights import load_weights

    free(path, overwrite)
    name, (channels, side, _) = plain_subject(deployment.subject), deployment.image
    spec = NetworkSpec(
        tiled_subject(deployment.subject, deployment.tiling, side),
        out_dim=deployment.classes,
        in_channels=channels,
    )
    network = build_network(spec, seed=0).eval()
    weights = pretrained_file(name) if deployment.pretrained else deployment.weights
    if weights is not None:
        load_weights(network, weights)
    stated = weights_stated(name, weights, deployment.pretrained)
    example = _example(deployment)
    file = WantedFile(Path(path), overwrite, strict, {"subject": spec.subject, "weights": stated})
    with working("writing and checking the file"):
        report = exported(network, example, file, fusing, _calibration(deployment))
    if not deployment.evaluate or deployment.data is None:
        return Deployed(report, stated)
    models = [*_as_floats(network, example, report), Path(path)]
    return Deployed(report, stated, _accuracies(models, deployment.data, deployment.evaluate))


def _example(deployment: Deployment) -> torch.Tensor:
    """The first image for validation, or a random one: (1, C, H, W)."""
    import torch

    if deployment.data is not None:
        return torch.from_numpy(deployment.data.seen(deployment.data.val.images[:1]))
    channels, side, _ = deployment.image
    return torch.randn(1, channels, side, side, generator=torch.Generator().manual_seed(0))


def _calibration(deployment: Deployment) -> Calibration | None:
    """None: floats."""
    from blockzoo.data.images import some_of
    from blockzoo.tiling.onnx.quantise import Calibration

    how, data = deployment.quantising, deployment.data
    if how is None or data is None:
        return None
    return Calibration(
        data.seen(some_of(data.train, how.calibration_images).images), how.calibration, how.weight_bits
    )


def _as_floats(network: nn.Module, example: torch.Tensor, report: ExportReport | FusedReport) -> list[Any]:
    """The float32 network as a model, and the same with its layers cut as in the file."""
    from blockzoo.tiling.onnx.export import onnx_layers
    from blockzoo.tiling.onnx.fuse import Layers

    layers = onnx_layers(network, example)
    cuts = getattr(report, "cuts", layers.cuts)
    return [layers.one_by_one(), Layers(layers.model, cuts).one_by_one()]


def weights_stated(subject: str, path: str | Path | None, pretrained: bool) -> str:
    """What a network's weights are, in words."""
    from blockzoo.training.weights import digest_of

    if path is None:
        loads = (
            "" if Subject.parse(subject).prefix != "code" else " by the class itself, unless it loads others"
        )
        return f"DRAWN AT RANDOM{loads} (seed 0), not trained: name some with --weights FILE or --pretrained"
    source = "torchvision IMAGENET1K_V1, " if pretrained else ""
    return f"{source}{Path(path).name} (sha256 {digest_of(path)}...)"


def _accuracies(models: list[Any], data: ImageData, split: str) -> Accuracies:
    from blockzoo.core.environment import environment
    from blockzoo.tiling.onnx.files import needed
    from blockzoo.tiling.onnx.session import accuracy

    images, labels = data.test if split == "test" else data.val
    floats, cut, file = (accuracy(model, images, labels, data.seen) for model in models)
    versions = environment() | {"onnxruntime": needed("onnxruntime").__version__}
    return Accuracies(len(labels), split, data.name, floats, cut, file, versions)
