"""torchvision's ImageNet weights: found on this machine, or fetched; read without running code."""

from __future__ import annotations

from pathlib import Path

from blockzoo.core.errors import UsageError
from blockzoo.core.subject import Subject


def pretrained_file(subject: str) -> Path:
    """The file with the first published ImageNet weights of a network of torchvision (they are what was fine-tuned).

    Raises:
        UsageError: there are none, or they are not here and cannot be fetched: says where to put the file.
    """
    import torch
    from torchvision import models

    network = Subject.parse(subject)
    if network.prefix != "torchvision":
        raise UsageError(
            f"--pretrained: torchvision has no weights of {subject}; train it first and name them: "
            "--resume-from FILE (train, eval), --weights FILE (export)"
        )
    weights = getattr(models.get_model_weights(network.name), "IMAGENET1K_V1", None)
    if weights is None:
        raise UsageError(
            f"--pretrained: torchvision has no ImageNet weights of {subject}; "
            "use --resume-from FILE (train, eval) or --weights FILE (export)"
        )
    name: str = weights.url.rpartition("/")[2]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    stem = path.stem.rpartition("-")[2]
    try:
        torch.hub.download_url_to_file(weights.url, str(path), hash_prefix=stem, progress=False)
    except (OSError, RuntimeError) as error:
        raise UsageError(
            f"--pretrained: {weights.url} cannot be fetched ({error}); put the file at {path}, "
            "or name weights that are here with --resume-from FILE --reset-optimizer"
        ) from error
    return path
