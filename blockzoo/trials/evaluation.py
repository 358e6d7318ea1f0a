"""What weights of a file come to on the test images of a dataset, in the network that they are of."""

from __future__ import annotations

import hashlib
from pathlib import Path

from blockzoo.core.errors import UsageError
from blockzoo.core.record import Record
from blockzoo.core.settings import Data, Recipe, Scaffold
from blockzoo.core.spec import NetworkSpec
from blockzoo.trials.request import images_of, network_spec, trial_spec
from blockzoo.trials.training import circumstances


def evaluated_on(
    data: Data,
    subject: tuple[str, str | None],
    scaffold: Scaffold,
    weights: str | Path,
    data_dir: str | Path | None = None,
) -> tuple[NetworkSpec, tuple[int, int, int], Record]:
    """Evaluate weights on a test split.

    Args:
        data: names the dataset.
        subject: a block or network, and its position.
        scaffold: around it.
        weights: file with them.
        data_dir: the folder with the datasets.

    Returns:
        The network for these images, (C, H, W) of an image, and the record of the evaluation.

    Raises:
        UsageError: no such file, or weights of another network.
    """
    from blockzoo.training.launch import evaluate_on_devices

    path = Path(weights)
    if not path.is_file():
        raise UsageError(f"there is no file {path}; --weights takes a .ckpt, .pth or .safetensors")
    images = images_of(data, None if data_dir is None else Path(data_dir))
    network = network_spec(*subject, images, scaffold)
    spec = trial_spec(network, images, Recipe(), data, 0)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    spec = spec.with_(start=str(path.resolve()), start_identity=digest)
    record = evaluate_on_devices(spec, images, circumstances("auto", data_dir), split="test")
    return network, images.shape, record
