"""A part of a card by the optimise lens: how strongly the blocks of the subject's network are coupled."""

from __future__ import annotations

import warnings
from typing import Any

from blockzoo.card.desk import MIDDLE, Desk
from blockzoo.card.options import seconds_of
from blockzoo.card.schedule import Made
from blockzoo.core.environment import environment
from blockzoo.core.record import Record
from blockzoo.core.spec import fingerprint_of
from blockzoo.report.groups import is_number

KIND = "coupling"
"""Of the record."""
BATCHES, BATCH_SIZE, TOLERANCE = 2, 32, 0.05
"""Training examples on which the loss is, and the relative error of an entry."""
LONGEST_S, SHARE = 30.0, 0.08
"""Seconds that the search takes at most, and of the budget."""
LEAST_S = 5.0
"""Seconds below which nothing would converge."""
BESIDE = 1.6
"""Its checks take so much more."""


class Coupling:
    """The spectral norm of each block of the Hessian of the subject's network at mid."""

    name, title, worth = "coupling", "How strongly its network's blocks are coupled", 400.0
    after = ("costs", f"accuracy at {MIDDLE}, seed 0")

    def seconds(self, desk: Desk) -> float:
        """It ends by a limit of its own; nothing where it is known."""
        return 0.5 if self._known(desk) else BESIDE * self._longest(desk) + 2.0 * desk.pace

    def _longest(self, desk: Desk) -> float:
        longest = min(LONGEST_S, SHARE * seconds_of(desk.asked.carding.time_budget))
        return max(LEAST_S, min(longest, (0.9 * desk.left() - 2.0 * desk.pace) / BESIDE))

    def _identity(self, desk: Desk) -> tuple[str, dict[str, Any]]:
        trial = desk.trial(desk.asked.name, MIDDLE, 0)
        trained = desk.outputs.weights(trial.fingerprint()).is_file()
        spec = {
            "network": trial.network.identity(), "dataset": trial.dataset, "image_size": desk.images.shape[1],
            "weights": trial.fingerprint() if trained else "as drawn from seed 0",
            "examples": BATCHES * BATCH_SIZE, "tol": TOLERANCE, "matrix": "hessian",
        }  # fmt: skip
        return fingerprint_of(spec), spec

    def _known(self, desk: Desk) -> Record | None:
        records = desk.store.records(KIND, fingerprint=self._identity(desk)[0])
        return records[-1] if records and records[-1].values.get("converged") else None

    def make(self, desk: Desk, within: float) -> Made:
        record = self._known(desk) or self._measured(desk, min(self._longest(desk), within / BESIDE))
        labels = [str(label) for label in record.spec["labels"]]
        width = len(labels)
        norms = [value if is_number(value) else None for value in record.samples["sigma"]]
        sigma = [norms[row * width : (row + 1) * width] for row in range(width)]
        pairs = sorted(
            (
                (value, labels[i], labels[j])
                for i in range(width)
                for j in range(i + 1, width)
                if (value := sigma[i][j]) is not None
            ),
            reverse=True,
        )
        strongest = max((value for i in range(width) if (value := sigma[i][i]) is not None), default=0.0)
        trained = record.spec["weights"] != "as drawn from seed 0"
        at = (
            "after its training from seed 0"
            if trained
            else "at its initial weights, for it was not trained here"
        )
        says = []
        if pairs and strongest:
            value, first, second = pairs[0]
            says.append(
                f"{at[0].upper()}{at[1:]}, the strongest coupling between two blocks is {value:.3g}, of {first} and {second}: "
                f"{value / strongest:.0%} of the largest curvature of one block ({strongest:.3g})."
            )
        if not record.values["converged"]:
            says.append(f"Not all entries have converged: {record.reason}. Those are lower bounds.")
        figures = {
            "strongest": pairs[0][0] if pairs else None,
            "labels": labels, "sigma": sigma, "weights": record.spec["weights"], "tol": TOLERANCE,
            "converged": bool(record.values["converged"]), "products": record.values["products"],
        }  # fmt: skip
        return Made(figures, says, {"examples": BATCHES * BATCH_SIZE, "entries": width * (width + 1) // 2})

    def _measured(self, desk: Desk, seconds: float) -> Record:
        import torch
        from torch import nn

        from blockzoo.blockwise.curvature.coupling import coupling_map
        from blockzoo.blockwise.run.objective import Objective
        from blockzoo.models.resolve import build_network
        from blockzoo.training.weights import load_weights

        identity, spec = self._identity(desk)
        trial, images = desk.trial(desk.asked.name, MIDDLE, 0), desk.images
        network = build_network(trial.network, seed=0)
        if spec["weights"] == trial.fingerprint():
            load_weights(network, desk.outputs.weights(trial.fingerprint()))
        train, held_out = (
            (torch.from_numpy(images.seen(split.images)), torch.from_numpy(split.labels))
            for split in (images.train, images.val)
        )
        objective = Objective(network.eval(), train, held_out, nn.functional.cross_entropy)
        batches = objective.probe(BATCHES, BATCH_SIZE)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "coupling map: ")  # it is in the record
            coupling = coupling_map(
                objective.model,
                objective.criterion,
                batches,
                objective.partition,
                tol=TOLERANCE,
                max_seconds=seconds,
            )
        record = Record(
            KIND,
            identity,
            f"{desk.asked.name}/{MIDDLE}",
            spec | {"labels": list(coupling.labels), "sizes": list(coupling.sizes)},
        )
        record.environment = environment(device="cpu", threads=torch.get_num_threads())
        record.reason = coupling.stopped
        record.values = {
            "converged": int(bool(coupling.converged.all())),
            "products": coupling.products,
            "seconds": coupling.seconds,
        }
        record.values |= {f"checked_{name}": value for name, value in coupling.checked.items()}
        record.samples = {
            name: getattr(coupling, name).ravel().tolist() for name in ("sigma", "upper", "frobenius")
        }
        desk.store.add(record)
        return record
