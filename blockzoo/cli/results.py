"""results: means with intervals per block and position, from the store or a CSV"""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.conditions import With
from blockzoo.core.errors import UsageError
from blockzoo.core.progress import working
from blockzoo.core.typeset import TextTable, name

if TYPE_CHECKING:
    from blockzoo.core.store import Store


def results(
    source: Annotated[Path, Parameter(help="a results folder, a .sqlite store or a .csv table")] = Path(
        "results"
    ),
    *,
    where: Annotated[
        list[str] | None,
        Parameter(
            help="only rows with these values of columns, as in --where block=GhostBottleneck position=mid",
            consume_multiple=True,
            negative=(),
        ),
    ] = None,
    history: Annotated[
        bool, Parameter(help="print every record, the superseded ones too", negative=())
    ] = False,
    markdown: Annotated[bool, Parameter(help="the same as --format markdown", negative=())] = False,
    verdicts: Annotated[
        bool,
        Parameter(help="compare all pairs of blocks at each position, after Holm's correction", negative=()),
    ] = False,
    ranks: Annotated[
        bool,
        Parameter(
            help="which ranks a block can have at each position, and how probably it is best or Pareto-optimal",
            negative=(),
        ),
    ] = False,
    front: Annotated[
        str,
        Parameter(
            help="the cost that is set against accuracy: macs, latency_ms or any other, with stage_ of the stage"
        ),
        With("--ranks"),
    ] = "stage_macs",
    worths: Annotated[
        bool,
        Parameter(
            help="what blocks are worth in company, from networks with a block in every stage (--design crossed)",
            negative=(),
        ),
    ] = False,
    specialisation: Annotated[
        bool,
        Parameter(
            help="at which positions a block is worth more than elsewhere, with intervals", negative=()
        ),
    ] = False,
    orders: Annotated[
        bool,
        Parameter(
            help="whether blocks keep their order by accuracy elsewhere (positions, budgets, epochs, datasets, protocols, "
            "fillers), and networks theirs by time (machines, runtimes, dtypes)",
            negative=(),
        ),
    ] = False,
    figure: Annotated[
        Path | None,
        Parameter(help="a map of the agreement, as a picture", validator=o.check_picture),
        With("--orders"),
    ] = None,
    timed_on: Annotated[
        str | None,
        Parameter(
            help="show the times taken in this way: words of it, 'bf16' or 'fp32, 1 threads' (default: the most)"
        ),
    ] = None,
    format: o.Format = "table",
    output: o.OutputFile = None,
    plugins: o.Plugins = (),
) -> None:
    """Print the results. Rows are compared only where protocol, data and overrides are equal.

    Of block-wise runs: one line a run. As CSV or JSON a store's trials are given, and its runs where it has no trials.

    Examples:
        blockzoo results
        blockzoo results results/results.csv --where position=mid --format latex
    """
    from blockzoo.core.files import write_lines
    from blockzoo.core.outputs import each_row, is_table, open_store
    from blockzoo.core.reading import Asked
    from blockzoo.report.runs import run_rows, runs_table
    from blockzoo.report.summaries import LOOKED_AT, SUMMARISED

    screen.check_output(output)
    shows = {
        "--verdicts": (verdicts, _show_verdicts),
        "--ranks": (ranks, _show_ranks),
        "--worths": (worths, _show_worths),
        "--specialisation": (specialisation, _show_specialisation),
    }
    of_trials: dict[str, Any] = {"--history": history, "--markdown": markdown, "--timed-on": timed_on}
    wanted = [(option, show) for option, (given, show) in shows.items() if given]
    if wanted:
        (option, show), *more = wanted
        others_given = {**of_trials, "--orders": orders, **dict(more)}
        if unused := [other for other, given in others_given.items() if given]:
            raise UsageError(f"{option} compares accuracies of what counts: leave out {', '.join(unused)}")
        columns = (*LOOKED_AT, front)
        show(each_row(source, Asked(_wanted(where or []), columns=columns)), format, output, front)
        return
    if orders:
        if unused := [other for other, given in of_trials.items() if given]:
            raise UsageError(
                f"--orders compares accuracies and times of all rows: leave out {', '.join(unused)}"
            )
        _show_orders(source, _wanted(where or []), (format, output), figure)
        return
    query = Asked(_wanted(where or []), history, timed_on)
    runs = [] if is_table(source) or where else open_store(source).records("blockwise", history=history)
    others = run_rows(runs)
    if history or format in ("json", "csv"):
        rows = _or_else(each_row(source, query), others)
        if rows == []:
            _say_nothing_is_there(source, where)
        screen.write(screen.text_lines(rows, "json" if format == "json" else "csv"))
    else:
        tables = _tables(each_row(source, replace(query, columns=SUMMARISED)))
        tables += [runs_table(runs)] if runs and not (markdown and tables) else []
        if tables:
            screen.show(tables, [], "markdown" if markdown else format)
        else:
            _say_nothing_is_there(source, where)
    if output is not None:
        rows = _or_else(each_row(source, query), others)
        write_lines(output, screen.text_lines(rows, screen.form_of(output)))


def _show_verdicts(rows: Iterable[dict[str, Any]], format: str, output: Path | None, front: str) -> None:
    from blockzoo.report.comparison import verdicts
    from blockzoo.report.verdicts import comparison_rows, comparison_tables

    comparisons = [comparison for comparison in verdicts(rows) if comparison.differences]
    if not comparisons:
        raise UsageError("no two blocks at one position are comparable here")
    screen.show(comparison_tables(comparisons), comparison_rows(comparisons), format, output)


def _show_ranks(rows: Iterable[dict[str, Any]], format: str, output: Path | None, front: str) -> None:
    from blockzoo.report.rank_tables import rank_rows, rank_tables
    from blockzoo.report.ranks import rankings

    groups = rankings(rows, cost=front)
    screen.show(rank_tables(groups), rank_rows(groups), format, output)


def _show_worths(rows: Iterable[dict[str, Any]], format: str, output: Path | None, front: str) -> None:
    from blockzoo.report.crossed import crossed_models
    from blockzoo.report.worths import worth_rows, worth_tables

    models = crossed_models(rows)
    screen.show(worth_tables(models), worth_rows(models), format, output)


def _show_specialisation(
    rows: Iterable[dict[str, Any]], format: str, output: Path | None, front: str
) -> None:
    from blockzoo.report.specialisation import specialisation_rows, specialisation_tables, specialisations

    groups = specialisations(rows)
    screen.show(specialisation_tables(groups), specialisation_rows(groups), format, output)


def _show_orders(
    source: Path, where: dict[str, str], to: tuple[str, Path | None], figure: Path | None
) -> None:
    """Orders by accuracies, and of a store by times."""
    from blockzoo.core.outputs import each_row, is_table, open_store
    from blockzoo.core.reading import Asked
    from blockzoo.report.agreement_tables import agreement_rows, agreement_tables
    from blockzoo.report.elsewhere import NEEDED, elsewheres, stored_details
    from blockzoo.report.summaries import LOOKED_AT

    store = None if is_table(source) else open_store(source)
    rows = each_row(source, Asked(where, columns=tuple(dict.fromkeys((*LOOKED_AT, *NEEDED)))))
    tables: list[TextTable] = []
    flat: list[dict[str, Any]] = []
    why = ""
    try:
        comparisons = elsewheres(
            rows, *([] if store is None else [stored_details(lambda f: store.records(fingerprint=f))])
        )
        tables += agreement_tables(comparisons)
        flat += agreement_rows(comparisons)
    except UsageError as error:
        why, comparisons = str(error), []
    if store is not None and not where:
        table, of_times = _orders_by_time(store)
        tables += [table] if of_times else []
        flat += of_times
    if not flat:
        also = "" if store is None else f"; {source} has no four networks that were timed in two ways either"
        raise UsageError(why + also)
    screen.show(tables, flat, *to, below=f"by accuracy nothing is compared: {why}" if why else "")
    if figure is not None:
        from blockzoo.report.pictures.looks import save
        from blockzoo.report.pictures.orders import draw_orders

        if not comparisons:
            raise UsageError(f"--figure draws orders by accuracy: {why}")
        save(draw_orders(comparisons), figure)
        if to[0] == "table":
            screen.out.print(f"written to {figure}", soft_wrap=True)


def _orders_by_time(store: Store) -> tuple[TextTable, list[dict[str, Any]]]:
    from blockzoo.report.orders import stored_orders

    of_batch = stored_orders(store.records("latency", history=True))
    rows = [
        {"of": "times", **agreement.columns(batch)}
        for batch, pairs in of_batch.items()
        for agreement in pairs
    ]
    lines = [
        (
            row["one"],
            row["other"],
            str(row["batch_size"]),
            f"{row['tau']:+.2f}",
            _interval(row),
            str(row["networks"]),
        )
        for row in rows
    ]
    heads = ["one way", name("another"), "batch", "Kendall's tau", "95 % interval", "networks"]
    return screen.table("Orders of networks by their times", heads, lines), rows


def _interval(row: dict[str, Any]) -> str:
    return "-" if row["tau_low"] is None else f"{row['tau_low']:+.2f} .. {row['tau_high']:+.2f}"


def _tables(rows: Iterable[dict[str, Any]]) -> list[TextTable]:
    from blockzoo.report.tables import results_table

    gc.disable()  # a hundred thousand rows hold no circle, and looking for one takes a tenth of the time
    try:
        with working("reading"):
            return results_table(rows)
    finally:
        gc.enable()


def _say_nothing_is_there(source: Path, where: list[str] | None) -> None:
    screen.out.print(f"{source} holds no {'such trial' if where else 'trial and no run yet'}", soft_wrap=True)


def _or_else(rows: Iterator[dict[str, Any]], others: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """The rows; the others where there are none."""
    first = next(rows, None)
    return others if first is None else itertools.chain([first], rows)


def _wanted(where: list[str]) -> dict[str, str]:
    pairs = [one.partition("=") for one in where]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise UsageError(f"--where {wrong[0]}: give a column and its value, as in block=GhostBottleneck")
    return {name: value for name, _, value in pairs}
