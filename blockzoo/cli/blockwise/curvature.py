"""curvature: the coupling map of a network, spectra of its blocks, and pictures"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from blockzoo.blockwise.curvature.options import Searching
from blockzoo.blockwise.run.config import RunConfig
from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.blockwise import _options as own
from blockzoo.cli.conditions import Alone, With, Without
from blockzoo.cli.expanded import expanded
from blockzoo.core import typeset as t
from blockzoo.core.checked import together
from blockzoo.core.progress import working


@expanded()
def curvature(
    *,
    model: Annotated[own.Model, Without("--run")] = RunConfig.model,
    config: Annotated[own.Config, Without("--run")] = "",
    combine: Annotated[own.Combine, Without("--run")] = RunConfig.combine,
    partition: Annotated[own.Partition, Without("--run")] = RunConfig.partition,
    run: Annotated[
        Path | None, Parameter(help="folder of a block-wise run whose network and data are looked at")
    ] = None,
    along: Annotated[
        bool,
        Parameter(
            help="draw the maps that the run's unit `coupling` measured, as a strip and an animation",
            negative=(),
        ),
        With("--run"),
        Alone("--run", "--output", "--plugin"),
    ] = False,
    dataset: Annotated[own.Dataset, Without("--run")] = None,
    data_dir: o.DataDir = None,
    image_size: Annotated[own.ImageSize, Without("--run")] = RunConfig.image_size,
    batches: Annotated[int, Parameter(help="fixed batches of training examples")] = 4,
    batch_size: Annotated[int, Parameter(help="examples per batch")] = 64,
    searching: Searching,
    spectra: Annotated[bool, Parameter(help="extreme eigenvalues and trace of each block")] = True,
    device: o.Device = "auto",
    output: own.Output = Path("results"),
    dry_run: own.DryRun = False,
    format: o.Format = "table",
    plugins: o.Plugins = (),
) -> int:
    """Measure sigma_max(H_ij) for all pairs of network blocks; write coupling.csv, .png, .pdf and .html.

    Examples:
        blockzoo blockwise curvature --model cnn --widths "[8,8]" --dataset digits --image-size 8
        blockzoo blockwise curvature --run results/blockwise/my-run --no-spectra
    """
    from blockzoo.blockwise.curvature import report
    from blockzoo.blockwise.run.options import Options

    if along and run is not None:
        for path in report.draw_along(run, output):
            screen.out.print(f"written   {path}", soft_wrap=True)
        return 0
    setup = own.run_config(
        model=model,
        config=config,
        combine=combine,
        dataset=dataset,
        data_dir=data_dir,
        image_size=image_size,
        limit_train=batches * batch_size,
        partition=partition,
        options=Options(seed=searching.seed),
        device=device,
    )
    frame = report.frame_of(setup, run)
    if dry_run:
        planned = {"model": setup.model, "blocks": len(frame.partition), "examples": len(frame.train)}
        text = f"would measure {planned['blocks']} blocks of {setup.model} on {planned['examples']} examples"
        screen.answer(text, [planned], format)
        return 0
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "coupling map: ")  # said below
        measured = report.measure(
            frame,
            batches,
            batch_size,
            spectra=spectra,
            **together(searching),
        )
    coupling = measured.coupling
    pairs = coupling.rows()
    rows = [{"of": "block", **row} for row in measured.blocks] + [{"of": "pair", **row} for row in pairs]
    screen.show(_tables(measured.blocks, pairs), rows, format)
    marked = int((~coupling.converged).sum())
    screen.out.print(
        f"{coupling.products} products, {coupling.seconds:.1f} s; {coupling.converged.size - marked} of "
        f"{coupling.converged.size} entries within {coupling.tol:g} of the truth, all with probability {1 - coupling.failure:g}"
    )
    screen.out.print(
        f"checked   {', '.join(f'{name}: {value:.1g}' for name, value in coupling.checked.items())}"
    )
    title = f"{report.NAMES[searching.matrix]} of {run.name if run else model}"
    with working("drawing and writing"):
        written = report.write(measured, title, output)
    for path in written:
        screen.out.print(f"written   {path}", soft_wrap=True)
    if coupling.stopped:
        screen.out.print(f"NOT CONVERGED: {coupling.stopped}", style="bold red", soft_wrap=True)
    return 0


def _tables(blocks: list[dict[str, Any]], pairs: list[dict[str, Any]]) -> list[t.TextTable]:
    names = ["largest", "trace", "row_norm"]
    lines = [
        [
            r["block"],
            f"{r['parameters']:,}",
            _short(r["smallest"]) + ("" if r["converged"] in (True, None) else " !"),
            *(_short(r[n]) for n in names),
        ]
        for r in blocks
    ]
    of_block = [
        "block",
        *map(t.number, ("parameters", "smallest", "largest", "trace", "coupling to all others")),
    ]
    unsure = any(r["converged"] is False for r in blocks)
    caption = "! ends of the spectrum that have not converged" if unsure else ""
    tables = [screen.table("curvature of each block", of_block, lines, caption)]
    between = [r for r in pairs if r["first"] != r["second"]][:12]
    lines = [
        [
            r["first"],
            r["second"],
            f"{'' if r['converged'] else '! at least '}{_short(r['sigma'])}",
            *(_short(r[n]) for n in ("upper", "residual", "frobenius")),
        ]
        for r in between
    ]
    columns = [
        "block",
        t.name("other block"),
        t.number("sigma", importance=t.KEY),
        *map(t.number, ("at most", "residual", "Frobenius norm")),
    ]
    caption = "" if all(r["converged"] for r in between) else "! has not converged: a lower bound"
    return [*tables, screen.table("strongest couplings between two blocks", columns, lines, caption)]


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
