"""A network of a block as a file that others load, with a card: what it is, and what its weights came to on test images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from blockzoo import __version__
from blockzoo.core.contracts import ATTENTIONS, BLOCKS, NETWORKS, SUBJECTS
from blockzoo.core.errors import CheckFailed, UsageError
from blockzoo.core.extras import needed
from blockzoo.core.files import write_atomically, write_text
from blockzoo.core.record import Record
from blockzoo.core.spec import NetworkSpec
from blockzoo.core.subject import Subject
from blockzoo.core.text import markdown
from blockzoo.models.deploy import deployed
from blockzoo.models.exporting import onnx_program
from blockzoo.models.resolve import build_network
from blockzoo.publish.about import LICENCES
from blockzoo.publish.card import front_matter
from blockzoo.publish.hub import CARD, CONFIG
from blockzoo.training.weights import load_weights, read_weights

if TYPE_CHECKING:
    from jaxtyping import Float

ModelForm = Literal["safetensors", "onnx", "torch"]
FILES: dict[ModelForm, str] = {
    "safetensors": "model.safetensors",
    "onnx": "model.onnx",
    "torch": "model.pth",
}
TOLERANCE = 1e-4
"""Of the outputs of an ONNX file, relative to the largest one: runtimes add up in other orders, and norms are folded."""


@dataclass(frozen=True)
class Wanted:
    """What is exported.

    Args:
        network: which.
        form: of the file.
        shape: (C, H, W) of an image.
        weights: file with them; None: they are drawn from the seed, and not trained.
        seed: see weights.
        licence: that it is published under.
    """

    network: NetworkSpec
    form: ModelForm
    shape: tuple[int, int, int]
    weights: str | None = None
    seed: int = 0
    licence: str = "apache-2.0"

    def __post_init__(self) -> None:
        if self.licence not in LICENCES:
            raise UsageError(f"licence {self.licence!r}: choose one of {', '.join(LICENCES)}")


def export_model(wanted: Wanted, folder: str | Path, evaluated: Record | None = None) -> list[Path]:
    """Write a network as a file, its configuration and its card; the file is read again and compared with the network.

    Args:
        wanted: see `Wanted`.
        folder: to write to.
        evaluated: what these weights came to on a split of a dataset, see `training.trial.evaluate_trial`.

    Raises:
        UsageError: weights of another network, or a package is not installed; torch cannot export it; the folder has the file
            of another form, which the new configuration and card would not be of.
        CheckFailed: the file computes something else.
    """
    place = Path(folder)
    path = place / FILES[wanted.form]
    if others := [name for name in FILES.values() if name != path.name and (place / name).exists()]:
        raise UsageError(
            f"{place} has {' and '.join(others)} of an earlier export, and a folder has one network as one file: choose "
            f"another --output, or move {'it' if len(others) == 1 else 'them'} away"
        )
    network = build_network(wanted.network, seed=wanted.seed)
    if wanted.weights is not None:
        load_weights(network, wanted.weights)
    network.eval()
    example = torch.rand(2, *wanted.shape, generator=torch.Generator().manual_seed(0))
    difference = WRITERS[wanted.form](network, wanted, path, example)
    config = {
        "made_by": f"blockzoo {__version__}",
        "network": asdict(wanted.network),
        "input_shape": ["batch", *wanted.shape],
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "weights": _weights_words(wanted),
        "largest_difference": difference,
    }
    write_text(place / CONFIG, json.dumps(config, indent=1) + "\n", durable=False)
    write_text(place / CARD, model_card(wanted, path.name, difference, evaluated), durable=False)
    return [path, place / CONFIG, place / CARD]


def _weights_words(wanted: Wanted) -> str:
    if wanted.weights is None:
        return f"drawn from seed {wanted.seed}, not trained"
    digest = hashlib.sha256(Path(wanted.weights).read_bytes()).hexdigest()[:16]
    return f"of {Path(wanted.weights).name}, SHA-256 {digest}..."


def _tensors(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone().contiguous() for name, tensor in network.state_dict().items()}


def _safetensors(
    network: nn.Module, wanted: Wanted, path: Path, example: Float[torch.Tensor, "B C H W"]
) -> float:
    from safetensors.torch import save_file

    header = {"format": "pt", "blockzoo": __version__, "subject": wanted.network.subject}
    write_atomically(path, lambda own: save_file(_tensors(network), str(own), metadata=header))
    return _as_read(network, wanted, path, example)


def _torch(network: nn.Module, wanted: Wanted, path: Path, example: Float[torch.Tensor, "B C H W"]) -> float:
    write_atomically(path, lambda own: torch.save(_tensors(network), own))
    return _as_read(network, wanted, path, example)


@torch.no_grad()
def _as_read(
    network: nn.Module, wanted: Wanted, path: Path, example: Float[torch.Tensor, "B C H W"]
) -> float:
    """The network made anew with the weights of the file, against the network: equal to the last bit.

    Raises:
        CheckFailed: it is not.
    """
    again = build_network(wanted.network, seed=wanted.seed + 1)
    again.load_state_dict(read_weights(path))
    again.eval()
    difference = _largest(again(example), network(example))
    if difference != 0:
        raise CheckFailed(
            f"{path.name}, read again, differs from {wanted.network.subject} by {difference:.3g}"
        )
    return difference


@torch.no_grad()
def _onnx(network: nn.Module, wanted: Wanted, path: Path, example: Float[torch.Tensor, "B C H W"]) -> float:
    for name in ("onnx", "onnxscript", "onnxruntime"):
        needed(name, "onnx", "ONNX files")
    import onnxruntime

    one = example[:1]
    content: bytes = onnx_program(deployed(network, one), [one]).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (output, *_) = session.run(None, {session.get_inputs()[0].name: one.numpy()})
    wanted_output = network(one)
    difference = _largest(torch.from_numpy(output), wanted_output) / max(
        float(wanted_output.abs().max()), 1e-12
    )
    if not difference <= TOLERANCE:
        raise CheckFailed(
            f"{path.name} differs from {wanted.network.subject} by {difference:.3g} of its largest output; tolerated are "
            f"{TOLERANCE:g}"
        )
    write_atomically(path, lambda own: own.write_bytes(content))
    return difference


def _largest(first: torch.Tensor, second: torch.Tensor) -> float:
    return float((first - second).abs().max())


WRITERS: dict[ModelForm, Callable[[nn.Module, Wanted, Path, torch.Tensor], float]] = {
    "safetensors": _safetensors,
    "onnx": _onnx,
    "torch": _torch,
}


def metadata(wanted: Wanted, evaluated: Record | None) -> dict[str, Any]:
    """The YAML of a card, with a `model-index` where the weights were evaluated."""
    card_fields: dict[str, Any] = {
        "license": wanted.licence,
        "library_name": "blockzoo",
        "pipeline_tag": "image-classification",
        "tags": ["blockzoo", "convolutional-neural-networks", "image-classification"],
    }
    if evaluated is None:
        return card_fields
    dataset = str(evaluated.spec["dataset"])
    metrics = [
        {"type": "accuracy", "name": "test accuracy, fraction", "value": evaluated.values["test_acc"]},
        {"type": "loss", "name": "test cross-entropy, nats", "value": evaluated.values["test_loss"]},
    ]
    result = {
        "task": {"type": "image-classification", "name": "image classification"},
        "dataset": {
            "type": dataset,
            "name": dataset,
            "split": "test",
            "args": {"split": evaluated.values["split"]},
        },
        "metrics": metrics,
    }
    return card_fields | {
        "datasets": [dataset],
        "metrics": ["accuracy"],
        "model-index": [{"name": wanted.network.subject.replace("/", " at "), "results": [result]}],
    }


def what_is(subject: Subject) -> str:
    """What a subject is, by its kind: the sentences of what it is made of, or the library that it comes from.

    Examples:
        >>> what_is(Subject.parse("celled:16:ResNetBasicBlock")).partition(". ")[2]
        'ResNetBasicBlock: Two 3x3 convolutions and a shortcut (ResNet-18/34).'
    """
    if parts := subject.stages or ((subject.wrapped,) if subject.wrapped else ()):
        return " ".join([_kind_of(subject), *(f"{part.label}: {what_is(part)}" for part in parts)])
    if subject.prefix == "model":
        sentences = [NETWORKS.summary(subject.name)]
    elif subject.prefix in ("block", "code"):
        block, _, attention = subject.name.partition("+")
        sentences = [BLOCKS.summary(block) if block in BLOCKS else ""]
        sentences += [f"Behind it {attention}: {ATTENTIONS.summary(attention)}"] if attention else []
    else:
        sentences = [_kind_of(subject)]
    own = ["The user's own code."] if subject.own_origin else []
    return " ".join(filter(None, [*own, *sentences]))


def _kind_of(subject: Subject) -> str:
    """Of a subject with a prefix: the library with its version, or what the prefix says of itself, but for how it is written."""
    try:
        return f"{subject.name} of {subject.prefix} {version(subject.prefix)}."
    except PackageNotFoundError:
        return f"{SUBJECTS.summary(subject.prefix).partition(': `')[0].rstrip('.')}."


def model_card(wanted: Wanted, file: str, difference: float, evaluated: Record | None) -> str:
    """The text of the card."""
    network = wanted.network
    size = " x ".join(map(str, wanted.shape))
    lines = [
        front_matter(metadata(wanted, evaluated)),
        f"# {markdown(network.subject)}",
        markdown(what_is(network.parsed)),
        f"`{file}` is the whole network: the block at a position of blockzoo's scaffold, or a network by its name, for images of "
        f"{size} and {network.num_classes} classes. Its weights are {markdown(_weights_words(wanted))}.",
        f"Written by blockzoo {__version__}; read again, its outputs differ from the network's by at most {difference:.3g}"
        f"{' of the largest' if wanted.form == 'onnx' else ''}.",
        _results(evaluated),
        "`config.json` has the network as blockzoo builds it." + _use(wanted, file),
    ]  # fmt: skip
    return "\n\n".join(line for line in lines if line) + "\n"


def _results(evaluated: Record | None) -> str:
    if evaluated is None:
        return "These weights were not evaluated: the card has no result."
    values = evaluated.values
    return (
        f"On the {values['images']} test images of {markdown(evaluated.spec['dataset'])} ({markdown(values['split'])}): accuracy "
        f"{values['test_acc']} (a fraction), cross-entropy {values['test_loss']} nats."
    )


def _use(wanted: Wanted, file: str) -> str:
    if wanted.form == "onnx":
        return ""
    return f"""

```python
import json
from pathlib import Path

from blockzoo.core.spec import NetworkSpec
from blockzoo.models.resolve import build_network
from blockzoo.training.weights import load_weights

network = build_network(NetworkSpec(**json.loads(Path("config.json").read_text())["network"]))
load_weights(network, "{file}")
network.eval()
```"""
