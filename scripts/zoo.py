"""Write docs/zoo.md anew: `python scripts/zoo.py`. Each block with what it is, where its description comes from, and its size.

The families are the files of `blockzoo/blocks/`, the sentences their docstrings; parameters and multiply-adds are measured.
"""

from __future__ import annotations

import importlib
import inspect
from collections import defaultdict
from pathlib import Path

from blockzoo.core.contracts import ATTENTIONS, BLOCKS
from blockzoo.core.discovery import first_sentence
from blockzoo.profile import profile_block

PAGE = Path(__file__).parents[1] / "docs" / "zoo.md"
WIDTH = 64
HEAD = f"""# The zoo

Written by `python scripts/zoo.py` from the blocks themselves. Each is built as `Block(in_channels, out_channels, stride,
position)`, alike at every position; `blockzoo blocks NAME` shows one at several widths. A block that keeps its shape has one
transition in front where that changes, the same for all: 1x1, then 3x3 depthwise with the stride, each with batch norm and ReLU.
`blockzoo blocks --duplicates` looks for pairs that are one block under two names: there are none (a test holds it).
A width that a block cannot have is refused with the nearest ones. Parameters (trained form) and multiply-adds are of one block
of {WIDTH} channels that keeps a 32 x 32 map: its share of the stage `early` of the default scaffold with one block a stage.
"""


def page() -> str:
    """The text of the page."""
    families: dict[str, list[str]] = defaultdict(list)
    for name in BLOCKS.names():
        families[BLOCKS.origin(name).partition(":")[0].rpartition(".")[2]].append(name)
    return HEAD + "".join(_family(names) for _, names in sorted(families.items())) + _attentions()


def _attentions() -> str:
    """What can be added behind any block."""
    rows = "".join(
        f"| `+{name}` | {ATTENTIONS.summary(name)} | {_paper(name)} | {_added(name):,} |\n"
        for name in ATTENTIONS.names()
    )
    head = f"| behind | what it is | source | parameters at {WIDTH} channels |\n|---|---|---|--:|\n"
    return f"\n## Attention behind any block: `ResNetBasicBlock+eca`, `my_file.py:MyBlock+se`\n\n{head}{rows}"


def _paper(name: str) -> str:
    return " ".join((inspect.getdoc(ATTENTIONS[name]) or "").rpartition("Source:")[2].split()).rstrip(".")


def _added(name: str) -> int:
    return sum(parameter.numel() for parameter in ATTENTIONS[name](WIDTH).parameters())


def _family(names: list[str]) -> str:
    module = importlib.import_module(BLOCKS[names[0]].__module__)
    rows = "".join(f"| `{name}` | {_sentence(name)} | {_source(name)} | {_size(name)} |\n" for name in names)
    head = "| block | what it is | source | parameters | multiply-adds |\n|---|---|---|--:|--:|\n"
    return f"\n## {first_sentence(module.__doc__)}\n\n{head}{rows}"


def _sentence(name: str) -> str:
    return first_sentence(BLOCKS[name].__doc__).replace("|", "\\|")


def _source(name: str) -> str:
    source = " ".join((inspect.getdoc(BLOCKS[name]) or "").rpartition("Source:")[2].split())
    words, _, number = source.partition("arXiv:")
    number = number.split()[0].strip(".,()")
    return f"[{words.rstrip(', ')}](https://arxiv.org/abs/{number})"


def _size(name: str) -> str:
    stage = profile_block(name, "early", num_blocks=1, base_channels=WIDTH, memory=False).stage
    assert stage is not None
    return f"{stage.params_trained:,} | {stage.macs / 1e6:,.1f} M"


def main() -> None:
    """Write it."""
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
