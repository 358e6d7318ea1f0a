"""Times that were added up from parts, against those of whole networks that the parts did not come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from blockzoo.core.contracts import RESULTS
from blockzoo.core.result import Result

if TYPE_CHECKING:
    from blockzoo.report.drawing import Figure

Values = npt.NDArray[np.float64]


@RESULTS.register("latency agreement")
@dataclass(frozen=True, eq=False, repr=False)
class LatencyAgreement(Result):
    """Predicted against measured times of whole networks that the table was not made from.

    Args:
        measured_ms: (networks,) medians of whole networks.
        predicted_ms: (networks,) sums of the medians of their parts.
        networks: (networks,) their indices in the space.
        where: device, dtype, batch size and threads, as people read them.
    """

    measured_ms: Values
    predicted_ms: Values
    networks: npt.NDArray[np.int64]
    where: str = ""

    @property
    def mean_absolute_percentage(self) -> float:
        """MAPE."""
        return float(np.abs(self.predicted_ms / self.measured_ms - 1).mean() * 100)

    @property
    def largest_percentage(self) -> float:
        """The largest error of any network."""
        return float(np.abs(self.predicted_ms / self.measured_ms - 1).max() * 100)

    @property
    def spearman(self) -> float:
        """Rank correlation."""
        from scipy.stats import spearmanr

        return float(spearmanr(self.predicted_ms, self.measured_ms).statistic)

    def summary(self) -> dict[str, float]:
        """What is stored beside every predicted number."""
        return {
            "mape_percent": round(self.mean_absolute_percentage, 2),
            "largest_percent": round(self.largest_percentage, 2),
            "spearman": round(self.spearman, 3),
            "n": len(self.measured_ms),
        }

    def __str__(self) -> str:
        return (
            f"MAPE {self.mean_absolute_percentage:.1f} %, largest error {self.largest_percentage:.1f} %, "
            f"Spearman {self.spearman:.3f} (n = {len(self.measured_ms)} whole networks)"
        )

    def headline(self) -> str:
        return f"times as sums of parts: {self}"

    def table_rows(self) -> list[dict[str, Any]]:
        columns = (self.networks.tolist(), self.measured_ms.tolist(), self.predicted_ms.tolist())
        return [
            {"network": network, "measured_ms": measured, "predicted_ms": predicted}
            for network, measured, predicted in zip(*columns, strict=True)
        ]

    def figure(self) -> Figure:
        """Each network, predicted over measured."""
        from blockzoo.nas.figures import latency_agreement

        return latency_agreement(self, self.where)
