"""A whole block-wise run as plain values: network, data, options, and what is reported."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, get_type_hints

from blockzoo.blockwise.run.options import Network, Options
from blockzoo.core.arguments import check_values
from blockzoo.core.checked import Count, NotNegative, setting
from blockzoo.core.documents import check_fields, describe
from blockzoo.core.errors import UsageError
from blockzoo.core.spec import SUBSET, THREADS, fingerprint_of

COSTS = ("gradient_evaluations", "critical_steps", "communicated_bytes", "seconds")
"""What a run is counted in: passes of all workers, passes one after the other, bytes, wall time of this process."""


@dataclass(frozen=True)
class RunConfig:
    """What a run is; equal configurations have equal fingerprints, and so one folder.

    Args:
        options: of the engine.
        network: the simulated one.
        data_digest: of the images themselves, where the dataset's name does not say which they are; see `identified`.
        code_digest: of the user's own code that the run rests on.
    """

    model: str = setting(
        "feedforward",
        "feedforward, linear, cnn, plain_cnn, residual_cnn, nn_ensemble, cnn_ensemble, plain_cnn_ensemble, or any subject "
        "(model:resnet18, macro:1234, timm:NAME)",
    )
    config: tuple[Any, ...] = setting(
        (), "widths of the hidden layers, '[64,64]'; of ensembles one list per member, '[[16,16],[32,32]]'"
    )
    combine: str = setting("average", "outputs of an ensemble: average or vote")
    dataset: str | None = setting(
        None,
        "of `blockzoo datasets`, or ones, california_housing (default cifar10, or digits where it cannot be had)",
    )
    data_dir: str | None = setting(None, "folder with the datasets (default: BLOCKZOO_DATA, then ./data)")
    image_size: Count | None = setting(32, "side length that images are resized to", unit="pixels")
    limit_train: Count | None = setting(
        None, "train on only so many examples, a draw in which every class has its share (default: all)"
    )
    partition: str = setting(
        "blocks",
        "blocks, halves, module, stage, tensor, or regular expressions for parameter names: 'a.*|b.*'",
    )
    options: Options = field(default_factory=Options)
    tuned: NotNegative = setting(
        0.0,
        "1: proximal weights, learning rates and K from a coupling map of the first network (its products are not counted as "
        "costs); or a share of the proximal weight that the bound asks for; 0: off",
    )
    stopper: str = setting("never", "never, accuracy:0.9, loss:0.1, patience:20, A|B, A&B")
    budget: str = setting(
        "",
        "the run ends once it is spent: gradient_evaluations:5000, critical_steps:N, communicated_bytes:N, seconds:N",
    )
    units: tuple[str, ...] = setting(
        (), "measurement units: coupling, norms, 'hessian batches=2', my_file.py:MyUnit"
    )
    curriculum: str = setting("all", "which examples a round draws from: all, growing:0.2, classes:3,5, hard")
    step_schedule: str = setting(
        "constant", "of the learning rate: constant, cosine, linear:0.1, step:0.5@30,60, warmup:10"
    )
    k_schedule: str = setting("constant", "the same, for K")
    share_schedule: str = setting("constant", "the same, for the share of workers")
    report_sampling_rate: Count = setting(1, "rounds between two evaluations on the validation examples")
    measurement_sampling_rate: Count = setting(100, "rounds between two measurements")
    network: Network = field(default_factory=Network)
    threads: Count = setting(
        THREADS, "processor threads of each process; part of the request, as sums over several are other sums"
    )
    device: str = setting("cpu", "cpu, cuda or auto")
    data_digest: str = ""
    code_digest: str = ""

    def __post_init__(self) -> None:
        check_values(self)
        faults = []
        name, _, most = self.budget.partition(":")
        if self.budget and (
            name not in COSTS or not most.replace(".", "", 1).isdigit() or not float(most) > 0
        ):
            faults.append(
                f"budget {self.budget!r}: give one of {', '.join(COSTS)} with a number, {COSTS[0]}:5000"
            )
        if name == "communicated_bytes" and self.options.training_mode == "distributed":
            faults.append(
                f"budget {self.budget!r}: what distributed sends depends on its number of processes, which is no part of the "
                "request; give another budget, or jacobi, which makes the same updates and counts a machine for each block"
            )
        if faults:
            raise UsageError("; ".join(faults))

    @property
    def subject(self) -> str:
        """What is trained, and how."""
        return f"{self.model}, {self.options.training_mode}"

    @property
    def seed(self) -> int:
        """Of everything."""
        return self.options.seed

    @property
    def steps(self) -> int:
        """Rounds, by which its progress is counted."""
        return self.options.rounds

    @property
    def devices(self) -> int:
        """That a run takes."""
        return 1

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
            UsageError: an unknown name, or a value of another type than its field.
        """
        settings = {k: _tuples(v) if k in ("config", "units") else v for k, v in values.items()}
        for name, kind in (("options", Options), ("network", Network)):
            group = settings.get(name, {})
            if not isinstance(group, Mapping):
                raise UsageError(f"{name}: names and values are needed, not {describe(group)}")
            group = {k: _tuples(v) for k, v in group.items()}
            if name == "network":
                group = {k: v if v is not None else float("inf") for k, v in group.items()}
            check_fields(_kinds(kind), group, name)
            settings[name] = kind(**group)
        whole: type = cls
        check_fields(_kinds(whole), settings, "a run")
        return cls(**settings)


def folder_name(config: RunConfig) -> str:
    """What a run's folder is called: model, dataset, mode and fingerprint."""
    parts = [config.model, config.dataset or "default", config.options.training_mode, config.fingerprint()]
    return "-".join(re.sub(r"[^A-Za-z0-9_.]+", "-", part) for part in parts)


@functools.cache
def _kinds(cls: type) -> dict[str, Any]:
    return {name: kind for name, kind in get_type_hints(cls).items() if name in cls.__dataclass_fields__}  # type: ignore[attr-defined]


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, (list, tuple)) else value
