"""The user's own class as a network: built as it stands, told what the data or an option fixes, and nothing else."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from blockzoo.core.errors import UsageError
from blockzoo.core.plugins import load_object
from blockzoo.core.said import say_once
from blockzoo.core.spec import NetworkSpec
from blockzoo.core.subject import Subject

CLASSES = (
    "num_classes n_classes nclasses num_class n_class nb_classes nbclasses class_count classes out_dim output_dim "
    "num_outputs n_outputs num_labels n_labels labels nc out_channels out_chans out_ch output_channels out_features"
).split()
"""What a parameter for the number of classes is called, the plainest first: one of them is told."""
CHANNELS = (
    "in_channels in_chans in_ch in_channel input_channels input_channel n_channels num_channels image_channels "
    "img_channels channels_in in_dim"
).split()
"""What a parameter for the channels of the images is called."""


def own_class(subject: Subject, spec: NetworkSpec) -> nn.Module:
    """The user's own network. What it was told beside its own defaults is said once in a process.

    Args:
        subject: `my_file.py:MyNetwork` or `package.module:MyNetwork`, a class or a function.
        spec: its `out_dim` is told where it is one, and its `in_channels` where the class has another default.

    Raises:
        UsageError: it asks for more than that, cannot be built, or makes no network.
    """
    maker = load_object(*subject.name.rpartition(":")[::2])
    keywords = arguments(subject, spec.out_dim, spec.in_channels)
    try:
        network = maker(**keywords)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(
            f"{subject}({_listed(keywords)}) cannot be built: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(network, nn.Module):
        raise UsageError(
            f"{subject} makes a {type(network).__name__}: name a class that is a torch nn.Module"
        )
    say_once(built_as(subject, spec.out_dim, spec.in_channels))
    return network


def arguments(subject: Subject, classes: int | None, channels: int) -> dict[str, int]:
    """What a class is told: a number of classes that was chosen, and channels where they are not its default.

    Args:
        subject: see `own_class`.
        classes: chosen by the data or an option; None: the class keeps its default.
        channels: of the images.

    Raises:
        UsageError: a parameter without a default that is neither.
    """
    parameters = _parameters(subject)
    keywords: dict[str, int] = {}
    name = _first(CLASSES, parameters)
    if name and (classes is not None and parameters[name].default != classes):
        keywords[name] = classes
    name = _first(CHANNELS, parameters)
    if name and parameters[name].default != channels:
        keywords[name] = channels
    lacking = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty and name not in keywords
    ]
    if lacking:
        raise UsageError(
            f"{subject} cannot be built: nothing says its {', '.join(lacking)}; give "
            f"{'it a default' if len(lacking) == 1 else 'them defaults'} in the class "
            f"(a number of classes is called {', '.join(CLASSES[:3])}, ...; channels {', '.join(CHANNELS[:2])}, ...)"
        )
    return keywords


def classes_of(subject: str | Subject, asked: int | None, usual: int) -> int | None:
    """How many classes a network is built with where no data says it: None leaves a class of the user's at its default.

    Args:
        subject: the network that is built.
        asked: by an option.
        usual: for all other networks, and for a class that has no default.

    Raises:
        UsageError: it was asked for, and the class takes no such number.
    """
    parsed = Subject.parse(subject)
    inner = parsed.innermost
    if inner.prefix != "code" or inner.is_block:
        return usual if asked is None else asked
    parameters = _parameters(inner)
    name = _first(CLASSES, parameters)
    if asked is not None and name is None:
        raise UsageError(
            f"{inner} takes no number of classes ({', '.join(parameters) or 'it has no parameters'}), and {asked} were asked "
            f"for: leave that out, or give the class a parameter num_classes"
        )
    return usual if asked is None and name and parameters[name].default is inspect.Parameter.empty else asked


def channels_of(subject: str | Subject, usual: int = 3) -> int:
    """Channels of the images where no data says it: a class of the user's own default, else as usual."""
    inner = Subject.parse(subject).innermost
    if inner.prefix != "code" or inner.is_block:
        return usual
    parameters = _parameters(inner)
    name = _first(CHANNELS, parameters)
    default = parameters[name].default if name else usual
    return default if isinstance(default, int) and default > 0 else usual


def built_as(subject: Subject, classes: int | None, channels: int) -> str:
    """How a class of the user's is built, as a sentence; "" for other subjects."""
    inner = subject.innermost
    if inner.prefix != "code" or inner.is_block:
        return ""
    keywords, parameters = arguments(inner, classes, channels), _parameters(inner)
    name = _first(CLASSES, parameters)
    if not keywords:
        default = f", {name}={parameters[name].default!r}" if name else ""
        return f"{inner} is built as it stands{default}"
    changed = [
        f"{name}={value}"
        + (
            ""
            if parameters[name].default is inspect.Parameter.empty
            else f" (default {parameters[name].default!r})"
        )
        for name, value in keywords.items()
    ]
    return f"{inner} is built with {', '.join(changed)}"


def _parameters(subject: Subject) -> Mapping[str, inspect.Parameter]:
    """Those that can be told by name."""
    maker = load_object(*subject.name.rpartition(":")[::2])
    try:
        parameters = inspect.signature(maker).parameters
    except ValueError:  # made in C
        return {}
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {name: parameter for name, parameter in parameters.items() if parameter.kind not in several}


def _first(names: list[str], parameters: Mapping[str, Any]) -> str | None:
    lower = {name.lower(): name for name in reversed(list(parameters))}
    return next((lower[name] for name in names if name in lower), None)


def _listed(told: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={value}" for name, value in told.items())
