"""profile: what a block costs on paper: parameters, MACs, bytes"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.conditions import With
from blockzoo.cli.expanded import expanded
from blockzoo.core import typeset as t
from blockzoo.core import units
from blockzoo.core.checked import together
from blockzoo.core.errors import UsageError
from blockzoo.core.quantity import on_paper
from blockzoo.core.settings import Scaffold

if TYPE_CHECKING:
    from blockzoo.profile import Profile

IMPORTANCE = {
    "macs": t.KEY,
    "params_total": t.HIGH,
    "peak_activation_bytes": 6,
    "flops": t.LOW,
    "params_trainable": 2,
}
"""Of quantities as columns; others are in the middle."""


@expanded()
def profile(
    *subjects: o.Subject,
    position: o.Position = None,
    scaffold: Scaffold,
    out_dim: o.OutDim = None,
    input_shape: o.InputShape = None,
    by: o.By = None,
    part: o.Part = None,
    form: Annotated[
        Literal["deployed", "trained"] | None,
        Parameter(
            help="deployed (default: branches merged, norms folded) or trained (as built, in training mode)"
        ),
        With("--by"),
    ] = None,
    strict: o.Strict = False,
    plugins: o.Plugins = (),
    format: o.Format = "table",
    output: o.OutputFile = None,
) -> int:
    """Count parameters, MACs and activation bytes of blocks in the scaffold, or of any networks.

    Whole network and stage under test; several stand beside each other. Nothing is computed, so it is instant at any
    size. With --by operation: which operations the MACs and the bytes are of.

    Examples:
        blockzoo profile ResNetBasicBlock/mid
        blockzoo profile ResNetBasicBlock InvertedResidual GhostBottleneck --position late
    """
    from blockzoo.profile import DEFAULT_SHAPE, profile_block

    screen.check_output(output)
    if not subjects:
        raise UsageError("name what is to be profiled, as in blockzoo profile ResNetBasicBlock/mid")
    shape = input_shape or DEFAULT_SHAPE
    if by is not None:
        if len(subjects) > 1:
            raise UsageError(f"--by operation is of one subject: {subjects[0]}, or {subjects[1]}")
        options = {"out_dim": out_dim, "input_shape": shape, "strict": strict, **together(scaffold)}
        return _by_operation(subjects[0], position, options, (part, form or "deployed"), format, output)
    profiled = [
        profile_block(
            subject, position, out_dim=out_dim, input_shape=shape, strict=strict, **together(scaffold)
        )
        for subject in subjects
    ]
    table = _one(profiled[0]) if len(profiled) == 1 else _beside_each_other(profiled)
    screen.show(table, [one.columns() for one in profiled], format, output)
    return 0


def _one(profiled: Profile) -> t.TextTable:
    """A line for each quantity."""
    both = [vars(profiled.network), vars(profiled.stage) if profiled.stage else {}]
    lines = [
        (
            quantity.label or quantity.name,
            *(_shown(costs.get(quantity.name), quantity.unit) for costs in both),
        )
        for quantity in on_paper()
    ]
    size = " x ".join(map(str, profiled.input_shape))
    title = f"{profiled.subject}, input {size}"
    columns = ["", t.number("network", importance=t.KEY), t.number("stage under test", importance=t.KEY)]
    return screen.table(title, columns, lines, "\n".join(_told(profiled)))


def _beside_each_other(several: list[Profile]) -> t.TextTable:
    """A line for each subject: its stage under test, and its network."""
    lines = []
    for part in ("stage", "network"):
        for one in several:
            costs = getattr(one, part)
            if costs is not None:
                cells = (
                    _shown(getattr(costs, quantity.name, None), quantity.unit) for quantity in on_paper()
                )
                lines.append((one.subject, part, *cells))
    columns = [
        t.number(
            (quantity.label or quantity.name).strip(), importance=IMPORTANCE.get(quantity.name, t.MIDDLE)
        )
        for quantity in on_paper()
    ]
    size = " x ".join(map(str, several[0].input_shape))
    notes = dict.fromkeys(line for one in several for line in _told(one, whose=f" of {one.subject}"))
    head = (t.name("subject"), t.name("of"), *columns)
    return t.TextTable(f"Costs on paper, input {size}", head, lines, "\n".join(notes), parted_by=1)


def _told(profiled: Profile, *, whose: str = "") -> list[str]:
    """What stands below."""
    from blockzoo.profile import HOW_TO_COUNT

    names = profiled.network.uncounted_operations
    uncounted = [f"The MACs{whose} lack those of {', '.join(names)}: {HOW_TO_COUNT}."] if names else []
    return [
        "Activations in fp32, the input not counted.",
        *uncounted,
        *profiled.notes,
        *filter(None, [profiled.said]),
    ]


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
    screen.show(
        paper_tables(f"{name}, {form}, input {size}", operations, profiled.profile.notes),
        operation_rows(profiled.profile.subject, part, operations),
        format,
        output,
        below=f"{why(name, operations)}\n1 MAC is 2 FLOP; norms, activations and copies have none. "
        "Bytes in fp32, each tensor once.",
    )
    return 0


def _shown(value: float | None, unit: str) -> str:
    """Bytes in binary units, parameters to the last one, other numbers in short."""
    if unit == "parameters" and value is not None:
        return f"{value:,}"
    return units.size(value) if unit == "bytes" else units.number(value)
