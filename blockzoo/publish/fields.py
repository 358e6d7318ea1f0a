"""What a column of an exported table is: its name with its unit, its type, its meaning; all from where these are said once."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal, get_type_hints

from blockzoo.core.checked import settings_of
from blockzoo.core.quantity import OnPaper, quantities
from blockzoo.core.settings import Data, Recipe, Scaffold, Seeded
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.core.table import COLUMNS, FRACTIONS, OF_ANY_SIGN, TEXTS

VERSION = 1
"""Of the exported tables: raised where a column gets another name, type or meaning; not where one is added."""
Kind = Literal["text", "integer", "number", "flag", "flags", "codes"]
"""string, int64, float64, bool, list of bool, list of uint8."""
SLUGS = {"parameters": "params", "MACs": "macs", "FLOPs": "flops", "MiB": "mib"}
"""Units as names of columns have them, where they are other words."""
OTHER_UNITS = {"training_time": "s", "latency_std": "ms"}
"""Of columns that no setting or quantity is, and whose name does not end with it."""
NAMED = {"ms": "ms", "s": "s", "bytes": "bytes"}
"""Last words of names that are units."""
TOP5 = "share of images whose class is among the five largest outputs"
VALUES = {
    "test_top5": f"{TOP5}, on the test split, read once after the last epoch",
    "val_top5": f"{TOP5}, on the validation split after the last epoch",
    "train_top5": f"{TOP5}, on the augmented training images during the last epoch",
}
"""Values of records that are no columns of the results table."""
SERIES = {
    "seconds": ("epoch_time_s", "s", "seconds of the epoch, training and validation"),
    "train_loss": ("train_loss_nats", "nats", "mean training loss of the epoch"),
    "train_acc": (
        "train_acc_fraction",
        "fraction",
        "accuracy on the augmented training images during the epoch",
    ),
    "train_top5": ("train_top5_fraction", "fraction", f"{TOP5}, on the augmented training images"),
    "val_loss": ("val_loss_nats", "nats", "cross-entropy on the validation split after the epoch"),
    "val_acc": ("val_acc_fraction", "fraction", "accuracy on the validation split after the epoch"),
    "val_top5": ("val_top5_fraction", "fraction", f"{TOP5}, on the validation split"),
}
"""Series of a training: name, unit and meaning."""
PRIVATE = ("hostname",)
"""Facts of an environment that are not exported."""
MOST = 200
"""Further values, facts or series that become columns; the others stand in `other_json`."""
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
EXACT = 2**53
"""Whole numbers up to this are float64 without loss."""


@dataclass(frozen=True)
class Field:
    """A column of an exported table.

    Args:
        name: of the column, with its unit.
        kind: of its values.
        meaning: in a sentence.
        unit: of its values; empty for texts and plain numbers.
        source: what the store calls it.
    """

    name: str
    kind: Kind
    meaning: str
    unit: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", self.source or self.name)


def unit_of(name: str) -> str:
    """The unit of a column of the results table, or of a value of a record; empty where it has none."""
    if name in TEXTS:
        return ""
    if name in (settings := settings_of(Scaffold, Recipe, Data, Seeded)):
        return str(settings[name].metadata["unit"])
    for own in (name, name.removeprefix("stage_")):
        if own in (by_name := quantities()):
            return by_name[own].unit
    if name in FRACTIONS or name.endswith("_top5"):
        return "fraction"
    if name in OF_ANY_SIGN:
        return "nats"
    return OTHER_UNITS.get(name, NAMED.get(name.rpartition("_")[2], ""))


def with_unit(name: str, unit: str) -> str:
    """The name of a column that has this unit.

    Examples:
        >>> with_unit("test_acc", "fraction"), with_unit("latency_p90_ms", "ms"), with_unit("throughput", "images/s")
        ('test_acc_fraction', 'latency_p90_ms', 'throughput_images_per_s')
        >>> with_unit("memory_mb", "MiB"), with_unit("stage_flops", "FLOPs")
        ('memory_mib', 'stage_flops')
    """
    slug = re.sub(r"[^a-z0-9]+", "_", SLUGS.get(unit, unit).lower().replace("/", " per ")).strip("_")
    if not slug or set(slug.split("_")) <= set(name.split("_")):
        return name
    return f"{name.removesuffix('_mb') if unit == 'MiB' else name}_{slug}"


def kind_of(hint: object) -> Kind:
    """Of the values that a type says; what is no number is a text.

    Examples:
        >>> kind_of("int | None"), kind_of("Literal['own', 'shared']")
        ('integer', 'text')
    """
    words = set(re.findall(r"\w+", str(hint)))
    for word, kind in (("tuple", "text"), ("str", "text"), ("Literal", "text"), ("bool", "flag"),
                       ("float", "number"), ("int", "integer")):  # fmt: skip
        if word in words:
            return kind  # type: ignore[return-value]
    return "text"


def _counted(name: str) -> bool:
    """Whether it is a quantity of a network on paper, or a number of samples."""
    return isinstance(quantities().get(name.removeprefix("stage_")), OnPaper) or name.endswith("_n")


def _typed(*tables: type) -> dict[str, Kind]:
    return {name: kind_of(hint) for table in tables for name, hint in get_type_hints(table).items()}


def columns_of_trials() -> list[Field]:
    """The columns of the results table, as fields; what the table calls them is their source."""
    typed = _typed(NetworkSpec, TrialSpec)
    columns = []
    for name, meaning in COLUMNS.items():
        usual: Kind = "integer" if _counted(name) else "number"
        kind: Kind = "text" if name in TEXTS else typed.get(name, usual)
        unit = unit_of(name)
        columns.append(Field(with_unit(name, unit), kind, meaning, unit, name))
    return columns


def settings_beside() -> list[Field]:
    """The settings of a trial and of its network that are no columns of the results table."""
    settings = []
    for table in (TrialSpec, NetworkSpec):
        hints = get_type_hints(table)
        for one in fields(table):
            if one.name in COLUMNS or one.name == "network":
                continue
            unit = str(one.metadata.get("unit", ""))
            sentence = str(one.metadata.get("sentence", ""))
            settings.append(
                Field(with_unit(one.name, unit), kind_of(hints[one.name]), sentence, unit, one.name)
            )
    return settings


def value_field(name: str) -> Field:
    """A value of a record that is no column of the results table."""
    by_name, own = quantities(), name.removeprefix("stage_")
    unit = unit_of(name)
    meaning = VALUES.get(name, "")
    if not meaning and own in by_name:
        meaning = by_name[own].sentence if own == name else f"{own} of the stage under test alone"
    kind: Kind = "integer" if _counted(name) else "number"
    return Field(with_unit(name, unit), kind, meaning or f"the value {name} of the record", unit, name)


def fact_field(name: str) -> Field:
    """A fact of the environment that is no column of the results table."""
    return Field(f"env_{name}", "text", f"of where it ran: {name.replace('_', ' ')}", "", name)


def series_field(name: str) -> Field:
    """A series of a training, one value an epoch."""
    if name in SERIES:
        column, unit, meaning = SERIES[name]
        return Field(column, "number", meaning, unit, name)
    return Field(name, "number", f"the series {name} of the record", "", name)


def kind_seen(value: object) -> str:
    """A kind; "large" or "huge" for whole numbers beyond float64 or 64 bits, "nested" for what is no single value."""
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, int):
        return "integer" if abs(value) <= EXACT else "large" if -(2**63) <= value < 2**63 else "huge"
    return "number" if isinstance(value, float) else "text" if isinstance(value, str) else "nested"


def settled(field: Field, seen: set[str]) -> Field:
    """The field with the kind that holds all values without loss: the declared one where it does.

    Args:
        field: as it is declared.
        seen: of its values, see `kind_seen`.
    """
    declared = field.kind
    if not seen or (declared == "text" and seen == {"text"}):
        return field
    if seen == {"flag"}:
        return replace(field, kind="flag")
    if seen <= {"integer", "large"} and (declared != "number" or "large" in seen):
        return replace(field, kind="integer")
    if seen <= {"integer", "number"}:
        return replace(field, kind="number")
    return replace(field, kind="text")


def cell_of(field: Field, value: object) -> str | float | None:
    """The value as the column holds it; in a text column what is no text is JSON.

    Raises:
        ValueError: it does not fit, see `settled`.
    """
    if value is None:
        return None
    if field.kind == "text":
        return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    if not isinstance(value, int | float):
        raise ValueError(f"{field.name} cannot be {str(value)[:40]!r}")
    return float(value) if field.kind == "number" else value


def described(field: Field) -> Mapping[str, str]:
    """The field for a schema file."""
    return {
        "name": field.name,
        "type": field.kind,
        "unit": field.unit,
        "meaning": field.meaning,
        "from": field.source,
    }
