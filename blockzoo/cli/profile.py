"""profile: what a block costs on paper: parameters, MACs, bytes"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.expanded import expanded
from blockzoo.core import units
from blockzoo.core.checked import together
from blockzoo.core.settings import Scaffold


@expanded()
def profile(
    subject: o.Subject,
    *,
    position: o.Position = None,
    scaffold: Scaffold,
    out_dim: o.OutDim = None,
    input_shape: o.InputShape = None,
    by: o.By = None,
    part: o.Part = None,
    form: Annotated[
        Literal["deployed", "trained"] | None,
        Parameter(
            help="with --by: deployed (default: branches merged, norms folded) or trained (as built, in training mode)"
        ),
    ] = None,
    strict: o.Strict = False,
    plugins: o.Plugins = (),
    format: o.Format = "table",
    output: o.OutputFile = None,
) -> int:
    """Count parameters, MACs and activation bytes of a block in the scaffold, or of any network.

    Whole network and stage under test. Nothing is computed, so it is instant at any size. With --by operation: which
    operations the MACs and the bytes are of.
    """
    from blockzoo.core.quantity import on_paper
    from blockzoo.profile import DEFAULT_SHAPE, HOW_TO_COUNT, profile_block

    o.check_only_with_by(by, {"--part": part, "--form": form})
    shape = input_shape or DEFAULT_SHAPE
    if by is not None:
        asked = {"out_dim": out_dim, "input_shape": shape, "strict": strict, **together(scaffold)}
        return _by_operation(subject, position, asked, (part, form or "deployed"), format, output)
    profiled = profile_block(
        subject, position, out_dim=out_dim, input_shape=shape, strict=strict, **together(scaffold)
    )
    both = [vars(profiled.network), vars(profiled.stage) if profiled.stage else {}]
    lines = [
        (
            quantity.label or quantity.name,
            *(_shown(costs.get(quantity.name), quantity.unit) for costs in both),
        )
        for quantity in on_paper()
    ]
    names = profiled.network.uncounted_operations
    uncounted = [f"The MACs lack those of {', '.join(names)}: {HOW_TO_COUNT}."] if names else []
    size = " x ".join(map(str, profiled.input_shape))
    made = screen.table(
        f"{profiled.subject}, input {size}",
        ["", "network", "stage under test"],
        lines,
        "\n".join(
            ("Activations in fp32, the input not counted.", *uncounted, *profiled.notes, profiled.said)
        ).strip(),
    )
    screen.show(made, [profiled.columns()], format, output)
    return 0


def _by_operation(
    subject: str,
    position: str | None,
    asked: dict[str, Any],
    of: tuple[Literal["stage", "network"] | None, str],
    format: str,
    output: Path | None,
) -> int:
    from blockzoo.operations import profile_operations
    from blockzoo.report.operation_tables import operation_rows, paper_tables
    from blockzoo.report.why import why

    part, form = of
    profiled = profile_operations(subject, position, form=form, **asked)
    operations, part = profiled.of(part), profiled.part(part)
    size = " x ".join(map(str, profiled.profile.input_shape))
    name = f"{profiled.profile.subject}, {part}"
    made = screen.tables(
        paper_tables(f"{name}, {form}, input {size}", operations, profiled.profile.notes),
        f"{why(name, operations)}\n1 MAC is 2 FLOP; norms, activations and copies have none. Bytes in fp32, each tensor once.",
    )
    screen.show(made, operation_rows(profiled.profile.subject, part, operations), format, output)
    return 0


def _shown(value: float | None, unit: str) -> str:
    """Bytes in binary units, parameters to the last one, other numbers in short."""
    if unit == "parameters" and value is not None:
        return f"{value:,}"
    return units.size(value) if unit == "bytes" else units.number(value)
