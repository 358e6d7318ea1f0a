"""`results-schema.json`: the tables of a data set, their columns, keys and digests, with a version."""

from __future__ import annotations

import json

from blockzoo.core.record import SCHEMA_VERSION
from blockzoo.publish.about import KEYS, REFERENCES, TABLES, About
from blockzoo.publish.fields import PRIVATE, VERSION, described

FILE = "results-schema.json"


def schema_text(about: About) -> str:
    """The text of the file."""
    tables = [
        {
            "name": table.name,
            "file": table.path.name,
            "description": TABLES[table.name],
            "rows": table.rows,
            "bytes": table.bytes,
            "sha256": table.sha256,
            "key": list(KEYS.get(table.name, ())),
            "references": dict(zip(("column", "table", "to"), REFERENCES.get(table.name, ()), strict=False)),
            "columns": [described(one) for one in table.fields],
        }
        for table in about.tables
    ]
    document = {
        "schema_version": VERSION,
        "record_schema_version": SCHEMA_VERSION,
        "made_by": f"blockzoo {about.version}",
        "made": about.made,
        "accuracy_unit": "fraction",
        "left_out": {"facts": list(PRIVATE), "records": dict(about.others)},
        "tables": tables,
    }
    return json.dumps(document, indent=1) + "\n"
