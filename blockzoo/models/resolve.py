"""From a subject to a network: the scaffold for blocks, a door for every prefix."""

from __future__ import annotations

import difflib

from torch import nn

from blockzoo.blocks.lookup import block_class
from blockzoo.core.contracts import NETWORKS, SUBJECTS
from blockzoo.core.errors import UnknownNameError
from blockzoo.core.spec import NetworkSpec
from blockzoo.core.subject import Subject
from blockzoo.models.own import own_class
from blockzoo.models.scaffold import ScaffoldNet, StagesNet, seeded


def build_network(spec: NetworkSpec, *, seed: int | None = None) -> nn.Module:
    """The network that `spec` describes, its weights drawn from `seed` alone where one is given."""
    subject = spec.parsed
    if subject.is_block:
        assert subject.position is not None
        return ScaffoldNet(
            block_class(subject) if subject.prefix == "code" else subject.label,
            position=subject.position,
            out_dim=spec.num_classes,
            in_channels=spec.in_channels,
            seed=seed,
            **spec.scaffold,
        )
    if subject.stages:
        return StagesNet(spec, seed=seed)
    resolver = own_class if subject.prefix == "code" else SUBJECTS[subject.prefix]
    if seed is None:
        return resolver(subject, spec)
    with seeded(seed, "network"):
        return resolver(subject, spec)


@SUBJECTS.register("stages")
def stages_network(subject: Subject, spec: NetworkSpec) -> nn.Module:
    """The scaffold with a block in each of its three stages: `stages:EARLY,MID,LATE`."""
    return StagesNet(spec)


@SUBJECTS.register("torchvision")
def torchvision_network(subject: Subject, spec: NetworkSpec) -> nn.Module:
    """A classification network of torchvision, without pretrained weights."""
    import torchvision

    if subject.name not in torchvision.models.list_models(module=torchvision.models):
        raise _unknown(subject, torchvision.models.list_models(module=torchvision.models))
    return torchvision.models.get_model(subject.name, weights=None, num_classes=spec.out_dim)


@SUBJECTS.register("timm")
def timm_network(subject: Subject, spec: NetworkSpec) -> nn.Module:
    """A network of timm, without pretrained weights."""
    import timm

    if not timm.is_model(subject.name):
        raise _unknown(subject, timm.list_models())
    return timm.create_model(subject.name, num_classes=spec.out_dim, in_chans=spec.in_channels)


@SUBJECTS.register("model")
def own_network(subject: Subject, spec: NetworkSpec) -> nn.Module:
    """A network of blockzoo's own, by its registered name."""
    return NETWORKS[subject.name](spec)


def _unknown(subject: Subject, names: list[str]) -> UnknownNameError:
    near = difflib.get_close_matches(subject.name, names, n=3, cutoff=0.4)
    hint = f" Did you mean {' or '.join(f'{subject.prefix}:{n}' for n in near)}?" if near else ""
    return UnknownNameError(f"{subject.prefix} has no network {subject.name!r}.{hint}")
