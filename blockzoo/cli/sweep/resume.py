"""resume: go on with the last sweep of a folder: the trials that have no outcome yet"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blockzoo.cli import options as o


def resume(
    output: o.Output = Path("results"),
    *,
    workers: o.OtherWorkers = None,
    address: o.OtherAddress = None,
    plugins: o.Plugins = (),
    plots: o.Plots = True,
    dry_run: o.PlanOnly = False,
    format: o.Format = "table",
) -> int:
    """Run what is left, with the options that the sweep was started with; code of your own is named again, with --plugin.

    Trials that failed stay as they are: `blockzoo sweep retry` tries those.

    Examples:
        blockzoo sweep resume
        blockzoo sweep resume results --workers 4
    """
    overrides = {"workers": workers, "address": address}
    return again("queued", output, overrides, (plots, dry_run, format))


def again(only: str, output: Path, given: dict[str, Any], shown: tuple[bool, bool, str]) -> int:
    """Start the last sweep of a folder once more, for some of its trials; what is `given` takes the place of what it had.

    `shown`: whether pictures are drawn, whether only the plan is printed, and the format of the table.
    """
    from blockzoo.cli.sweep.run import finish
    from blockzoo.core import consent
    from blockzoo.core.checked import settings_of
    from blockzoo.core.errors import UsageError
    from blockzoo.core.outputs import Outputs
    from blockzoo.core.settings import OF_SWEEPS
    from blockzoo.execution.journal import asked

    outputs = Outputs.at(output)
    request = asked(outputs)["request"]
    if not isinstance(request, dict):
        raise UsageError(
            f"the sweep in {outputs.folder} belongs to a study: start that again with its own command"
        )
    if unknown := set(request) - {"blocks", "positions", "seeds", *settings_of(*OF_SWEEPS)}:
        raise UsageError(
            f"{outputs.sweep} asks for what this version does not know: {', '.join(sorted(unknown))}"
        )
    with consent.text_of(outputs.sweep):
        if given["address"] is None:
            consent.check_address(request.get("address"))
        _check_code(request)
        request |= {name: value for name, value in given.items() if value is not None}
        draw, dry_run, format = shown
        return finish(draw=draw, format=format, **request, output=output, only=only, dry_run=dry_run)


def _check_code(request: dict[str, Any]) -> None:
    """All code of the user's own that the file names was named by the user too, also where this process has loaded it before.

    Raises:
        UsageError: it was not.
    """
    from blockzoo.core import consent
    from blockzoo.core.plugins import absolute
    from blockzoo.core.subject import Subject, as_stored

    for plugin in request.get("plugins") or ():
        consent.check(absolute(str(plugin)))
    for name in [*(request.get("blocks") or ()), request.get("filler")]:
        if name:
            with as_stored():
                subject = Subject.parse(str(name)).innermost
            if subject.prefix == "code":
                consent.check(absolute(subject.name.rpartition(":")[0]))
