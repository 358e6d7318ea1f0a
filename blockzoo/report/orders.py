"""Whether several ways of timing put networks into one order: runtimes, dtypes, machines."""

from __future__ import annotations

import itertools
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from blockzoo.report.pairs import kendall_taus

if TYPE_CHECKING:
    from jaxtyping import Float

    from blockzoo.core.record import Record

LEAST = 4
"""Networks of which an order says something."""
ROUNDS = 6
"""Of which a median has an interval, and so the order."""
DRAWS = 1000
NETWORK = re.compile(r"network_batch(\d+)_ms")
"""Names of the samples of whole networks in a record."""


@dataclass(frozen=True)
class OrderAgreement:
    """Kendall's tau between the orders that two ways of timing give.

    Args:
        ways: the two.
        tau: over the networks that both timed; 1 for the same order, 0 for unrelated ones, -1 for the reverse.
        interval: 95 % of what it is when the rounds are drawn anew; None where there are fewer than six.
        networks: how many.
    """

    ways: tuple[str, str]
    tau: float
    interval: tuple[float, float] | None
    networks: int

    def columns(self, batch_size: int) -> dict[str, Any]:
        """One flat row."""
        low, high = self.interval or (None, None)
        one, other = self.ways
        return {
            "one": one, "other": other, "batch_size": batch_size, "tau": self.tau, "tau_low": low, "tau_high": high,
            "networks": self.networks,
        }  # fmt: skip

    def __str__(self) -> str:
        within = (
            "{:+.2f} to {:+.2f}".format(*self.interval) if self.interval else "too few rounds for an interval"
        )
        return f"Kendall's tau of {self.ways[0]} and {self.ways[1]}: {self.tau:+.2f} ({within}) over {self.networks} networks"


def orders(times: Mapping[str, Mapping[str, Sequence[float]]]) -> list[OrderAgreement]:
    """Of each two ways that timed four networks or more together.

    The interval is that of a bootstrap: as many rounds are drawn with replacement as there were, the same ones for all networks
    and ways, which took turns within them, and their medians give another order.

    Source: Kendall, A new measure of rank correlation, Biometrika 30 (1938); Efron and Tibshirani, An introduction to the
    bootstrap, ch. 13.

    Args:
        times: samples in milliseconds by way and network; sample i of all networks of a way is of its round i.
    """
    agreements = []
    for ways in itertools.combinations(times, 2):
        names = [name for name in times[ways[0]] if name in times[ways[1]]]
        if len(names) < LEAST:
            continue
        plain, drawn = zip(*(_medians([times[way][name] for name in names]) for way in ways), strict=True)
        tau, interval = float(kendall_taus(*plain)[0]), None
        if drawn[0] is not None and drawn[1] is not None:
            low, high = np.quantile(kendall_taus(drawn[0], drawn[1]), [0.025, 0.975])
            interval = float(low), float(high)
        agreements.append(OrderAgreement(ways, tau, interval, len(names)))
    return agreements


def stored_orders(records: Iterable[Record]) -> dict[int, list[OrderAgreement]]:
    """The same by batch size, of networks that a store has times of in several ways: on other machines, by other runtimes.

    Args:
        records: of latencies; of each network and way the last one counts.
    """
    times: dict[int, dict[str, dict[str, list[float]]]] = {}
    for record in records:
        way = str(record.environment.get("timed_on") or "")
        for name, samples in record.samples.items():
            if way and (of_network := NETWORK.fullmatch(name)):
                batch = times.setdefault(int(of_network[1]), {})
                batch.setdefault(way, {})[record.fingerprint] = list(samples)
    return {batch: agreements for batch, ways in sorted(times.items()) if (agreements := orders(ways))}


def _medians(
    samples: Sequence[Sequence[float]],
) -> tuple[Float[np.ndarray, "1 networks"], Float[np.ndarray, "draws networks"] | None]:
    """As they are, and of redrawn rounds where there are enough."""
    rounds = min(map(len, samples))
    table = np.array([of[:rounds] for of in samples])
    places = np.random.default_rng(0).integers(rounds, size=(DRAWS, rounds))
    redrawn = np.median(table[:, places], axis=2).T if rounds >= ROUNDS else None
    return np.array([[statistics.median(of) for of in samples]]), redrawn
