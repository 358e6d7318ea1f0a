"""Sources become BibTeX: every source of a door is understood, parts are those a person reads, keys are different."""

from __future__ import annotations

import pytest

from blockzoo import __version__
from blockzoo.core.citations import (
    LIBRARIES,
    METHODS,
    Citation,
    bibtex_text,
    citations_of,
    keyed,
    of_this_package,
)
from tests.reading_bibtex import entries


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        (
            "Trockman and Kolter, Patches Are All You Need?, TMLR 2023, arXiv:2201.09792.",
            ("Trockman and Kolter", "Patches Are All You Need?", "TMLR", "2023", "2201.09792", ""),
        ),
        (
            "Chen et al., Run, Don't Walk: Chasing Higher FLOPS, CVPR 2023, arXiv:2303.03667.",
            ("Chen et al.", "Run, Don't Walk: Chasing Higher FLOPS", "CVPR", "2023", "2303.03667", ""),
        ),
        (
            "Liu et al., A ConvNet for the 2020s, CVPR 2022, arXiv:2201.03545.",
            ("Liu et al.", "A ConvNet for the 2020s", "CVPR", "2022", "2201.03545", ""),
        ),
        (
            "Cui et al., Beyond Self-Supervision,\n2021, arXiv:2103.05959 (the library whose PP-HGNet this is).",
            (
                "Cui et al.",
                "Beyond Self-Supervision",
                "",
                "2021",
                "2103.05959",
                "the library whose PP-HGNet this is",
            ),
        ),
        (
            "Yu et al., MetaFormer Baselines, CVPR Workshops 2020.",
            ("Yu et al.", "MetaFormer Baselines", "CVPR Workshops", "2020", "", ""),
        ),
    ],
)
def test_parts_of_a_source(source: str, parts: tuple[str, ...]) -> None:
    (work,) = citations_of(source)
    assert (work.authors, work.title, work.venue, work.year, work.arxiv, work.remark) == parts


def test_an_entry_is_bibtex() -> None:
    (work,) = citations_of("He et al., 50 % of {Deep} & Wide, CVPR 2016, arXiv:1512.03385 (of A_B).")
    (read,) = entries(work.bibtex())
    assert read == (
        "inproceedings",
        "he201650",
        {
            "author": "He and others",
            "title": r"{50 \% of \{Deep\} \& Wide}",
            "booktitle": "CVPR",
            "year": "2016",
            "eprint": "1512.03385",
            "archiveprefix": "arXiv",
            "note": r"of A\_B",
        },
    )


def test_what_has_another_form_is_kept_whole() -> None:
    (work,) = citations_of("a talk that nobody wrote down")
    (read,) = entries(work.bibtex())
    assert read == ("misc", "atalkthatnobodywrotedown", {"note": "a talk that nobody wrote down"})
    assert citations_of("") == []


def test_kinds_of_entries() -> None:
    kinds = {"CVPR": "inproceedings", "JMLR": "article", "University of Toronto": "misc", "": "misc"}
    assert {venue: Citation("x", venue=venue).kind for venue in kinds} == kinds


def test_two_works_with_one_key_are_told_apart() -> None:
    works = [*citations_of("Li et al., Deep One, 2020; Li et al., Deep Two, 2020; Li et al., Deep One, 2020")]
    assert list(keyed(works)) == ["li2020deep", "li2020deepb"]


@pytest.mark.parametrize("name", [*LIBRARIES, *METHODS])
def test_libraries_and_methods_are_understood(name: str) -> None:
    for work in citations_of({**LIBRARIES, **METHODS}[name]):
        assert work.title and work.year, work


def test_this_package_is_cited_with_its_version() -> None:
    ((kind, key, fields),) = entries(of_this_package())
    assert (kind, key, fields["version"]) == ("software", "blockzoo", __version__)
    assert fields["author"] == "{The blockzoo authors}"


def test_signs_of_tex_are_written_as_signs() -> None:
    assert bibtex_text("a_b & c~d") == r"a\_b \& c\textasciitilde{}d"
