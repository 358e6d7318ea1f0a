"""Errors of times that were added up, against the same by hand."""

from __future__ import annotations

import numpy as np
import pytest

from blockzoo.nas.ranking.latency_agreement import LatencyAgreement


def test_errors_by_hand() -> None:
    agreement = LatencyAgreement(
        np.array([1.0, 2.0, 4.0, 5.0]), np.array([1.1, 1.8, 4.0, 3.0]), np.arange(4), "a CPU"
    )
    assert agreement.mean_absolute_percentage == pytest.approx((10 + 10 + 0 + 40) / 4)
    assert agreement.largest_percentage == pytest.approx(40)
    assert agreement.spearman == pytest.approx(1 - 6 * (0 + 0 + 1 + 1) / (4 * 15))
    assert agreement.summary() == {"mape_percent": 15.0, "largest_percent": 40.0, "spearman": 0.8, "n": 4}
    assert "n = 4" in agreement.headline() and len(agreement.table_rows()) == 4
