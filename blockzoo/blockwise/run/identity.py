"""What a run really rests on: the dataset that is used, digests of its images and of the user's own code."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from typing import Any

from blockzoo.blockwise.contracts import CURRICULA, ENGINES, SCHEDULES, UNITS
from blockzoo.blockwise.run.config import RunConfig
from blockzoo.blockwise.run.regressions import REGRESSIONS
from blockzoo.core.contracts import NETWORKS, SUBJECTS
from blockzoo.core.errors import DataError, UsageError
from blockzoo.core.plugins import code_asked_for
from blockzoo.core.sources import digest_of_codes
from blockzoo.core.subject import Subject
from blockzoo.models.feedforward import SIZED
from blockzoo.training.contracts import STOPPERS

Used = Callable[[str | None, str | None, int | None], tuple[str | None, str]]


def data_used(dataset: str | None, data_dir: str | None, image_size: int | None) -> tuple[str, str]:
    """Name and digest of the dataset that a run has: where none is named and the usual one is absent, of the one in its place."""
    if dataset in REGRESSIONS:
        return str(dataset), ""
    from blockzoo.data import load_or_fallback

    data, _ = load_or_fallback(dataset, data_dir, image_size=image_size)
    return dataset or data.name, data.digest


def identified(config: RunConfig, used: Used = data_used) -> RunConfig:
    """The same run with all that tells it from others: a request that was made of other images or other code is another.

    Raises:
        UsageError, DataError: the network or the dataset is not there.
    """
    name, digest = used(config.dataset, config.data_dir, config.image_size)
    return replace(config, dataset=name, data_digest=digest, code_digest=code_of(config))


def code_of(config: RunConfig) -> str:
    """A digest of the user's own code that a run names, as far as it is there; nothing where there is none."""
    try:
        return digest_of_codes(set(origins(config))) or ""
    except UsageError:  # a name that there is not: the run will say so
        return ""


def all_identified(configs: Iterable[RunConfig]) -> list[RunConfig]:
    """Several runs; each dataset is looked at once. What is not there leaves a run as it is: it will say so when it is made."""

    @functools.cache
    def used(*place: Any) -> tuple[Any, str]:
        try:
            return data_used(*place)
        except DataError:
            return place[0], ""

    def tried(config: RunConfig) -> RunConfig:
        try:
            return identified(config, used)
        except UsageError:
            return config

    return [tried(config) for config in configs]


def origins(config: RunConfig) -> Iterator[str | None]:
    """Where the user's own code lies that a run names, in files or registered by plugins."""
    texts = {k: v for k, v in asdict(config).items() if k not in ("dataset", "data_dir")}
    yield from (origin for origin in code_asked_for(texts) if origin not in SUBJECTS)
    model = config.model.removeprefix("model:")
    if model in NETWORKS:
        yield NETWORKS.own_origin(model)
    elif model not in SIZED:
        yield Subject.parse(config.model).own_origin
    yield ENGINES.own_origin(config.options.training_mode)
    yield from (STOPPERS.own_origin(part) for part in re.split(r"[|&]", config.stopper))
    yield from (UNITS.own_origin(line.split()[0]) for line in config.units if line.split())
    yield CURRICULA.own_origin(config.curriculum)
    for schedule in (config.step_schedule, config.k_schedule, config.share_schedule):
        yield SCHEDULES.own_origin(schedule)
