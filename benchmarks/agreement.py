"""Try every form of many networks against the network itself: a row for each, in docs/results/agreement.csv.

    python benchmarks/agreement.py [NAME ...] [--programs 300] [--forms deployed planned ...]

Networks are those of torchvision and timm that tests/tiling/real_networks.py names (each in a process of its own, random weights
and statistics, in double precision), and random programs of the grammar in tests/tiling/grammar.py. A form agrees with the
network on inputs of both signs, large ones and ones with NaN, or is refused with a reason; anything else is a fault. Rows that
are there already are not tried again: delete the file to try all of it.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).parents[1])  # not this folder: torch would take its profile.py for Python's

import torch
from hypothesis import given

from blockzoo.core.environment import environment
from blockzoo.models.merging import mergeable
from tests.tiling.forms import FORMS, Truth, drawn, outcome
from tests.tiling.grammar import Program, programs, the_same_each_time
from tests.tiling.real_networks import NAMES, network

OUTPUT = Path(__file__).parents[1] / "docs" / "results" / "agreement.csv"
COLUMNS = ("network", "form", "outcome", "difference", "reason", "seconds", "torch", "revision")
OF_NETWORKS = tuple(form for form in FORMS if form != "memory")
LONGEST_REASON = 300
Write = Callable[[list[dict[str, Any]]], None]


def tried(truth: Truth, forms: list[str]) -> list[dict[str, Any]]:
    """What became of a network in each of these forms."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for form in forms:
            begin = time.process_time()
            compared = outcome(form, truth, Path(folder))
            difference = "" if compared.difference is None else f"{compared.difference:.1e}"
            reason = " ".join(compared.reason.split())[:LONGEST_REASON]
            seconds = f"{time.process_time() - begin:.1f}"
            rows.append(
                dict(zip(COLUMNS[1:6], (form, compared.kind, difference, reason, seconds), strict=True))
            )
    return rows


def of_network(asked: tuple[str, list[str]]) -> list[dict[str, Any]]:
    """Those of a network by name."""
    name, forms = asked
    torch.set_num_threads(1)
    made, x = network(name)
    if not mergeable(made):
        forms = [form for form in forms if form != "folded"]  # the same as deployed
    return [{"network": name, **row} for row in tried(Truth(drawn(made), x.double()), forms)]


def try_programs(
    count: int, several: bool, forms: list[str], there: set[tuple[str, str]], write: Write
) -> None:
    """So many random programs, the same each time, each written as soon as it was tried."""
    number = 0

    @the_same_each_time(count)
    @given(programs(several=several))
    def one(program: Program) -> None:
        nonlocal number
        number += 1
        name = f"program {number}{' of several outputs' if several else ''}"
        missing = [form for form in forms if (name, form) not in there]
        x = torch.zeros(1, 3, *program.size, dtype=torch.float64)
        if not missing:
            return
        try:
            truth = Truth(drawn(program.build()), x)
        except (RuntimeError, ValueError):  # PyTorch itself refuses it
            return
        write([{"network": name, **row} for row in tried(truth, missing)])

    one()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all of them")
    parser.add_argument(
        "--programs", type=int, default=0, help="random programs of one output, and as many of several"
    )
    parser.add_argument("--forms", nargs="+", choices=OF_NETWORKS, default=list(OF_NETWORKS))
    parser.add_argument("--output", type=Path, default=OUTPUT)
    asked = parser.parse_args()
    there = {(row["network"], row["form"]) for row in read(asked.output)}
    facts = {name: environment()[name] for name in ("torch", "revision")}
    asked.output.parent.mkdir(parents=True, exist_ok=True)
    with asked.output.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if not there:
            writer.writeheader()

        def write(rows: list[dict[str, Any]]) -> None:
            for row in rows:
                writer.writerow(row | facts)
                said = row["reason"] or row["difference"]
                print(
                    f"{row['network']} | {row['form']} | {row['outcome']}: {said} | {row['seconds']} s",
                    flush=True,
                )
            file.flush()

        for several in (False, True) if asked.programs else ():
            try_programs(asked.programs, several, asked.forms, there, write)
        if asked.programs and not asked.names:
            return
        names = asked.names or NAMES
        missing = [(n, [f for f in asked.forms if (n, f) not in there]) for n in names]
        missing = [(n, f) for n, f in missing if set(f) - {"folded"}]
        with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
            for rows in pool.imap(of_network, missing):
                write(rows)


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a file; none where there is none."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
