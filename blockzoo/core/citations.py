"""BibTeX entries from sources as docstrings give them: `AUTHORS, TITLE, VENUE YEAR, arXiv:NUMBER (REMARK)`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import yaml

from blockzoo import __version__
from blockzoo.core.shipped import shipped
from blockzoo.core.text import plain

SPECIAL = re.compile(r"[\\{}$&#%_~^]")
NAMED = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
SOURCE = re.compile(
    r"(?P<authors>[^,]+), (?P<title>.+), (?P<venue>[^,]*?) ?\b(?P<year>\d{4})"
    r"(?:, arXiv:(?P<arxiv>\d{4}\.\d{4,5}))?(?:, doi:(?P<doi>[^\s,]+))?"
)
REMARK = re.compile(r"(?P<source>.*) \((?P<remark>[^()]*)\)")
JOURNALS = {
    "TPAMI", "TMLR", "JMLR", "IJCV", "TCAD", "Nature", "Nature Methods", "Computational Visual Media", "Proceedings of the IEEE",
    "Computing in Science and Engineering",
}  # fmt: skip
INSTITUTIONS = ("University", "Repository")
"""Where a venue has such a word, it is who published the work."""
SMALL_WORDS = {"a", "an", "the", "on", "do"}
LIBRARIES = {
    "torch": "Paszke et al., PyTorch: An Imperative Style, High-Performance Deep Learning Library, NeurIPS 2019, "
    "arXiv:1912.01703",
    "torchvision": "TorchVision maintainers and contributors, TorchVision: PyTorch's Computer Vision Library, 2016",
    "timm": "Wightman, PyTorch Image Models, 2019, doi:10.5281/zenodo.4414861",
    "lightning": "Falcon and The PyTorch Lightning team, PyTorch Lightning, 2019, doi:10.5281/zenodo.3828935",
    "numpy": "Harris et al., Array Programming with NumPy, Nature 2020, arXiv:2006.10256",
    "scipy": "Virtanen et al., SciPy 1.0: Fundamental Algorithms for Scientific Computing in Python, Nature Methods 2020, "
    "arXiv:1907.10121",
    "scikit-learn": "Pedregosa et al., Scikit-learn: Machine Learning in Python, JMLR 2011, arXiv:1201.0490",
    "matplotlib": "Hunter, Matplotlib: A 2D Graphics Environment, Computing in Science and Engineering 2007",
    "ray": "Moritz et al., Ray: A Distributed Framework for Emerging AI Applications, OSDI 2018, arXiv:1712.05889",
}
"""The packages that blockzoo stands on and that ask to be cited."""
METHODS = {
    "muon_lr": "Jordan et al., Muon: An Optimizer for Hidden Layers in Neural Networks, 2024",
    "ema_decay": "Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, SIAM Journal on Control and "
    "Optimization 1992; "
    "Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization, UAI 2018, arXiv:1803.05407",
}
"""Settings that are of a paper."""


@dataclass(frozen=True)
class Citation:
    """One work.

    Args:
        source: as it was given.
        authors, title, venue, year, arxiv, doi, remark: its parts; where it has another form, only `remark`, which is all of it.
    """

    source: str
    authors: str = ""
    title: str = ""
    venue: str = ""
    year: str = ""
    arxiv: str = ""
    doi: str = ""
    remark: str = ""

    @property
    def key(self) -> str:
        """First author, year and first word of the title that says something: `he2016deep`."""
        words = [word.lower() for word in re.findall(r"[A-Za-z0-9]+", self.title)]
        word = next((word for word in words if word not in SMALL_WORDS), "")
        first = re.split(r" et al\.| and ", self.authors)[0].split(" ")[0]
        key = re.sub(r"[^a-z0-9]", "", f"{first.lower()}{self.year}{word}")
        return key or re.sub(r"[^a-z0-9]", "", self.source.lower())[:30]

    @property
    def kind(self) -> str:
        """Of the entry."""
        if self.venue in JOURNALS or "Journal" in self.venue:
            return "article"
        return "inproceedings" if self.venue and not self._institution else "misc"

    @property
    def _institution(self) -> bool:
        return any(word in self.venue for word in INSTITUTIONS)

    def bibtex(self, key: str = "", more: str = "") -> str:
        """The entry. Of authors the family names are known, so `and others` stands for the rest.

        Args:
            key: of the entry (default: its own).
            more: for the note.
        """
        place = {"article": "journal", "inproceedings": "booktitle"}.get(self.kind, "publisher")
        note = "; ".join(filter(None, (self.remark, more)))
        fields = {
            "author": bibtex_text(self.authors.replace(" et al.", " and others")),
            "title": self.title and f"{{{bibtex_text(self.title)}}}",
            place: bibtex_text(self.venue),
            "year": self.year,
            "eprint": self.arxiv,
            "archiveprefix": "arXiv" if self.arxiv else "",
            "doi": self.doi,
            "note": bibtex_text(note),
        }
        return entry(self.kind, key or self.key, fields)


def entry(kind: str, key: str, fields: Mapping[str, str]) -> str:
    """An entry of BibTeX with the fields that are not empty; their values are BibTeX already."""
    lines = [f"  {name} = {{{value}}}" for name, value in fields.items() if value]
    return f"@{kind}{{{key},\n" + ",\n".join(lines) + "\n}\n"


def bibtex_text(text: str) -> str:
    """For a value of BibTeX in braces: signs that mean something to TeX are written as signs.

    Examples:
        >>> bibtex_text("50 % of {a_b}")
        '50 \\\\% of \\\\{a\\\\_b\\\\}'
    """
    return SPECIAL.sub(lambda match: NAMED.get(match[0], f"\\{match[0]}"), plain(text, lines=False))


def citations_of(source: str) -> list[Citation]:
    """The works that a source names, semicolons between them; none of an empty text.

    Examples:
        >>> (one,) = citations_of("He et al., Deep Residual Learning, CVPR 2016, arXiv:1512.03385.")
        >>> one.title, one.venue, one.year, one.key
        ('Deep Residual Learning', 'CVPR', '2016', 'he2016deep')
    """
    parts = re.split(r"; (?![^()]*\))", " ".join(source.split()))
    return [_parsed(part) for part in parts if part]


def _parsed(source: str) -> Citation:
    text, remark = source.removesuffix("."), ""
    if match := REMARK.fullmatch(text):
        text, remark = match["source"], match["remark"]
    if match := SOURCE.fullmatch(text):
        return Citation(
            source, remark=remark, **{name: value or "" for name, value in match.groupdict().items()}
        )
    return Citation(source, remark=source)


def keyed(works: Iterable[Citation]) -> dict[str, Citation]:
    """Different works by different keys; a letter is added where two have the same."""
    by_key: dict[str, Citation] = {}
    for work in dict.fromkeys(works):
        letters = ("", *"bcdefghijklmnopqrstuvwxyz")
        key = next(work.key + letter for letter in letters if work.key + letter not in by_key)
        by_key[key] = work
    return by_key


def of_this_package() -> str:
    """The entry of blockzoo, from CITATION.cff.

    Raises:
        UsageError: that file was left out of this installation.
    """
    citation = yaml.safe_load(shipped("CITATION.cff").read_text(encoding="utf-8"))
    fields = {
        "author": " and ".join(f"{{{bibtex_text(one['name'])}}}" for one in citation["authors"]),
        "title": f"{{{bibtex_text(citation['title'])}}}",
        "version": bibtex_text(__version__),
        "note": bibtex_text(f"{citation['abstract'].partition(':')[0]}; {citation['license']}"),
        "url": citation.get("repository-code", ""),
    }
    return entry("software", str(citation["title"]), fields)
