"""A whole block-wise run as plain values: network, data, options, and what is reported."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, get_type_hints

from blockzoo.blockwise.run.communication import Network
from blockzoo.blockwise.run.options import Options
from blockzoo.core.arguments import check_types
from blockzoo.core.documents import check_fields, describe
from blockzoo.core.errors import RequestError
from blockzoo.core.spec import SUBSET, THREADS, fingerprint_of

COSTS = ("gradient_evaluations", "critical_steps", "communicated_bytes", "seconds")
"""What a run is counted in: passes of all workers, passes one after the other, bytes, wall time of this process."""


@dataclass(frozen=True)
class RunConfig:
    """What a run is; equal configurations have equal fingerprints, and so one folder.

    Args:
        model: feedforward, cnn, nn_ensemble, cnn_ensemble, or any subject (`model:resnet18`, `macro:1234`, `timm:...`).
        config: widths of the hidden layers; for ensembles one list per member.
        combine: of ensembles, "average" or "vote".
        dataset: of `blockzoo datasets`, or ones, california_housing.
        data_dir: folder with the datasets.
        image_size: side length the images are resized to.
        limit_train: train on only so many examples, a stratified draw.
        partition: see `make_partition`.
        options: of the engine.
        tuned: above 0, proximal weights, step sizes and K come from a coupling map of the first network, with this share of the
            proximal weight that the bound asks for (see `closed_loop.choose`); the products for it are not counted as costs.
        stopper: see `training.stoppers`.
        budget: "gradient_evaluations:5000", or critical_steps, communicated_bytes, seconds: the run ends once it is spent.
        units: lines that name measurement units.
        curriculum, step_schedule, k_schedule, share_schedule: see there.
        report_sampling_rate: rounds between two evaluations on the validation examples.
        measurement_sampling_rate: rounds between two measurements.
        network: the simulated one.
        threads: of the processor, of each process: sums over several are other sums, so they are part of the request.
        device: of all tensors.
        data_digest: of the images themselves, where the dataset's name does not say which they are; see `identified`.
        code_digest: of the user's own code that the run rests on.
    """

    model: str = "feedforward"
    config: tuple[Any, ...] = ()
    combine: str = "average"
    dataset: str | None = None
    data_dir: str | None = None
    image_size: int | None = 32
    limit_train: int | None = None
    partition: str = "blocks"
    options: Options = field(default_factory=Options)
    tuned: float = 0.0
    stopper: str = "never"
    budget: str = ""
    units: tuple[str, ...] = ()
    curriculum: str = "all"
    step_schedule: str = "constant"
    k_schedule: str = "constant"
    share_schedule: str = "constant"
    report_sampling_rate: int = 1
    measurement_sampling_rate: int = 100
    network: Network = field(default_factory=Network)
    threads: int = THREADS
    device: str = "cpu"
    data_digest: str = ""
    code_digest: str = ""

    def __post_init__(self) -> None:
        check_types(self)
        faults = [
            f"{name.replace('_', ' ')} {value}: give 1 or more"
            for name in (
                "report_sampling_rate",
                "measurement_sampling_rate",
                "limit_train",
                "image_size",
                "threads",
            )
            if (value := getattr(self, name)) is not None and value < 1
        ]
        if not 0 <= self.tuned < float("inf"):
            faults.append(f"tuned {self.tuned}: give 0 for off, or a positive share of the proximal weight")
        name, _, most = self.budget.partition(":")
        if self.budget and (
            name not in COSTS or not most.replace(".", "", 1).isdigit() or not float(most) > 0
        ):
            faults.append(
                f"budget {self.budget!r}: give one of {', '.join(COSTS)} with a number, {COSTS[0]}:5000"
            )
        if faults:
            raise RequestError("; ".join(faults))

    def to_json(self) -> dict[str, Any]:
        """All fields as plain values."""
        return asdict(self)

    def fingerprint(self) -> str:
        """16 hex digits; where the data lie and on which device is no part of the request, but what the user's own code says."""
        from blockzoo.blockwise.run.identity import code_of

        identity = {k: v for k, v in self.to_json().items() if k not in ("data_dir", "device")}
        identity["code_digest"] = self.code_digest or code_of(self)
        for digest in ("data_digest", "code_digest"):  # older requests without one keep their fingerprints
            if not identity[digest]:
                del identity[digest]
        if self.limit_train is not None:
            identity["subset"] = SUBSET
        identity["network"] = {k: v if v != float("inf") else None for k, v in identity["network"].items()}
        return fingerprint_of(identity)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> RunConfig:
        """Read what `to_json` wrote, lists where tuples were included.

        Raises:
            RequestError: an unknown name, or a value of another type than its field.
        """
        known = {k: _tuples(v) if k in ("config", "units") else v for k, v in values.items()}
        for name, kind in (("options", Options), ("network", Network)):
            own = known.get(name, {})
            if not isinstance(own, Mapping):
                raise RequestError(f"{name}: names and values are needed, not {describe(own)}")
            own = {k: _tuples(v) for k, v in own.items()}
            if name == "network":
                own = {k: v if v is not None else float("inf") for k, v in own.items()}
            check_fields(_kinds(kind), own, name)
            known[name] = kind(**own)
        whole: type = cls
        check_fields(_kinds(whole), known, "a run")
        return cls(**known)


def folder_name(config: RunConfig) -> str:
    """What a run's folder is called: model, dataset, mode and fingerprint."""
    parts = [config.model, config.dataset or "default", config.options.training_mode, config.fingerprint()]
    return "-".join(re.sub(r"[^A-Za-z0-9_.]+", "-", part) for part in parts)


@functools.cache
def _kinds(cls: type) -> dict[str, Any]:
    return {name: kind for name, kind in get_type_hints(cls).items() if name in cls.__dataclass_fields__}  # type: ignore[attr-defined]


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, (list, tuple)) else value
