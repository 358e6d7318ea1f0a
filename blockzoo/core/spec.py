"""WHAT to run: frozen specs, each field with its sentence. Equal specs have equal fingerprints."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Annotated, Any, Literal, get_type_hints

from annotated_types import Ge, Gt, Le, Lt

from blockzoo.core.contracts import BLOCKS, POSITIONS
from blockzoo.core.documents import describe
from blockzoo.core.errors import RequestError
from blockzoo.core.subject import Subject

Count = Annotated[int, Ge(1)]
Positive = Annotated[float, Gt(0)]
CLASSES = 10
"""Outputs of a network where nothing says how many."""
THREADS = 1
"""Processor threads of a training where nothing says how many: see `TrialSpec.threads`."""
DEFAULT_FILLER = "ResNetBasicBlock"
IDENTITY = "identity"
LATER_FIELDS = frozenset(
    "momentum weight_decay milestones validation_share start_identity start_with_optimizer "
    "devices sync_batch_norm images limit_val limit_test threads micro_batches data_digest code_digest".split()
)
"""Fields of `TrialSpec` that are left out of its identity where they have their default."""
SUBSET = "stratified-v1"
"""How `limit_train` chooses; before it was the first images, and trials on those are others."""


def described(default: object, sentence: str) -> Any:
    """A dataclass field with its default and the sentence that help texts and docs show."""
    return field(default=default, metadata={"help": sentence})


@functools.cache
def _model(cls: type) -> Any:
    """The pydantic model that checks the fields of a spec (imported late: help texts need none of it)."""
    from pydantic import ConfigDict, create_model

    hints = get_type_hints(cls, include_extras=True)
    config = ConfigDict(extra="forbid", allow_inf_nan=False)
    definitions: Any = {f.name: (hints[f.name], ...) for f in fields(cls)}
    return create_model(cls.__name__, __config__=config, **definitions)


class Spec:
    """Checks all fields where the value is made and reports all faults at once."""

    def __post_init__(self) -> None:
        from pydantic import ValidationError

        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        try:
            checked = _model(type(self))(**values)  # type: ignore[arg-type]
        except ValidationError as error:
            faults = [
                f"  {'.'.join(map(str, e['loc']))}={describe(e['input'])}: {e['msg']}" for e in error.errors()
            ]
            raise RequestError("these values cannot be used:\n" + "\n".join(faults)) from None
        for name in values:
            object.__setattr__(self, name, getattr(checked, name))

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
class NetworkSpec(Spec):
    """Which network: a block at a position of the scaffold, or a network by its own name."""

    subject: str = described("ResNetBasicBlock/mid", "what is looked at, with its position for a block")
    num_blocks: Count = described(3, "blocks in each of the three stages")
    base_channels: Count = described(64, "width of the first stage; it doubles with each stage")
    out_dim: Count | None = described(
        None, f"number of classes (default {CLASSES}; a class of your own keeps its own default)"
    )
    in_channels: Count = described(3, "channels of the images")
    filler: str | None = described(
        None, "what the other stages hold: a block's name or 'identity' (default ResNetBasicBlock)"
    )
    active_blocks: Count | None = described(None, "depth of the stage under test (default num_blocks)")
    active_width: Positive = described(1.0, "width of the stage under test, as a multiple of its usual width")

    def __post_init__(self) -> None:
        super().__post_init__()
        subject = Subject.parse(self.subject)
        if subject.innermost.is_block and subject.innermost.position is None:
            raise RequestError(_without_position(str(self.subject), subject.innermost.taken_for_a_block))
        object.__setattr__(self, "subject", str(subject))
        own_class = subject.innermost.prefix == "code" and not subject.innermost.is_block
        if self.out_dim is None and not own_class:
            object.__setattr__(self, "out_dim", CLASSES)
        if self.filler not in (None, IDENTITY):
            object.__setattr__(self, "filler", str(Subject.parse(str(self.filler))))

    @property
    def parsed(self) -> Subject:
        """The subject, parsed."""
        return Subject.parse(self.subject)

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
        if subject.innermost.is_block:
            own |= {
                "num_blocks": self.num_blocks,
                "base_channels": self.base_channels,
                "filler": self.filler_name,
            }
            own |= {"active_blocks": self.active_blocks or self.num_blocks, "active_width": self.active_width}
        if digest := subject.source_digest():
            own["source"] = digest
        return own

    def filler_code(self) -> str | None:
        """The user's own code that the other stages are made of, as its origin."""
        return BLOCKS.own_origin(self.filler_name) if self.parsed.innermost.is_block else None

    def timing_key(self, image_size: int | None) -> str:
        """The fingerprint of this network at a side length of its images: times belong to both."""
        return fingerprint_of({"network": self.identity(), "image_size": image_size})


@dataclass(frozen=True)
class TrialSpec(Spec):
    """One training run: a network, a dataset, a protocol and a seed."""

    network: NetworkSpec = field(default_factory=NetworkSpec, metadata={"help": "the network to train"})
    dataset: str = described("cifar10", "name of the dataset")
    protocol: str = described("fast-v1", "the named, versioned recipe")
    epochs: Count = described(10, "passes over the training images; the schedule has this length")
    batch_size: Annotated[int, Ge(2)] = described(256, "images per step")
    lr: Positive = described(0.01, "peak step size")
    seed: Annotated[int, Ge(0), Le(2**31 - 1)] = described(0, "drives initialisation, order and augmentation")
    image_size: Count | None = described(None, "side length the images are resized to (default: their own)")
    limit_train: Count | None = described(
        None, "train on only N images: a draw in which every class has its share"
    )
    momentum: Annotated[float, Ge(0), Lt(1)] | None = described(None, "of SGD (default: the protocol's)")
    weight_decay: Annotated[float, Ge(0)] | None = described(None, "of all weights (default: the protocol's)")
    milestones: tuple[Count, ...] | None = described(
        None, "epochs after which a step schedule lowers the step size (default: the protocol's)"
    )
    validation_share: Annotated[float, Gt(0), Lt(1)] | None = described(
        None, "share of training and validation images that validates (default: the dataset's own split)"
    )
    start: str | None = described(None, "file with the weights that training starts from (default: drawn)")
    start_identity: str | None = described(
        None, "what they are: a digest of the file, or the fingerprint of the trial that made them"
    )
    start_with_optimizer: bool = described(False, "go on with the optimiser and the epoch of that file too")
    devices: Count = described(1, "devices that train it together, each on its part of every batch")
    sync_batch_norm: bool = described(False, "batch norms take their statistics over all devices")
    images: Literal["resident", "stream"] = described(
        "resident", "decoded once and kept at one size, or read from the files in each epoch"
    )
    limit_val: Count | None = described(None, "so many validation images (default: all)")
    limit_test: Count | None = described(None, "so many test images (default: all)")
    threads: Annotated[int, Ge(1), Le(1024)] | None = described(
        None,
        "processor threads of each device's process: sums over several are other sums, so they are part of the request "
        "(None in older records: whatever their process had)",
    )
    micro_batches: Count = described(
        1,
        "parts of a batch that go through the network one after the other, for memory; their gradients are added up",
    )

    data_digest: str | None = described(
        None, "of the images themselves, where the dataset's name does not say which they are"
    )
    code_digest: str | None = described(
        None, "of the user's own code that it rests on beside the network's: its protocol, the filler"
    )

    def __post_init__(self) -> None:
        if isinstance(self.network, dict):
            object.__setattr__(self, "network", NetworkSpec(**self.network))
        super().__post_init__()
        if self.milestones is not None and list(self.milestones) != sorted(set(self.milestones)):
            raise RequestError(f"milestones {self.milestones}: give epochs in rising order")
        if (self.start is None) != (self.start_identity is None):
            raise RequestError("weights to start from have a file and an identity: give both")
        self._check_devices()

    def _check_devices(self) -> None:
        if self.micro_batches > 1 and (self.devices > 1 or self.batch_size < 2 * self.micro_batches):
            raise RequestError(
                f"micro_batches {self.micro_batches}: of one device, and of 2 images or more each; give a smaller --batch-size"
            )
        if self.sync_batch_norm and self.devices == 1:
            raise RequestError(
                "sync_batch_norm joins the statistics of several devices: give --devices 2 or more"
            )
        if self.batch_size % self.devices or self.batch_size < 2 * self.devices:
            below = max(2, self.batch_size // self.devices) * self.devices
            raise RequestError(
                f"batch_size {self.batch_size} on {self.devices} devices: each takes an equal part of 2 images or more; "
                f"give a multiple of {self.devices}, such as --batch-size {below} or {below + self.devices}"
            )

    def identity(self) -> dict[str, Any]:
        """Fields that came after the first version count only where they are used: older fingerprints stay."""
        own = asdict(self) | {"network": self.network.identity()}
        own.pop("start")  # where the file lies is no part of what it holds
        unused = {f.name: f.default for f in fields(self)}
        later = {k: v for k, v in own.items() if k in LATER_FIELDS and v != unused[k]}
        if self.limit_train is not None:
            later["subset"] = SUBSET
        return {k: v for k, v in own.items() if k not in LATER_FIELDS} | later

    def comparable(self) -> str:
        """A digest of everything but subject and seed: results compare where this is equal."""
        own = self.identity()
        own.pop("seed")
        for key in ("subject", "source", "active_blocks", "active_width"):
            own["network"].pop(key, None)
        return fingerprint_of(own)

    def to_json(self) -> dict[str, Any]:
        """All fields as plain values; `TrialSpec.from_json(value)` gives the spec back."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TrialSpec:
        """Read what `to_json` wrote.

        Raises:
            RequestError: fields that a trial does not have, or values that they cannot have.
        """
        network = values.get("network")
        for kind, given in ((cls, values), (NetworkSpec, network if isinstance(network, dict) else {})):
            if unknown := sorted(set(given) - {f.name for f in fields(kind)}):
                raise RequestError(f"a spec has no field {unknown[0]!r}")
        return cls(**values)

    def with_(self, **changes: Any) -> TrialSpec:
        """A copy with other values, checked again."""
        return replace(self, **changes)
