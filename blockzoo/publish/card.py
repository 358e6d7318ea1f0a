"""The card of a data set, README.md: YAML as the Hugging Face Hub reads it, then what people read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from blockzoo.core.text import markdown
from blockzoo.publish.about import REFERENCES, TABLES, About
from blockzoo.publish.fields import PRIVATE, Field
from blockzoo.publish.parquet import Written
from blockzoo.publish.schema_file import FILE as SCHEMA_FILE

TYPES = {"text": "string", "integer": "int64", "number": "float64", "flag": "bool"}
LISTS = {"flags": "bool", "codes": "uint8"}
SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
WORDS = ("1K", "10K", "100K", "1M", "10M")


def size_category(rows: int) -> str:
    """The Hub's word for a number of rows.

    Examples:
        >>> size_category(85), size_category(12_000)
        ('n<1K', '10K<n<100K')
    """
    place = sum(rows >= limit for limit in SIZES)
    if place == 0:
        return f"n<{WORDS[0]}"
    return f"n>{WORDS[-1]}" if place == len(SIZES) else f"{WORDS[place - 1]}<n<{WORDS[place]}"


def feature(one: Field) -> dict[str, Any]:
    """A column as the Hub's viewer and `datasets` declare it."""
    if one.kind in LISTS:
        return {"name": one.name, "sequence": LISTS[one.kind]}
    return {"name": one.name, "dtype": TYPES[one.kind]}


def metadata(about: About) -> dict[str, Any]:
    """The YAML of the card."""
    infos = [
        {
            "config_name": table.name,
            "features": [feature(one) for one in table.fields],
            "splits": [{"name": "train", "num_bytes": table.bytes, "num_examples": table.rows}],
            "download_size": table.bytes,
            "dataset_size": table.bytes,
        }
        for table in about.tables
    ]
    configs = [
        {
            "config_name": table.name,
            "data_files": [{"split": "train", "path": table.path.name}],
            **({"default": True} if table.name == "trials" else {}),
        }
        for table in about.tables
    ]
    return {
        "license": about.licence,
        "pretty_name": about.title,
        "language": ["en"],
        "task_categories": ["image-classification"],
        "tags": ["benchmark", "convolutional-neural-networks", "neural-architecture-search", "blockzoo"],
        "size_categories": [size_category(max(table.rows for table in about.tables))],
        "configs": configs,
        "dataset_info": infos,
    }


def front_matter(values: Mapping[str, Any]) -> str:
    """Values as the YAML between two lines of dashes with which a card begins."""
    text = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=False, width=10_000)
    return f"---\n{text}---\n"


def card_text(about: About) -> str:
    """The text of the card."""
    left = [f"{count:,} {kind}" for kind, count in sorted(about.others.items())]
    parts = [
        front_matter(metadata(about)),
        f"# {markdown(about.title)}",
        about.sentence,
        "Accuracies and shares are fractions of 0 to 1 everywhere, losses are in nats, times in the unit that ends the name of "
        "the column. Numbers are as they were stored, float64; nothing is averaged. An empty cell is a value that is not there, "
        "such as a time of a network that was not timed, or a loss that was not finite.",
        "There is one split, `train`, since a table needs one to be loaded: these are measurements, not examples to learn from.",
        _tables(about),
        _tiers(),
        f"`{SCHEMA_FILE}` has all columns and the digests of the files for programs; its `schema_version` is raised where a "
        f"column gets another name, type or meaning. Left out: {', '.join([*map(_fact, PRIVATE), *left])}.",
        _use(),
        *(_columns(table) for table in about.tables),
    ]
    return "\n\n".join(parts) + "\n"


def _fact(name: str) -> str:
    return f"the {name} of each machine"


def _tables(about: About) -> str:
    lines = [
        f"| `{table.path.name}` | {TABLES[table.name]} | {table.rows:,} | {_joined(table.name)} |"
        for table in about.tables
    ]
    return "\n".join(["| file | what a row is | rows | belongs to |", "|---|---|---:|---|", *lines])


def _joined(name: str) -> str:
    if name not in REFERENCES:
        return ""
    column, table, _ = REFERENCES[name]
    return f"{table}, by `{column}`"


def _tiers() -> str:
    return (
        "`tier` says who vouches for a row: **own** was measured by who publishes this, **reported** was handed in by others, "
        "**reproduced** was handed in and agreed with a rerun."
    )


def _use() -> str:
    return """```python
import pandas as pd

trials = pd.read_parquet("trials.parquet")
curves = pd.read_parquet("curves.parquet").merge(trials[["fingerprint", "block", "position"]], on="fingerprint")
```"""


def _columns(table: Written) -> str:
    lines = [
        f"| `{one.name}` | {TYPES.get(one.kind) or f'list of {LISTS[one.kind]}'} | {markdown(one.unit)} "
        f"| {markdown(one.meaning)} |"
        for one in table.fields
    ]
    return "\n".join([f"## {table.name}", "", "| column | type | unit | meaning |", "|---|---|---|---|", *lines])  # fmt: skip
