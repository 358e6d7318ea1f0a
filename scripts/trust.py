"""Write the tables of docs/trust.md anew: `python scripts/trust.py`.

The checks from their docstrings; what was tried from the records of `agreement.py` and `coupling_promise.py` in benchmarks/.
"""

from __future__ import annotations

import csv
import inspect
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from blockzoo.core.contracts import CHECKS

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "trust.md"
HEAD = "| check | compares | catches | tolerance | cost |\n|---|---|---|---|---|\n"


PARAGRAPHS = ("Catches:", "Tolerance:", "Cost:")


def told(name: str) -> list[str]:
    """What a check's docstring says: what it compares, catches, tolerates and costs; empty where it says nothing of it."""
    paragraphs = [" ".join(p.split()) for p in (inspect.getdoc(CHECKS[name]) or "").split("\n\n")]
    others = [
        next((p.removeprefix(k).strip() for p in paragraphs if p.startswith(k)), "") for k in PARAGRAPHS
    ]
    return [paragraphs[0], *others]


def table() -> str:
    """All checks, as Markdown."""
    return HEAD + "".join(f"| `{name}` | {' | '.join(told(name))} |\n" for name in CHECKS)


TRIED = "| what was tried | how often | what happened |\n|---|---:|---|\n"
FORMS = {
    "folded": "batch norms folded",
    "deployed": "deployed: branches merged, batch norms folded",
    "planned": "run in tiles as planned",
    "tiles": "run in tiles wherever it can be",
    "memory": "memory of a run in tiles, predicted and tracked",
    "exported": "exported, by ONNX Runtime",
    "file in tiles": "the exported file in tiles, by ONNX Runtime",
}


def tried() -> str:
    """What the records say that was tried, how often, and what happened, as Markdown."""
    lines = (*_agreements(), *_couplings())
    return TRIED + "".join(f"| {what} | {times:,} | {story} |\n" for what, times, story in lines)


def _agreements() -> Iterable[tuple[str, int, str]]:
    rows = _records("agreement")
    kinds: dict[str, Callable[[str], bool]] = {
        "networks of torchvision and timm": lambda name: ":" in name,
        "random programs": lambda name: name.startswith("program") and "several" not in name,
        "random programs of several outputs": lambda name: "several" in name,
    }
    for kind, belongs in kinds.items():
        for form, told in FORMS.items():
            chosen = [row for row in rows if row["form"] == form and belongs(row["network"])]
            if chosen:
                yield f"{kind}, {told}", len(chosen), _outcomes(chosen)


def _outcomes(rows: list[dict[str, str]]) -> str:
    counts = {
        kind: [row for row in rows if row["outcome"] == kind]
        for kind in ("agrees", "refused", "differs", "crashed")
    }
    worst = max((float(row["difference"]) for row in counts["agrees"]), default=0.0)
    said = [f"{len(counts['agrees'])} agree, the worst to {worst:.1e}"]
    if counts["refused"]:
        said.append(f"{len(counts['refused'])} refused with a reason")
    for kind in ("differs", "crashed"):
        if counts[kind]:
            said.append(
                f"**{len(counts[kind])} {kind}** ({', '.join(row['network'] for row in counts[kind])})"
            )
    return "; ".join(said)


def _couplings() -> Iterable[tuple[str, int, str]]:
    rows = _records("coupling_promise")
    if rows:
        wrong, entries = sum(int(row["wrong"]) for row in rows), sum(int(row["entries"]) for row in rows)
        unsure = sum(int(row["not_converged"]) for row in rows)
        worst, upper = (
            min(float(row["worst"]) for row in rows),
            max(float(row["truth_over_upper"]) for row in rows),
        )
        yield (
            "coupling maps, against the whole Hessian",
            len(rows),
            f"of {entries:,} entries {unsure} say that they have not converged, {wrong} of the others are under 0.98 of the "
            f"truth, the worst {worst:.9f}; the truth is at most {upper:.9f} of `upper`",
        )


def _records(name: str) -> list[dict[str, str]]:
    path = DOCS / "results" / f"{name}.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def main() -> None:
    text = PAGE.read_text()
    for head, made in ((HEAD, table()), (TRIED, tried())):
        first = re.escape(head.partition("\n")[0])
        text = re.sub(
            rf"{first}\n.*?(?=\n\n|\Z)", lambda _, made=made: made.rstrip("\n"), text, flags=re.DOTALL
        )
    PAGE.write_text(text.rstrip("\n") + "\n")
    print(f"{len(CHECKS)} checks written to {PAGE}")


if __name__ == "__main__":
    main()
