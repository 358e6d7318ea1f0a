"""Write the table of docs/trust.md anew from the docstrings of the checks: `python scripts/trust.py`."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from blockzoo.core.contracts import CHECKS

PAGE = Path(__file__).parents[1] / "docs" / "trust.md"
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


def main() -> None:
    made = table()
    text = re.sub(r"\| check \| compares .*?\n(?=\n|\Z)", lambda _: made, PAGE.read_text(), flags=re.DOTALL)
    PAGE.write_text(text)
    print(f"{len(CHECKS)} checks written to {PAGE}")


if __name__ == "__main__":
    main()
