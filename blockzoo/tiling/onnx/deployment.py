"""The whole way from a subject to a file: weights, quantisation on a dataset's images, accuracy before and after."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from blockzoo.core.errors import RequestError
from blockzoo.core.spec import NetworkSpec
from blockzoo.core.subject import Subject
from blockzoo.tiling.tags import IMAGENET_SIDE, Tiling, plain_subject, tiled_subject

if TYPE_CHECKING:
    from blockzoo.data import ImageData
    from blockzoo.tiling.onnx.export import ExportReport
    from blockzoo.tiling.onnx.fuse import FusedReport, Fusing

CLASSES = 1000
"""Outputs of a network for which no dataset is named."""


@dataclass(frozen=True)
class Accuracies:
    """Shares of images that are named rightly.

    Args:
        images: how many.
        split: of which split.
        dataset: of which dataset.
        floats: by the network of floats.
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
            f"accuracy {self.file:.4f} on {self.images:,} {self.split} images of {self.dataset}; the network of floats "
            f"{self.floats:.4f}, cut into the same tiles {self.cut:.4f}: tiles cost {100 * (self.floats - self.cut):.2f} points, "
            f"the type {100 * (self.cut - self.file):.2f} ({versions}, {self.environment['cpu']})"
        )


def export_subject(
    subject: str,
    path: str | Path,
    *,
    fusing: Fusing | None = None,
    tiling: Tiling | None = None,
    weights: str | Path | None = None,
    pretrained: bool = False,
    num_classes: int | None = None,
    data: ImageData | None = None,
    image_size: int | None = None,
    quantise: bool = False,
    calibration_images: int = 256,
    method: str = "minmax",
    weight_bits: int = 8,
    evaluate: Literal["", "val", "test"] = "",
    overwrite: bool = False,
) -> tuple[ExportReport | FusedReport, str, Accuracies | None]:
    """Write a network to an ONNX file: what it is, what its weights are in words (the file's metadata say it too), accuracies.

    Args:
        subject: block_resnet18, torchvision:NAME, timm:NAME, model:NAME, ...
        path: of the file.
        fusing: what to fuse; None: layer by layer.
        tiling: how its layers are cut before; None: not at all.
        weights: checkpoint; None: drawn at random, which the file says.
        pretrained: in place of a checkpoint, torchvision's ImageNet weights.
        num_classes: outputs of the network; None: of the dataset, else 1,000, or a class of the user's own default.
        data: says what the images are; without one, 3 channels, or a class of the user's own default.
        image_size: side of the images where there is no dataset (224).
        quantise: to int8, calibrated on a stratified draw of the training images.
        calibration_images, method, weight_bits: see `quantise.Calibration`.
        evaluate: a split to name the accuracies on; "" for none.
        overwrite: replace a file that is there.

    Raises:
        RequestError: an option out of its range or without what it needs; see `export_onnx`.
    """
    import torch

    from blockzoo.data.images import some_of
    from blockzoo.models.own import channels_of, classes_of
    from blockzoo.models.resolve import build_network
    from blockzoo.tiling.experiments.pretrained import pretrained_file
    from blockzoo.tiling.onnx.export import export_onnx, onnx_layers
    from blockzoo.tiling.onnx.files import free
    from blockzoo.tiling.onnx.fuse import Layers
    from blockzoo.tiling.onnx.quantise import Calibration
    from blockzoo.training.weights import load_weights

    free(path, overwrite)
    if data is None and (quantise or evaluate):
        raise RequestError("--dtype int8 and --evaluate need images: name a dataset with --dataset")
    if weights is not None and pretrained:
        raise RequestError("--weights and --pretrained both name weights: give one of them")
    if evaluate and weights is None and not pretrained:
        raise RequestError("--evaluate needs weights: name them with --weights FILE, or use --pretrained")
    if data is not None and num_classes not in (None, data.num_classes) and evaluate:
        raise RequestError(
            f"--num-classes {num_classes}: {data.name} has {data.num_classes} classes to evaluate"
        )
    if calibration_images < 1:
        raise RequestError(f"--calibration-images {calibration_images}: give 1 or more")
    side = image_size or IMAGENET_SIDE
    name = plain_subject(subject)
    classes: int | None
    if data is not None:
        channels, side, classes = data.shape[0], data.shape[1], num_classes or data.num_classes
    else:
        channels, classes = channels_of(name), classes_of(name, num_classes, CLASSES)
    spec = NetworkSpec(
        tiled_subject(subject, tiling or Tiling(), side), out_dim=classes, in_channels=channels
    )
    network = build_network(spec, seed=0).eval()
    found = pretrained_file(name) if pretrained else weights
    if found is not None:
        load_weights(network, found)
    stated = weights_stated(name, found, pretrained)
    generator = torch.Generator().manual_seed(0)
    example = torch.randn(1, channels, side, side, generator=generator)
    calibration = None
    if data is not None:
        example = torch.from_numpy(data.seen(data.val.images[:1]))
        if quantise:
            images = data.seen(some_of(data.train, calibration_images).images)
            calibration = Calibration(images, method, weight_bits)
    report = export_onnx(
        network,
        example,
        path,
        fusing=fusing,
        calibration=calibration,
        overwrite=overwrite,
        story={"subject": spec.subject, "weights": stated},
    )
    if not evaluate or data is None:
        return report, stated, None
    layers = onnx_layers(network, example)
    cuts = getattr(report, "cuts", layers.cuts)
    models = [layers.one_by_one(), Layers(layers.model, cuts).one_by_one(), Path(path)]
    return report, stated, _accuracies(models, data, evaluate)


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
