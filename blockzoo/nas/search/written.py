"""What a comparison of search algorithms leaves in a folder: tables, every trace, the request with its circumstances, LaTeX."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blockzoo.core.checksums import file_digest
from blockzoo.core.documents import checked, decoded, from_json
from blockzoo.core.environment import environment
from blockzoo.core.errors import DataError
from blockzoo.core.files import write_lines, write_text
from blockzoo.core.record import now
from blockzoo.core.sources import code_digest
from blockzoo.core.text import csv_lines
from blockzoo.core.typeset import as_latex
from blockzoo.core.units import exact
from blockzoo.nas.benchmark.loading import BUNDLED, SURROGATE
from blockzoo.nas.benchmark.surrogate import numbers_of
from blockzoo.nas.contracts import SEARCHES
from blockzoo.nas.figures import regret_curves
from blockzoo.nas.files.folder import part_of
from blockzoo.nas.search.paired import paired, paired_table, regret_table
from blockzoo.report.pictures.looks import save

if TYPE_CHECKING:
    from blockzoo.nas.search.simulate import Comparison
    from blockzoo.nas.search.task import Task

log = logging.getLogger(__name__)

RESULT, SIMULATED = "comparison.json", "search, simulated"
TRACE = ("algorithm", "seed", "answer", "spent", "index", "epochs", "val_acc", "incumbent", "regret")


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Args:
        benchmark: by its name, or its folder.
        algorithms: by name, in the order of the command.
        seeds: searches of each.
        plugins: with which algorithms came.
    """

    benchmark: str
    algorithms: Sequence[str]
    seeds: int
    plugins: Sequence[str] = ()

    def command(self, task: Task, output: Path) -> str:
        """The command that does it again, whatever defaults will be then."""
        words = ["blockzoo", "nas", "search", "--algorithm", *self.algorithms]
        words += ["--benchmark", self.benchmark, "--budget", exact(task.budget), "--unit", task.unit]
        words += ["--duplicates", task.duplicates, "--seeds", str(self.seeds)]
        words += [] if task.seed is None else ["--seed", str(task.seed)]
        words += [word for plugin in self.plugins for word in ("--plugin", plugin)]
        return shlex.join([*words, "--output", str(output)])


def write(made: Comparison, task: Task, request: Request, folder: Path, *, seconds: float) -> list[Path]:
    """Write all of it.

    Args:
        made: the comparison.
        task: that it is of.
        request: what was asked for.
        folder: for the files, which are replaced.
        seconds: that the searches took, on the wall clock.

    Returns:
        `regret.csv`, `paired.csv`, `traces.csv` (every answer of every search), the LaTeX of the first two, the
        pictures, `comparison.json` (read by `Comparison.load`) and `manifest.json`.
    """
    pairs = paired(made)
    rows = made.rows()
    texts = {
        "regret.csv": csv_lines(rows, list(rows[0])),
        "regret.tex": [as_latex(regret_table(made))],
        "traces.csv": csv_lines(trace_rows(made), list(TRACE)),
    }
    if pairs:
        compared = [pair.row() for pair in pairs]
        texts["paired.csv"] = csv_lines(compared, list(compared[0]))
        texts["paired.tex"] = [as_latex(paired_table(made, pairs))]
    written = []
    for name, lines in texts.items():
        write_lines(folder / name, lines)
        written.append(folder / name)
    for suffix in ("png", "svg"):
        save(regret_curves(made), folder / f"regret.{suffix}")
        written.append(folder / f"regret.{suffix}")
    written.append(made.save(folder / RESULT))
    digests = {path.name: file_digest(path) for path in written if path.suffix in (".csv", ".tex", ".json")}
    document = {**manifest(task, request, folder), "search_seconds": round(seconds, 3), "files": digests}
    write_text(folder / "manifest.json", json.dumps(document, indent=2) + "\n")
    return [*written, folder / "manifest.json"]


def read(folder: Path) -> Comparison | None:
    """The comparison that `write` left in a folder; None where its manifest is of something else, or of an earlier version.

    Raises:
        DataError: a file is missing, cannot be read or is not the one that was written; the message names it.
    """
    from blockzoo.nas.search.simulate import Comparison

    place = folder / "manifest.json"
    try:
        content = place.read_bytes()
    except OSError as error:
        raise DataError(f"{place} cannot be read: {error.strerror or error}") from None
    document = checked(dict[str, Any], from_json(decoded(content, str(place)), str(place)), str(place))
    if document.get("nas") != SIMULATED:
        return None
    path, digests = folder / RESULT, checked(dict[str, str], document.get("files"), f"{place}, files")
    if RESULT not in digests:
        log.warning(
            "%s tells of a search of an earlier version, which kept no %s: run its command again",
            place,
            RESULT,
        )
        return None
    comparison = Comparison.load(path)
    if file_digest(path) != digests.get(RESULT):
        raise DataError(f"{path} is not the file that {place} tells of: run its command again")
    return comparison


def trace_rows(made: Comparison) -> Iterator[dict[str, Any]]:
    """Every answer of every search: `spent` of the budget so far, `val_acc` that the algorithm was told, in per cent, `regret` of
    the network that would be chosen then, in points of test accuracy.
    """
    for name, traces in made.traces.items():
        for seed, trace in enumerate(traces):
            columns = (trace.spent, trace.index, trace.epochs, trace.accuracy, trace.incumbent, trace.regret)
            for answer, values in enumerate(zip(*(column.tolist() for column in columns), strict=True), 1):
                yield dict(zip(TRACE, (name, seed, answer, *values), strict=True))


def manifest(task: Task, request: Request, folder: Path) -> dict[str, Any]:
    """The command, what the numbers are, files and code with their digests, versions and hardware."""
    dataset = task.dataset
    own = {name: origin for name in request.algorithms if (origin := SEARCHES.own_origin(name))}
    return {
        "command": request.command(task, folder),
        "nas": SIMULATED,
        "benchmark": {
            "name": request.benchmark,
            "numbers": numbers_of(dataset),
            "setting": dataset.setting,
            "files": _digests(request.benchmark),
            "training_seed": task.seed if task.seed is not None else dataset.seeds[0],
        },
        "dataset": dataset.dataset,
        "algorithms": list(request.algorithms),
        "own_code": {name: {"origin": origin, "digest": code_digest(origin)} for name, origin in own.items()},
        "search_seeds": list(range(request.seeds)),
        "budget": task.budget,
        "unit": task.unit,
        "duplicates": task.duplicates,
        "timestamp": now(),
        "environment": environment(),
        "packages": _packages(),
    }


def _digests(benchmark: str) -> dict[str, str]:
    """SHA-256 of the files that a benchmark was read from, or its model fitted to."""
    place = Path(benchmark) if Path(benchmark).is_dir() else BUNDLED / benchmark.removesuffix(SURROGATE)
    return {path.name: file_digest(path) for path in sorted(place.iterdir()) if part_of(path)}


def _packages() -> dict[str, str]:
    """Versions of what the package declares to need, as far as it is installed."""
    versions = {}
    try:
        declared = requires("blockzoo") or []
    except PackageNotFoundError:
        declared = ["numpy", "scipy", "scikit-learn", "matplotlib"]
    for line in declared:
        name = line.split(";")[0].split("[")[0].rstrip("<>=!~. 0123456789")
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return dict(sorted(versions.items()))
