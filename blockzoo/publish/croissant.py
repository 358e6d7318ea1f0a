"""`croissant.json`: the metadata of a data set in MLCommons' Croissant format, for places that do not make it themselves.

Source: Croissant Format Specification 1.0, https://docs.mlcommons.org/croissant/docs/croissant-spec.html.
"""

from __future__ import annotations

import json
from typing import Any

from blockzoo.publish.about import KEYS, LICENCES, REFERENCES, TABLES, About
from blockzoo.publish.citation import OURS
from blockzoo.publish.fields import VERSION, Field
from blockzoo.publish.parquet import Written

FILE = "croissant.json"
CONFORMS = "http://mlcommons.org/croissant/1.0"
TYPES = {"text": "sc:Text", "integer": "sc:Integer", "number": "sc:Float", "flag": "sc:Boolean"}
LISTS = {"flags": "sc:Boolean", "codes": "sc:Integer"}
OF_CROISSANT = (
    "citeAs column extract field fileProperty fileObject fileSet format includes isLiveDataset jsonPath key md5 parentField path "
    "recordSet references regex repeated replace separator source subField transform"
).split()
"""Words of the format itself."""


def context() -> dict[str, Any]:
    """The vocabularies, as the specification asks for them."""
    words: dict[str, Any] = {word: f"cr:{word}" for word in OF_CROISSANT}
    return {
        "@language": "en",
        "@vocab": "https://schema.org/",
        "conformsTo": "dct:conformsTo",
        "cr": "http://mlcommons.org/croissant/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "dct": "http://purl.org/dc/terms/",
        "examples": {"@id": "cr:examples", "@type": "@json"},
        "sc": "https://schema.org/",
        **words,
    }


def croissant_text(about: About) -> str:
    """The text of the file; addresses of files are relative to it."""
    document: dict[str, Any] = {
        "@context": context(),
        "@type": "sc:Dataset",
        "name": about.title,
        "description": about.sentence,
        "conformsTo": CONFORMS,
        "citeAs": f"{about.author or OURS}: {about.title}, {about.date}.",
        "license": LICENCES[about.licence],
        "url": about.url or "README.md",
        "version": f"{VERSION}.0.0",
        "datePublished": about.date,
        "creator": {"@type": "sc:Organization", "name": about.author or OURS},
        "distribution": [_file(table) for table in about.tables],
        "recordSet": [_records(table) for table in about.tables],
    }
    return json.dumps(document, indent=1) + "\n"


def _file(table: Written) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": table.path.name,
        "name": table.path.name,
        "description": TABLES[table.name],
        "contentSize": f"{table.bytes} B",
        "contentUrl": table.path.name,
        "encodingFormat": "application/x-parquet",
        "sha256": table.sha256,
    }


def _records(table: Written) -> dict[str, Any]:
    record_set: dict[str, Any] = {
        "@type": "cr:RecordSet",
        "@id": table.name,
        "name": table.name,
        "description": TABLES[table.name],
        "field": [_field(table, one) for one in table.fields],
    }
    if key := KEYS.get(table.name):
        record_set["key"] = [{"@id": f"{table.name}/{column}"} for column in key]
    return record_set


def _field(table: Written, one: Field) -> dict[str, Any]:
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{table.name}/{one.name}",
        "name": one.name,
        "description": f"{one.meaning}{f' ({one.unit})' if one.unit else ''}",
        "dataType": TYPES.get(one.kind) or LISTS[one.kind],
        "source": {"fileObject": {"@id": table.path.name}, "extract": {"column": one.name}},
    }
    if one.kind in LISTS:
        field["repeated"] = True
    column, *target = REFERENCES.get(table.name, ("",))
    if column == one.name:
        field["references"] = {"field": {"@id": "/".join(target)}}
    return field
