"""verify: a row of the results trained again: whether what it says agrees with what comes out here"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.expanded import expanded
from blockzoo.core import typeset as t
from blockzoo.trials.options import Verifying

CODES = {"agrees": 0, "disagrees": 1, "cannot say": 3}


@expanded()
def verify(
    row: Annotated[str, Parameter(help="fingerprint of the row, or the beginning of it")],
    source: Annotated[Path, Parameter(help="the results folder that has it")] = Path("results"),
    *,
    verifying: Verifying,
    device: o.Device = "auto",
    data_dir: o.DataDir = None,
    plugins: o.Plugins = (),
    format: o.Format = "table",
) -> int:
    """Train a row again and say whether it agrees, with an interval: exit code 0 agrees, 1 disagrees, 3 cannot say.

    What came out is stored with the row; a reported row that agrees is `reproduced`. Code that the row names runs only
    where you name it too (--plugin).

    Examples:
        blockzoo verify 2d6fb0d701868cb5 results
        blockzoo verify 2d6fb0 results --reruns 10 --within 2
    """
    from blockzoo.trials.verification import Reruns
    from blockzoo.trials.verification import verify as run

    how = Reruns(
        verifying.reruns, verifying.within, device, None if data_dir is None else str(data_dir), plugins
    )
    record, judged = run(source, row, how)
    low, high = judged.interval or (None, None)
    values = {
        "fingerprint": record.fingerprint, "subject": record.subject, "seed": record.spec.get("seed"),
        "verdict": judged.verdict, "reported": judged.reported, "reruns": sum(judged.reruns) / len(judged.reruns),
        "n": len(judged.reruns), "difference_low": low, "difference_high": high, "why": judged.why,
    }  # fmt: skip
    columns = ["row", t.name("subject"), "seed", "verdict"]
    line = (record.fingerprint, record.subject, str(values["seed"]), judged.verdict)
    screen.show(screen.table("", columns, [line], judged.sentence), [values], format)
    return CODES[judged.verdict]
