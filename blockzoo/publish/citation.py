"""`CITATION.cff` of a data set: how it is cited, and the software that made it."""

from __future__ import annotations

import yaml

from blockzoo.publish.about import About

FILE = "CITATION.cff"
OURS = "The blockzoo authors"


def citation_text(about: About) -> str:
    """The text of the file, of the Citation File Format 1.2.0."""
    values = {
        "cff-version": "1.2.0",
        "message": "If you use these measurements, please cite them with these metadata.",
        "type": "dataset",
        "title": about.title,
        "abstract": about.sentence,
        "authors": [{"name": about.author or OURS}],
        "date-released": about.date,
        "license": SPDX[about.licence],
        **({"url": about.url} if about.url else {}),
        "references": [
            {"type": "software", "title": "blockzoo", "authors": [{"name": OURS}], "version": about.version}
        ],
    }
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=False, width=10_000)


SPDX = {
    "cc-by-4.0": "CC-BY-4.0",
    "cc0-1.0": "CC0-1.0",
    "cc-by-sa-4.0": "CC-BY-SA-4.0",
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
}
"""Licences as SPDX, and so the format, calls them."""
