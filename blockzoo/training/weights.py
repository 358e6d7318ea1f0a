"""Weights that others saved: read without running code, and put in place whatever prefix their names carry."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from blockzoo.core.checksums import file_digest
from blockzoo.core.documents import describe, first_line
from blockzoo.core.errors import DataError, UsageError
from blockzoo.training.archives import check_tensors, read_saved

WRAPPERS = frozenset({"module", "model", "network", "net", "backbone", "features", "state_dict", "_orig_mod"})
"""Parts of a name that say who held the network, not which layer it is."""
UNUSED = "num_batches_tracked"  # counts that older files lack and no protocol here reads
OPTIMIZERS = [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop]
"""Classes that checkpoints of earlier scripts name; to make one runs none of the file's code."""
SHOWN = 4  # names in an error
DEEPEST = 8  # names within names, around the weights


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """What a checkpoint holds, on the CPU, whatever device it was saved on; only tensors and plain values are read.

    Raises:
        UsageError: no such file, torn, none, or it would run code when it is read.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"there is no checkpoint {path}; --resume-from takes a .ckpt, .pth or .safetensors")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(path, device="cpu")
            check_tensors(content, path)
        else:
            content = read_saved(path, OPTIMIZERS)
    except DataError:
        raise
    except pickle.UnpicklingError as error:
        if zipfile.is_zipfile(path) or ("weights_only" in str(error).lower() and "GLOBAL" in str(error)):
            raise UsageError(
                f"checkpoint {path} holds more than tensors and plain values and is refused: reading it could run code "
                f"({first_line(error)}); where you trust it, save its state_dict alone, best as .safetensors"
            ) from error
        raise UsageError(f"{path} is not a checkpoint ({first_line(error)}); get it again") from error
    except Exception as error:
        raise UsageError(
            f"checkpoint {path} cannot be read ({first_line(error)}); is it torn? Get it again"
        ) from error
    if not isinstance(content, Mapping):
        raise UsageError(f"checkpoint {path} holds a {type(content).__name__}, not weights by name")
    return dict(content)


def read_weights(path: str | Path) -> dict[str, torch.Tensor]:
    """The weights in a checkpoint, names as they stand: at its top, or under state_dict, model, network, ...

    Raises:
        UsageError: see `read_checkpoint`; or there are none in it, or some are not finite.
    """
    content: Any = read_checkpoint(path)
    weights: dict[str, torch.Tensor] = {}
    for _ in range(DEEPEST):
        if weights := {str(k): v for k, v in content.items() if isinstance(v, torch.Tensor)}:
            break
        inner = [
            content[k] for k in ("state_dict", "model_state_dict", *sorted(WRAPPERS)) if _is_map(content, k)
        ]
        if not inner:
            names = ", ".join(describe(n).strip("'") for n in list(content)[:SHOWN]) or "nothing"
            raise UsageError(f"checkpoint {path} holds no weights: {names}")
        content = inner[0]
    if not weights:
        raise UsageError(f"checkpoint {path} holds names within names, and no weights")
    if bad := [name for name, v in weights.items() if v.is_floating_point() and not v.isfinite().all()]:
        raise UsageError(f"checkpoint {path}: {_some(bad)} not finite; take one of an earlier epoch")
    return weights


def load_weights(network: nn.Module, path: str | Path, *, new_head: bool = False) -> list[str]:
    """Put the weights of a file into a network, or leave it as it is.

    Names are compared without the parts in `WRAPPERS`; where they still differ, but both sides have the same kinds and shapes
    of weights in the same order, by their order.

    Args:
        network: changed in place.
        path: see `read_weights`.
        new_head: leave the last linear layer as it is where its number of classes is another.

    Returns:
        Names of the network's weights that were not in the file (those of a new head).

    Raises:
        UsageError: see `read_weights`; or it holds other weights than the network has, with the first that differ.
    """
    weights = {k: v for k, v in read_weights(path).items() if not k.endswith(UNUSED)}
    own = {k: v for k, v in network.state_dict().items() if not k.endswith(UNUSED)}
    head = _head(network) if new_head else set()
    places = _places(weights, own) or {}
    wrong = [
        f"{name} is {tuple(weights[there].shape)} in the file, {tuple(own[name].shape)} in the network"
        for name, there in places.items()
        if weights[there].shape != own[name].shape and name not in head
    ]
    missing = [name for name in own if name not in places and name not in head]
    surplus = sorted(set(weights) - set(places.values()))
    if wrong or missing or surplus:
        parts = [*wrong[:SHOWN]]
        parts += [f"it lacks {_some(missing)}"] if missing else []
        parts += [f"the network has no {_some(surplus)}"] if surplus else []
        raise UsageError(
            f"checkpoint {path} is of another network: {'; '.join(parts)}. "
            "Name the architecture and the number of classes it was trained with"
        )
    fitting = {n: weights[t] for n, t in places.items() if weights[t].shape == own[n].shape}
    network.load_state_dict(fitting, strict=False)
    return [name for name in own if name not in fitting]


def digest_of(path: str | Path) -> str:
    """16 hex digits of the content of a file; they name the weights that a trial starts from.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return file_digest(Path(path))[:16]
    except OSError as error:
        raise UsageError(
            f"cannot read checkpoint {path}: {error.strerror}; name one that is there"
        ) from error


def check_continuable(path: str | Path, epochs: int) -> None:
    """A run can go on from this file with its optimiser, up to `epochs`.

    Raises:
        UsageError: it holds weights alone, or as many epochs already.
    """
    checkpoint = read_checkpoint(path)
    if not {"optimizer_states", "lr_schedulers", "epoch", "state_dict"} <= set(checkpoint):
        raise UsageError(
            f"checkpoint {path} has no state of an optimiser: add --reset-optimizer to start from its weights"
        )
    if not isinstance(checkpoint["epoch"], int) or isinstance(checkpoint["epoch"], bool):
        raise UsageError(f"checkpoint {path} is of epoch {describe(checkpoint['epoch'])}, which is no number")
    if checkpoint["epoch"] + 1 >= epochs:
        raise UsageError(
            f"checkpoint {path} has {checkpoint['epoch'] + 1} epochs behind it and {epochs} were asked for: give more "
            "--epochs to go on, or --reset-optimizer to fine-tune"
        )


def _places(weights: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, str] | None:
    """For each weight of the network the name it has in the file."""
    if set(weights) == set(own):
        return {name: name for name in own}
    there, here = ({_bare(name): name for name in names} for names in (weights, own))
    if len(there) == len(weights) and len(here) == len(own) and len(set(there) & set(here)) * 2 > len(here):
        return {name: there[bare] for bare, name in here.items() if bare in there}
    kinds = [[(_kind(n), tuple(v.shape)) for n, v in side.items()] for side in (weights, own)]
    return dict(zip(own, weights, strict=True)) if kinds[0] == kinds[1] else None


def _bare(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _kind(name: str) -> str:
    return name.rpartition(".")[2]


def _head(network: nn.Module) -> set[str]:
    """Names of the weights of the last linear layer."""
    linear = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    return {f"{linear[-1]}.weight", f"{linear[-1]}.bias"} if linear else set()


def _is_map(content: Mapping[Any, Any], name: str) -> bool:
    return isinstance(content.get(name), Mapping)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
