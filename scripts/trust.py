"""Write the table of docs/trust.md anew from the docstrings of the checks: `python scripts/trust.py`."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from blockzoo.core.contracts import CHECKS

PAGE = Path(__file__).parents[1] / "docs" / "trust.md"
HEAD = "| check | compares | catches | tolerance | cost |\n|---|---|---|---|---|\n"


def row(name: str) -> str:
    paragraphs = [" ".join(p.split()) for p in (inspect.getdoc(CHECKS[name]) or "").split("\n\n")]
    cells = [paragraphs[0]]
    for part in ("Catches:", "Tolerance:", "Cost:"):
        cells.append(next((p.removeprefix(part).strip() for p in paragraphs if p.startswith(part)), ""))
    return f"| `{name}` | {' | '.join(cells)} |\n"


def main() -> None:
    table = HEAD + "".join(row(name) for name in CHECKS)
    text = re.sub(r"\| check \| compares .*?\n(?=\n|\Z)", lambda _: table, PAGE.read_text(), flags=re.DOTALL)
    PAGE.write_text(text)
    print(f"{len(CHECKS)} checks written to {PAGE}")


if __name__ == "__main__":
    main()
