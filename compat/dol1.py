"""dol1.py --training_mode blockwise --model cnn_ensemble --config "[[16,16],[32,32],[32,64]]" --rounds 2000: block by block.

The options and their defaults are the earlier ones; the mode blockwise starts its own processes. reports/R*.txt tells how it
goes, measurements/Units.txt says what is measured, measurements/*_log.txt and figures/Measurements/ hold what was found; the run
itself, with its checkpoint, lies in the results folder.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from _compat import main, say
from _reports import FIGURES, Report, write_measurements
from _sandbox import DEFAULTS, parsed, parser, run_config

from blockzoo.blockwise.run.launch import planned
from blockzoo.blockwise.run.runs import run_blockwise
from blockzoo.core.devices import use_only
from blockzoo.core.errors import UsageError
from blockzoo.execution.queue import gpus as visible_gpus
from blockzoo.trials.training import available_device


def device(cuda_core: int | None) -> str:
    """-1 is the processor, a number that GPU, None a GPU where there is one."""
    if cuda_core is None or cuda_core < 0:
        return available_device("cpu" if cuda_core else "auto")
    present = visible_gpus("auto")
    if cuda_core >= len(present):
        raise UsageError(f"--cuda_core {cuda_core}: there are {len(present)} GPUs here; -1 is the processor")
    use_only([present[cuda_core]])
    return available_device("cuda")


def run(given: argparse.Namespace) -> int:
    """What the earlier script did; returns its exit code."""
    asked: dict[str, Any] = {name: getattr(given, name) for name in DEFAULTS}
    config = run_config(asked, device(given.cuda_core), given.data_dir)
    if given.dry_run:
        say(planned(config, given.ranks))
        return 0
    report, begin = Report(asked), time.perf_counter()
    say(f"report in {report.path}")
    try:
        how = {"adopt": given.resume, "restart": not given.resume}
        trained = run_blockwise(config, given.output, on_report=report.progress, ranks=given.ranks, **how)
        sizes = trained.frame.partition.sizes(trained.frame.model)
        report.line(f"Number of Blocks: {len(sizes)}, Number of Model Parameters: {sum(sizes)}")
        assert trained.folder is not None
        for path in write_measurements(trained.folder, FIGURES):
            say(f"written {path}")
        report.line(f"{trained.status}: {trained.reason}")
        rounds, seconds = trained.reports[-1]["round"] if trained.reports else 0, time.perf_counter() - begin
        report.line(f"Training completed in {seconds:.2f}s over {rounds} rounds")
        say(f"Finished Training in {seconds:.2f}s over {rounds} rounds")
        return int(trained.status != "finished")
    except BaseException as error:
        report.line(f"Process terminated due to an error: {type(error).__name__}: {error}")
        raise
    finally:
        report.close()


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument(
        "--ranks", type=int, help="processes of the mode blockwise (default: one per block, up to the cores)"
    )
    options.add_argument(
        "--resume", action="store_true", help="go on with a run that was killed or was to end sooner"
    )
    given = parsed(options, sys.argv[1:])
    main(lambda: sys.exit(run(given)))
