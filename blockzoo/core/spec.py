"""WHAT to run: frozen specs, each field with its sentence. Equal specs have equal fingerprints."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, cast

from blockzoo.core.budget import Budget
from blockzoo.core.checked import (
    BatchSize,
    Checked,
    Count,
    Positive,
    Threads,
    default_of,
    narrowed,
    setting,
    settings_of,
    unusual,
)
from blockzoo.core.contracts import BLOCKS, DEFAULT_FILLER, POSITIONS, PROTOCOLS
from blockzoo.core.errors import UsageError
from blockzoo.core.keywords import ScaffoldKeywords
from blockzoo.core.settings import Data, Recipe, Scaffold, Seeded
from blockzoo.core.subject import Subject

CLASSES = 10
"""Outputs of a network where nothing says how many."""
THREADS: int = default_of("threads", Recipe)
"""Processor threads of a training where nothing says how many."""
IDENTITY = "identity"
SUBSET = "stratified-v1"
"""How `limit_train` chooses; before it was the first images, and trials on those are others."""


class Spec(Checked):
    """Settings that say what to run."""

    def identity(self) -> dict[str, Any]:
        """The fields that make two specs the same request, canonical and ready for JSON."""
        return dict(asdict(self))  # type: ignore[call-overload]

    def fingerprint(self) -> str:
        """16 hex digits, equal for equal requests, on every machine and in every version."""
        return fingerprint_of(self.identity())


def fingerprint_of(identity: object) -> str:
    """The first 16 hex digits of the SHA-256 of the canonical JSON of `identity`."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _without_position(text: str, taken_for_a_block: str) -> str:
    """What is wrong with a block's subject, and why it is one where nobody said so."""
    where = f"write {text}/mid, or choose one of {', '.join(POSITIONS)}"
    if not taken_for_a_block:
        return f"{text!r} is a block without a position: {where}"
    return (
        f"{text!r} {taken_for_a_block}, so it is taken for a block without a position: {where}; for a whole network give its "
        "constructor parameters with other names and defaults"
    )


@dataclass(frozen=True)
class NetworkSpec(Scaffold, Spec):
    """Which network: a block at a position of the scaffold, or a network by its own name."""

    subject: str = setting("ResNetBasicBlock/mid", "what is looked at, with its position for a block")
    out_dim: Count | None = setting(
        None, f"number of classes (default {CLASSES}; a class of your own keeps its own default)"
    )
    in_channels: Count = setting(3, "channels of the images")
    budget: str | None = setting(
        None,
        "what width and depth of the stage under test were chosen for, as 'iso-macs 1' (default: nothing)",
    )
    budget_ratio: float | None = setting(
        None, "what the stage costs so, as a multiple of that budget; no part of the request"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        subject = Subject.parse(self.subject)
        if self.budget is not None:
            object.__setattr__(self, "budget", str(Budget.parse(self.budget)))
        if subject.is_block and subject.position is None:
            raise UsageError(_without_position(str(self.subject), subject.innermost.taken_for_a_block))
        object.__setattr__(self, "subject", str(subject))
        own_class = subject.innermost.prefix == "code" and not subject.innermost.is_block
        if self.out_dim is None and not own_class:
            object.__setattr__(self, "out_dim", CLASSES)
        if self.filler not in (None, IDENTITY):
            object.__setattr__(self, "filler", str(Subject.parse(str(self.filler))))

    @property
    def scaffold(self) -> ScaffoldKeywords:
        """The settings of the scaffold, by name: keyword arguments for whoever builds or measures it."""
        return cast(ScaffoldKeywords, {name: getattr(self, name) for name in settings_of(Scaffold)})

    @property
    def parsed(self) -> Subject:
        """The subject, parsed."""
        return Subject.parse(self.subject)

    @property
    def label(self) -> str:
        """What tells it from others of one table: its subject, and the budget that it was given."""
        return f"{self.subject} ({self.budget})" if self.budget else self.subject

    @property
    def num_classes(self) -> int:
        """Outputs of a network that is built here; only a class of the user's own may have no `out_dim`."""
        return CLASSES if self.out_dim is None else self.out_dim

    @property
    def filler_name(self) -> str:
        """What the other stages hold; by default the variant of the filler that the block itself has."""
        _, _, variant = self.parsed.innermost.label.partition("@")
        alike = f"{DEFAULT_FILLER}@{variant}"
        return self.filler or (alike if variant and alike in BLOCKS else DEFAULT_FILLER)

    def identity(self) -> dict[str, Any]:
        own: dict[str, Any] = {
            "subject": self.subject,
            "out_dim": self.out_dim,
            "in_channels": self.in_channels,
        }
        subject = self.parsed
        if subject.innermost.stages:
            own |= {"num_blocks": self.num_blocks, "base_channels": self.base_channels}
            own |= {name: value for name, value in unusual(self) if name == "transition"}
        if subject.is_block:
            own |= {name: value for name, value in unusual(self) if name in settings_of(Scaffold)}
            own |= {"filler": self.filler_name, "active_blocks": self.active_blocks or self.num_blocks}
            own |= {"converted": "stage"} if subject.wrapped else {}  # once it was all stages
        if self.budget is not None:
            own["budget"] = self.budget
        if digest := subject.source_digest():
            own["source"] = digest
        return own

    def filler_code(self) -> str | None:
        """The user's own code that the other stages are made of, as its origin."""
        return BLOCKS.own_origin(self.filler_name.partition("+")[0]) if self.parsed.is_block else None

    def timing_key(self, image_size: int | None) -> str:
        """The fingerprint of this network at a side length of its images: times belong to both."""
        network = {name: value for name, value in self.identity().items() if name != "budget"}
        return fingerprint_of({"network": network, "image_size": image_size})


@dataclass(frozen=True, kw_only=True)
class TrialSpec(Recipe, Data, Seeded, Spec):
    """One training run: a network, images, a recipe and a seed. What is not given is the protocol's."""

    network: NetworkSpec = field(
        default_factory=NetworkSpec, kw_only=False, metadata={"sentence": "the network to train"}
    )
    dataset: str = narrowed(Data, "dataset", "cifar10")
    images: Literal["resident", "stream"] = narrowed(Data, "images", "resident")
    epochs: Count = narrowed(Recipe, "epochs", None)
    batch_size: BatchSize = narrowed(Recipe, "batch_size", None)
    lr: Positive = narrowed(Recipe, "lr", None)
    threads: Threads | None = narrowed(Recipe, "threads", None)  # type: ignore[assignment]  # None: a record that has none yet
    start: str | None = setting(None, "file with the weights that training starts from (default: drawn)")
    start_identity: str | None = setting(
        None, "what they are: a digest of the file, or the fingerprint of the trial that made them"
    )
    start_with_optimizer: bool = setting(
        False, "go on with the optimiser state and the epoch of that file too"
    )
    lr_among: str | None = setting(
        None,
        "what the search for lr began with, by validation accuracy, as '0.05 0.2 0.8' (default: not chosen)",
    )
    micro_batches: Count = setting(
        1,
        "parts of a batch that go through the network one after the other, for memory; their gradients are added up",
    )
    data_digest: str | None = setting(
        None, "of the images themselves, where the dataset's name does not say which they are"
    )
    code_digest: str | None = setting(
        None, "of the user's own code that it rests on beside the network's: its protocol, the filler"
    )

    callbacks: str | None = setting(
        None, "the Lightning callbacks that it was handed, which can change its numbers (default: none)"
    )

    @property
    def lacks(self) -> str:
        """What it rests on and does not hold, in words, so that nobody can run it again from its record alone; empty: nothing."""
        lacking = {
            "start": f"weights of a file ({self.start_identity})",
            "callbacks": f"callbacks ({self.callbacks})",
        }
        return " and ".join(words for name, words in lacking.items() if getattr(self, name) is not None)

    def __post_init__(self) -> None:
        if isinstance(self.network, dict):
            object.__setattr__(self, "network", NetworkSpec(**self.network))
        open_ = [name for name in ("epochs", "batch_size", "lr") if getattr(self, name) is None]
        if open_:
            protocol = PROTOCOLS[self.protocol]()
            for name in open_:
                object.__setattr__(self, name, getattr(protocol, name))
        super().__post_init__()
        if self.milestones is not None and list(self.milestones) != sorted(set(self.milestones)):
            raise UsageError(f"milestones {self.milestones}: give epochs in rising order")
        if (self.start is None) != (self.start_identity is None):
            raise UsageError("weights to start from have a file and an identity: give both")
        self._check_devices()

    @property
    def subject(self) -> str:
        """What is trained."""
        return self.network.subject

    @property
    def steps(self) -> int:
        """Epochs, by which its progress is counted."""
        return self.epochs

    def _check_devices(self) -> None:
        if self.micro_batches > 1 and (self.devices > 1 or self.batch_size < 2 * self.micro_batches):
            raise UsageError(
                f"micro_batches {self.micro_batches}: of one device, and of 2 images or more each; give a smaller --batch-size"
            )
        if self.sync_batch_norm and self.devices == 1:
            raise UsageError(
                "sync_batch_norm joins the statistics of several devices: give --devices 2 or more"
            )
        if self.batch_size % self.devices or self.batch_size < 2 * self.devices:
            below = max(2, self.batch_size // self.devices) * self.devices
            raise UsageError(
                f"batch_size {self.batch_size} on {self.devices} devices: each takes an equal part of 2 images or more; "
                f"give a multiple of {self.devices}, such as --batch-size {below} or {below + self.devices}"
            )

    def identity(self) -> dict[str, Any]:
        """Fields that came after the first version count only where they are used: older fingerprints stay."""
        own = dict(unusual(self)) | {"network": self.network.identity()}
        own.pop("start", None)  # where the file lies is no part of what it holds
        if self.limit_train is not None:
            own["subset"] = SUBSET
        return own

    def comparable(self) -> str:
        """A digest of everything but subject and seed: results compare where this is equal."""
        own = self.identity()
        own.pop("seed")
        if self.lr_among is not None:  # then it is the block's
            own.pop("lr", None)
        for key in ("subject", "source", "converted", "active_blocks", "active_width"):
            own["network"].pop(key, None)
        return fingerprint_of(own)

    def planned(self) -> dict[str, Any]:
        """What would be trained, as a row."""
        names = ("dataset", "epochs", "batch_size", "lr", "seed", "protocol", "devices")
        return {"subject": self.subject, **{name: getattr(self, name) for name in names}}

    def to_json(self) -> dict[str, Any]:
        """All fields as plain values; `TrialSpec.from_json(value)` gives the spec back."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TrialSpec:
        """Read what `to_json` wrote.

        Raises:
            UsageError: fields that a trial does not have, or values that they cannot have.
        """
        network = values.get("network")
        for kind, given in ((cls, values), (NetworkSpec, network if isinstance(network, dict) else {})):
            if unknown := sorted(set(given) - {f.name for f in fields(kind)}):
                raise UsageError(f"a spec has no field {unknown[0]!r}")
        return cls(**values)

    def with_(self, **changes: Any) -> TrialSpec:
        """A copy with other values, checked again."""
        return replace(self, **changes)
