"""The loop of a block-wise run: rounds of an engine until the last one, or until the stopper has a reason.

Reports, measurements and checkpoints are made between rounds. A killed run goes on from its last checkpoint and ends as the
uninterrupted one would have, bit for bit on a CPU.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from blockzoo.blockwise.contracts import (
    ENGINES,
    Curriculum,
    Engine,
    EngineOfClients,
    EngineOnRanks,
    Resumable,
)
from blockzoo.blockwise.curricula import make_curriculum
from blockzoo.blockwise.run.communication import SimulatedClock
from blockzoo.blockwise.run.config import RunConfig
from blockzoo.blockwise.run.counting import NOBODY, Spent, checked_by_hooks, counted
from blockzoo.blockwise.run.frame import Frame, RoundRecord
from blockzoo.blockwise.run.ranks import Ranks
from blockzoo.blockwise.run.reports import Reporter, ReportFolder, record_of
from blockzoo.blockwise.run.termination import Terminated, terminated_is_an_exception
from blockzoo.blockwise.run.view import RunView
from blockzoo.blockwise.schedules import make_schedule
from blockzoo.blockwise.units import make_units
from blockzoo.core.contracts import RESULTS
from blockzoo.core.environment import environment
from blockzoo.core.errors import Diverged, StoreError, UsageError
from blockzoo.core.files import write_atomically
from blockzoo.core.progress import followed
from blockzoo.core.record import Record
from blockzoo.core.result import Result
from blockzoo.core.values import BEHIND
from blockzoo.training.stoppers import check_fed, make_stopper

if TYPE_CHECKING:
    from blockzoo.report.drawing import Figure

log = logging.getLogger(__name__)
Progress = Callable[[dict[str, Any]], None]


@RESULTS.register("blockwise run")
@dataclass(frozen=True, eq=False, repr=False)
class RunResult(Result):
    """How a run ended, and its reports in order."""

    status: str
    reason: str
    reports: list[dict[str, Any]]
    folder: Path | None
    _frame: Frame | None = field(default=None, metadata=BEHIND)

    @property
    def frame(self) -> Frame:
        """The network as it was trained, and all that the run keeps beside it.

        Raises:
            UsageError: the result was read from a file, which does not hold it.
        """
        if self._frame is None:
            where = f"its checkpoint lies in {self.folder}" if self.folder else "it was not kept"
            raise UsageError(f"the file of a run holds its reports, and not the network: {where}")
        return self._frame

    def headline(self) -> str:
        last = self.reports[-1] if self.reports else {}
        loss = f"validation loss {last['validation_loss']:.4g}" if "validation_loss" in last else "no report"
        return f"{self.status} after round {last.get('round', 0)} ({self.reason}): {loss}"

    def table_rows(self) -> list[dict[str, Any]]:
        """One row per report."""
        return [{k: v for k, v in report.items() if not isinstance(v, dict)} for report in self.reports]

    def figure(self) -> Figure:
        """The learning curves."""
        from blockzoo.report.pictures.curves import draw_curves

        rows = self.table_rows()
        curves = {name: [row.get(name) for row in rows] for name in (rows[0] if rows else ())}
        return draw_curves(self.headline(), curves, [row["round"] for row in rows], "round")

    def record(self, config: RunConfig) -> Record:
        """The run as a record of the results store: final values, and one sample per report."""
        metadata = environment(device=config.device, threads=config.threads)
        checked = self.frame.checked
        return record_of(config, self.status, self.reason, self.reports, self.folder, metadata, checked)


class Training:
    """The loop, and all that it keeps from round to round.

    Args:
        config: the run.
        reporter: hears of it.
        ranks: the processes that run it together.
    """

    def __init__(self, config: RunConfig, reporter: Reporter, ranks: Ranks) -> None:
        self.config, self.reporter, self.ranks = config, reporter, ranks
        self.frame = Frame.from_config(config)
        self.engine = ENGINES[config.options.training_mode]()
        self.units = make_units(config.units)
        self.stopper = make_stopper(config.stopper)
        check_fed(config.stopper, self.frame.measures)
        self.curriculum = make_curriculum(config.curriculum)
        self.schedules = {
            "step_size": make_schedule(config.step_schedule),
            "k": make_schedule(config.k_schedule),
            "share": make_schedule(config.share_schedule),
        }
        self.clock = SimulatedClock(config.network)
        self.totals = {
            "gradient_evaluations": 0,
            "critical_steps": 0,
            "communicated_bytes": 0,
            "seconds": 0.0,
        }
        self.reports: list[dict[str, Any]] = []
        self._last: RoundRecord | None = None
        self._previous: list[list[torch.Tensor]] | None = None
        self._keep_previous = any(getattr(unit, "needs_previous", False) for unit in self.units.values())

    def run(self, on_report: Progress = lambda values: None) -> RunResult:
        """All rounds that are left."""
        self._status("running")
        try:
            with terminated_is_an_exception():
                status, reason = "finished", self._rounds(on_report)
        except Diverged as error:
            status, reason = "diverged", str(error)
        except (KeyboardInterrupt, Terminated) as error:
            self._status("interrupted", str(error) or "interrupted")
            raise KeyboardInterrupt from None
        except BaseException as error:
            self._status("failed", f"{type(error).__name__}: {error}")
            raise
        self._status(status, reason)
        folder = self.reporter.folder if isinstance(self.reporter, ReportFolder) else None
        return RunResult(status, reason, self.reports, folder, self.frame)

    def _status(self, status: str, reason: str = "") -> None:
        rounds, checked = self.frame.options.rounds, self.frame.checked
        self.reporter.status(status, reason, round=self.frame.round, rounds=rounds, checked=checked)

    def _rounds(self, on_report: Progress) -> str:
        rounds, config = self.frame.options.rounds, self.config
        if self.frame.round == 0:
            self._measure(0)
        if spent := self._spent():
            return spent
        for report in self.reports:  # of the run before the kill: the stopper hears them again
            reason = self.stopper.reason_to_stop(report["validation"])
            if reason:
                return reason
        for _ in followed(range(self.frame.round, rounds), "training", rounds - self.frame.round, "rounds"):
            record = self._round()
            if self.frame.round % config.measurement_sampling_rate == 0:
                self._measure(self.frame.round)
            spent = self._spent()
            if spent or self.frame.round % config.report_sampling_rate == 0 or self.frame.round == rounds:
                reason = self._report(record, on_report) or spent
                self._save()
                self._status("running")
                if reason:
                    return reason
        return "all rounds were run"

    def _spent(self) -> str | None:
        """Why the run ends, once its budget is spent."""
        name, _, most = self.config.budget.partition(":")
        if name and self.totals[name] >= float(most):
            return f"the budget of {float(most):g} {name.replace('_', ' ')} is spent"
        return None

    def _round(self) -> RoundRecord:
        frame, number = self.frame, self.frame.round
        self._schedule(number)
        weights = self.curriculum.weights(number, self.view())
        for state in [*frame.blocks, frame.whole]:
            state.stream.weigh(weights, number)
        if self._keep_previous:
            self._previous = self.view().values()
        first = "counted-gradients" not in frame.checked
        with checked_by_hooks(frame.whole.parameters, frame.record_check) if first else counted() as spent:
            record = self.engine.run(frame)  # which does not say itself what it spent
        record.spent = self._of_all_ranks(spent)
        self._last, frame.round = record, number + 1
        self.totals["gradient_evaluations"] += record.gradient_evaluations
        self.totals["critical_steps"] += record.critical_steps
        self.totals["communicated_bytes"] += record.bytes_communicated
        self.totals["seconds"] += sum(record.seconds.values())
        self.clock.round(
            number,
            record.spent.each(self.frame.partition.labels, record.sequential),
            record.bytes_communicated,
            one_after_the_other=record.sequential,
        )
        return record

    def view(self) -> RunView:
        """What units and curricula see."""
        clients = self.engine.clients(self.frame) if isinstance(self.engine, EngineOfClients) else None
        return RunView(self.frame, self._last, self._previous, clients)

    def _of_all_ranks(self, spent: Spent) -> Spent:
        labels = [*self.frame.partition.labels, self.frame.whole.label]
        others = spent.evaluations - sum(spent.passes[label] for label in labels)
        counts = self.ranks.summed([*(spent.passes[label] for label in labels), others])
        return Spent(dict(zip([*labels, NOBODY], counts, strict=True)))

    def _schedule(self, number: int) -> None:
        """Learning rates, K and the share of workers of this round."""
        frame, rounds = self.frame, self.frame.options.rounds
        step, k, share = (s.factor(number, rounds) for s in self.schedules.values())
        frame.share = min(1.0, frame.options.share_of_active_workers * share)
        for state in [*frame.blocks, frame.whole]:
            state.steps = max(1, round(state.base_steps * k))
            for group in state.optimizer.param_groups:
                group["lr"] = state.base_step_size * step

    def _measure(self, number: int) -> None:
        """All units; one that fails is logged, and does not end training."""
        if not self.ranks.first:
            return
        for name, unit in self.units.items():
            rng_state = torch.random.get_rng_state()
            try:
                self.reporter.measured(number, name, unit.measure(self.view()))
            except StoreError:  # the disk's fault, not the unit's
                raise
            except Exception as error:
                log.warning("unit %s failed in round %d: %s: %s", name, number, type(error).__name__, error)
                self.reporter.measured(number, name, {"error": f"{type(error).__name__}: {error}"})
            finally:
                torch.random.set_rng_state(rng_state)

    def _report(self, record: RoundRecord, on_report: Progress) -> str | None:
        """One line, told to the stopper; the first rank decides for all."""
        reason = None
        if self.ranks.first:
            validation = self.frame.evaluate()
            report = {
                "round": self.frame.round,
                "train_loss": record.train_loss,
                **{f"validation_{name}": value for name, value in validation.items()},
                "deviation": record.movement,
                "staleness_rounds": record.staleness,
                "gradient_norm": record.gradient_norm,
                **{f"{name}_total": value for name, value in self.totals.items()},
                "simulated_seconds_total": self.clock.now_s,
            }
            self.reporter.progress(report)
            self.reports.append({**report, "validation": validation})
            on_report(report)
            reason = self.stopper.reason_to_stop(validation)
        shared: str | None = self.ranks.share(reason)
        return shared

    # --- going on after a kill ---------------------------------------------------------------------

    def _save(self) -> None:
        if not (self.ranks.many or isinstance(self.reporter, ReportFolder)):
            return
        state = self.state_dict()  # all ranks: each has the optimisers of its own blocks
        if isinstance(self.reporter, ReportFolder):
            write_atomically(self.reporter.checkpoint, lambda temporary: torch.save(state, temporary))

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the run depends on."""
        own = self.frame.state_dict()
        if self.ranks.many:
            assert isinstance(self.engine, EngineOnRanks)  # no other is run on several
            own = self.engine.gathered(own, self.ranks)
            self.frame.record_check("equal-centres", 0.0)
        return {
            "frame": own,
            "engine": _state_of(self.engine),
            "curriculum": _state_of(self.curriculum),
            "totals": dict(self.totals),
            "clock": [self.clock.now_s, list(self.clock.history)],
            "reports": self.reports,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on from a `state_dict`, of this configuration on any number of ranks."""
        self.frame.load_state_dict(saved["frame"])
        for name, part in (("engine", self.engine), ("curriculum", self.curriculum)):
            if saved[name] is not None:
                if not isinstance(part, Resumable):
                    raise UsageError(f"this checkpoint is of another {name}, one that keeps something")
                part.load_state_dict(saved[name])
        self.totals |= saved["totals"]
        self.clock.now_s, self.clock.history = saved["clock"][0], list(saved["clock"][1])
        self.reports = list(saved["reports"])


def _state_of(part: Engine | Curriculum) -> Any:
    return part.state_dict() if isinstance(part, Resumable) else None
