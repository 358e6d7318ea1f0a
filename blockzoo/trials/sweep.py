"""A sweep: from blocks, positions and seeds to rows, in the rounds of its design."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blockzoo.core.checked import sorted_into
from blockzoo.core.devices import DEVICES
from blockzoo.core.documents import describe
from blockzoo.core.errors import UsageError
from blockzoo.core.export import rows_of
from blockzoo.core.keywords import (
    BudgetingKeywords,
    DataKeywords,
    DesigningKeywords,
    RecipeKeywords,
    RunKeywords,
    ScaffoldKeywords,
    SweepingKeywords,
)
from blockzoo.core.outputs import Outputs
from blockzoo.core.plugins import load_plugins
from blockzoo.core.settings import OF_SWEEPS, Budgeting, Data, Designing, Recipe, Scaffold
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.core.subject import Subject
from blockzoo.execution.progress import Progress, SilentProgress
from blockzoo.report.groups import LR_SEARCH_SEED
from blockzoo.trials.budgets import budgeted
from blockzoo.trials.designs import Round, Rounds, halving, in_company, isolated
from blockzoo.trials.grid import MOST_TRIALS, Call, SweepResult, names_of, networks_of, run_trials
from blockzoo.trials.rates import with_learning_rates
from blockzoo.trials.request import images_of, network_spec, trial_spec

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from blockzoo.core.store import Store
    from blockzoo.data import ImageData


class SweepKeywords(
    ScaffoldKeywords,
    BudgetingKeywords,
    DesigningKeywords,
    RecipeKeywords,
    DataKeywords,
    RunKeywords,
    SweepingKeywords,
    total=False,
):
    """The settings of a sweep."""


def run_sweep(
    blocks: Sequence[str | type],
    positions: str | Sequence[str] = "all",
    seeds: int | Sequence[int] = 1,
    *,
    only: str = "all",
    dry_run: bool = False,
    progress: Progress | None = None,
    **settings: Unpack[SweepKeywords],
) -> SweepResult:
    """Train every block at every position with every seed, then time all networks side by side; or as another design has it.

    Trials whose outcome is in the store are skipped; those that failed or were killed run again. A killed sweep
    goes on where it was, its running trials from their last epoch.

    Args:
        blocks: subjects; "all" stands for every block of the zoo.
        positions: "all", or some of early, mid, late.
        seeds: how many (0, 1, ...), or which.
        only: "queued" runs the trials without an outcome, "failed" those whose outcome is no result, "all" both.
        dry_run: plan and estimate only; nothing is written to the results folder.
        progress: told what happens.
        settings: by name, of the tables Scaffold, Budgeting, Designing, Recipe, Data, Run and Sweeping in docs/settings.md.

    Raises:
        UsageError: an unknown name, an empty grid, a value out of range: all before the first trial.
        StoreError: the results folder cannot be written, or another sweep is writing to it.
        KeyboardInterrupt: Ctrl-C, SIGTERM or `blockzoo sweep cancel`; what has finished is stored and exported.
    """
    scaffold, budgeting, designing, recipe, data, run, sweeping = sorted_into(
        settings, *OF_SWEEPS, what="run_sweep"
    )
    load_plugins(run.plugins)
    if run.device not in DEVICES:
        raise UsageError(f"device {run.device!r}: choose one of {', '.join(DEVICES)}")
    images = images_of(data, run.data_dir)
    which = _seeds(seeds)
    networks = networks_of(blocks, positions, images, scaffold)
    if len(networks) * len(which) > MOST_TRIALS:
        raise UsageError(f"seeds {len(which):,}: that is a grid of more than {MOST_TRIALS:,} trials")
    arguments = {"blocks": blocks, "positions": positions, "seeds": seeds, **settings}
    request = {name: _plain(value) for name, value in arguments.items() if name != "output"}
    call = Call(only, dry_run, progress or SilentProgress(), request=request)
    _check_design(designing, budgeting, networks, which)
    _check_rates(designing, recipe, which)
    outputs = Outputs.at(run.output)
    store = outputs.store(create=False) if outputs.database.is_file() else None
    if designing.design == "crossed":
        if positions != "all" and list(positions) != ["all"]:
            raise UsageError("a crossed design has every block at every position: leave out --positions")
        pattern = network_spec(str(networks[0].parsed), None, images, Scaffold(**_shared(scaffold)))
        rounds = in_company(pattern, [str(Subject.parse(name)) for name in names_of(blocks)], designing)
    else:
        candidates = budgeted(networks, budgeting, images.shape, store, call.progress)
        call = replace(call, prepared=tuple(candidates.records))
        make = halving if designing.design == "halving" else isolated
        design = functools.partial(make, candidates.networks, which, designing)
        rates = designing.learning_rates
        rounds = with_learning_rates(candidates.networks, rates, design) if rates else design()
    trials_of = functools.partial(_trials, images=images, recipe=recipe, data=data)
    this_round, trials = next(rounds), list[TrialSpec]()
    if dry_run:
        foreseen = _foreseen(rounds, this_round, trials_of, store, call.progress)
        return run_trials(foreseen, images.shape, run, sweeping, call)
    while True:
        trials = list(dict.fromkeys([*trials, *trials_of(this_round)]))
        names = (run.experiment_name, this_round.name)
        named = replace(run, experiment_name=", ".join(filter(None, names)))
        if this_round.why:
            call.progress.phase(this_round.why)
        result = run_trials(trials, images.shape, named, sweeping, call)
        call = replace(call, prepared=())
        try:
            this_round = rounds.send(result.rows)
        except StopIteration:
            return result


def _foreseen(
    rounds: Rounds,
    following: Round,
    trials_of: Callable[[Round], list[TrialSpec]],
    store: Store | None,
    progress: Progress,
) -> list[TrialSpec]:
    """The trials of all rounds, as far as they can be known before the results that are not in the store yet.

    Which learning rates will be chosen and which blocks survive is not known; how many trainings follow a search is.
    """
    trials: dict[TrialSpec, None] = {}
    while not trials.keys() >= set(of_round := trials_of(following)):
        trials |= dict.fromkeys(of_round)
        if following.why:
            progress.phase(following.why)
        rows = [] if store is None else rows_of(store, [trial.fingerprint() for trial in trials])
        try:
            following = rounds.send(rows)
        except StopIteration:
            break
        except UsageError:
            if len(rows) == len(trials):
                raise
            break  # there is no model yet of what is not trained
    return list(trials)


def _seeds(seeds: int | Sequence[int]) -> Sequence[int]:
    if not isinstance(seeds, int | Iterable):
        raise UsageError(f"seeds cannot be {describe(seeds)}: give how many, or several, as in a list")
    which = range(seeds) if isinstance(seeds, int) else list(seeds)
    if not which:
        raise UsageError("the grid is empty: give at least one of seeds")
    return which


DESIGNS_WITH = {
    "replicates": ("crossed",),
    "repeats": ("crossed",),
    "follow": ("crossed",),
    "survivors": ("halving",),
    "precision": ("isolated",),
    "hours": ("isolated",),
    "learning_rates": ("isolated", "halving"),
}
"""Settings that have an effect in some designs alone, and in which."""


def _check_design(
    designing: Designing, budgeting: Budgeting, networks: Sequence[NetworkSpec], seeds: Sequence[int]
) -> None:
    """What does not go together is said before anything begins.

    Raises:
        UsageError: it does not.
    """
    usual = Designing(design=designing.design)
    if wrong := [
        f"{name} is of {' and '.join(of)}"
        for name, of in DESIGNS_WITH.items()
        if designing.design not in of and getattr(designing, name) != getattr(usual, name)
    ]:
        raise UsageError(f"{'; '.join(wrong)}: not of --design {designing.design}")
    if designing.hours is not None and designing.precision is None:
        raise UsageError("hours end the rounds of --precision: give it too")
    if designing.design == "crossed" and budgeting.track != "native":
        raise UsageError("a crossed design is of blocks as wide and deep as they are: leave out --track")
    if designing.design == "crossed" and len(seeds) != 1:
        raise UsageError(
            "a crossed design has a seed for each replicate: give --replicates in place of --seeds"
        )
    if designing.design != "isolated" and not all(network.parsed.is_block for network in networks):
        raise UsageError(f"--design {designing.design} is of blocks, not of whole networks")
    if designing.precision is not None and len(seeds) < 2:
        raise UsageError(
            "a precision needs --seeds 2 or more to begin with: of one seed nothing is known of the spread"
        )


def _check_rates(designing: Designing, recipe: Recipe, seeds: Sequence[int]) -> None:
    """That the learning rates are some to choose among.

    Raises:
        UsageError: they are not.
    """
    rates = designing.learning_rates
    if not rates:
        return
    if len(set(rates)) != len(rates) or len(rates) < 2:
        raise UsageError(
            f"learning rates {', '.join(f'{r:g}' for r in rates)}: give two or more different ones"
        )
    if recipe.lr is not None:
        raise UsageError("lr is for all blocks, learning_rates to choose among for each: give one of them")
    if LR_SEARCH_SEED in seeds:
        raise UsageError(f"seed {LR_SEARCH_SEED} is that of the search of learning rates: leave it out")


def _shared(scaffold: Scaffold) -> dict[str, Any]:
    """What of the scaffold a network with a block in every stage has.

    Raises:
        UsageError: more was asked for.
    """
    usual = Scaffold()
    if wrong := [
        n for n in ("filler", "active_blocks", "active_width") if getattr(scaffold, n) != getattr(usual, n)
    ]:
        raise UsageError(
            f"{', '.join(wrong)}: a crossed design has no filler, and no stage alone is under test"
        )
    return {name: getattr(scaffold, name) for name in ("num_blocks", "base_channels", "transition")}


def _trials(asked: Round, images: ImageData, recipe: Recipe, data: Data) -> list[TrialSpec]:
    return [
        trial_spec(
            training.network,
            images,
            recipe if training.lr is None else replace(recipe, lr=training.lr),
            data,
            training.seed,
            lr_among=training.lr_among,
        )
        for training in asked.trainings
    ]


def _plain(value: Any) -> Any:
    """An option as JSON has it: a class as its subject, a path as its text."""
    if isinstance(value, type):
        return str(Subject.parse(value))
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value
