"""Results in the format of the Every Eval Ever collection: one JSON for each block and protocol, with unit and uncertainty.

Source: eval.schema.json 0.2.2, https://github.com/evaleval/every_eval_ever.
"""

from __future__ import annotations

import json
import math
import sys
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from statistics import fmean
from typing import Any

from blockzoo import __version__
from blockzoo.core.quantity import quantities
from blockzoo.core.table import COLUMNS, Row
from blockzoo.core.text import file_name
from blockzoo.publish.cells import Cell, cells_of
from blockzoo.publish.citation import OURS
from blockzoo.report.estimates import FRACTION, LEAST_SEEDS, deviation, estimate

SCHEMA = "0.2.2"
NAMESPACE = uuid.UUID("7f2b9f0e-5c0d-5f7a-9a44-2f6d7f0c5a11")
"""Of the names of files, which follow from what they are of: an export replaces what an earlier one wrote."""
UNBOUNDED = sys.float_info.max
"""The largest score of what has none: the format asks for a number."""
COSTS = ("params_total", "macs", "peak_activation_bytes")
TIME = "latency_ms"


def eval_files(rows: Iterable[Row], *, author: str, url: str, made: str) -> Iterator[tuple[str, str]]:
    """Paths and texts of the files: `data/BENCHMARK/DEVELOPER/MODEL/UUID.json`, one path for each block and protocol.

    Args:
        rows: of the results table.
        author: whose evaluation it is; empty: not said.
        url: where the results lie; empty: not said.
        made: when, ISO 8601.
    """
    by_block: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for cell in cells_of(rows):
        if cell.accuracies:
            by_block[cell.block, cell.protocol].append(cell)
    for (block, protocol), cells in by_block.items():
        document = _document(block, protocol, cells, author, url, made)
        name = uuid.uuid5(NAMESPACE, json.dumps([block, protocol]))
        folder = f"data/blockzoo-{file_name(protocol)}/blockzoo/{file_name(block)}"
        yield f"{folder}/{name}.json", json.dumps(document, indent=1) + "\n"


def _document(
    block: str, protocol: str, cells: list[Cell], author: str, url: str, made: str
) -> dict[str, Any]:
    identity = f"blockzoo/{block}"
    seconds = str(datetime.fromisoformat(made).timestamp())
    results = [result for cell in cells for result in _results(cell, url)]
    last = max((str(row.get("timestamp") or "") for cell in cells for row in cell.rows), default="")
    return {
        "schema_version": SCHEMA,
        "evaluation_id": f"blockzoo-{protocol}/{block}/{seconds}",
        **({"evaluation_timestamp": last} if last else {}),
        "retrieved_timestamp": seconds,
        "source_metadata": {
            "source_name": "blockzoo",
            "source_type": "evaluation_run",
            "source_organization_name": author or OURS,
            **({"source_organization_url": url} if url else {}),
            "evaluator_relationship": "third_party",
            "additional_details": {"tiers": ", ".join(dict.fromkeys(tier for c in cells for tier in c.tiers))},
        },
        "eval_library": {"name": "blockzoo", "version": __version__},
        "model_info": {
            "name": block,
            "id": identity,
            "additional_details": {"what": "a convolutional block, trained within the networks that the results name"},
        },
        "evaluation_results": results,
    }  # fmt: skip


def _results(cell: Cell, url: str) -> Iterator[dict[str, Any]]:
    accuracies = cell.accuracies
    yield _result(
        cell,
        url,
        {
            "evaluation_description": COLUMNS["test_acc"],
            "metric_id": "accuracy",
            "metric_name": "Accuracy",
            "metric_kind": "accuracy",
            "metric_unit": "proportion",
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": 0,
            "max_score": 1,
        },
        {"score": fmean(accuracies), "uncertainty": _over_seeds(accuracies)},
    )
    if cell.latency_ms is not None:
        doubt = {"doubt": cell.time_doubt} if cell.time_doubt else {}
        score: dict[str, Any] = {"score": cell.latency_ms, "details": {"timed_on": cell.timed_on, **doubt}}
        if cell.time_interval is not None:
            low, high = cell.time_interval
            score["uncertainty"] = {
                "confidence_interval": _interval(low, high, "order statistics of the samples"),
                **({"num_samples": cell.time_samples} if cell.time_samples else {}),
            }
        yield _result(cell, url, _cost_metric(TIME), score)
    for name in COSTS:
        if values := cell.of(name):
            yield _result(cell, url, _cost_metric(name), {"score": values[-1]})


def _cost_metric(name: str) -> dict[str, Any]:
    quantity = quantities()[name]
    return {
        "evaluation_description": quantity.sentence,
        "metric_id": f"blockzoo.{name}",
        "metric_name": quantity.label or name,
        "metric_unit": quantity.unit,
        "lower_is_better": quantity.better == "lower",
        "score_type": "continuous",
        "min_score": 0,
        "max_score": UNBOUNDED,
        "additional_details": {"max_score": "there is none; the format asks for a number"},
    }


def _over_seeds(values: list[float]) -> dict[str, Any]:
    uncertainty: dict[str, Any] = {"num_samples": len(values)}
    if len(values) > 1:
        spread = deviation(values)
        uncertainty["standard_deviation"] = spread
        uncertainty["standard_error"] = {"value": spread / math.sqrt(len(values)), "method": "over seeds"}
    interval = estimate(values, FRACTION).interval if len(values) >= LEAST_SEEDS else None
    if interval is not None:
        uncertainty["confidence_interval"] = _interval(*interval, "Student's t over seeds")
    return uncertainty


def _interval(low: float, high: float, method: str) -> dict[str, Any]:
    return {"lower": low, "upper": high, "confidence_level": 0.95, "method": method}


def _result(cell: Cell, url: str, metric: dict[str, Any], score: dict[str, Any]) -> dict[str, Any]:
    where = f" at {cell.position}" if cell.position else ""
    dataset = cell.dataset or "unknown"
    source: dict[str, Any] = {"dataset_name": dataset, "source_type": "other"}
    if url:
        source = {"dataset_name": dataset, "source_type": "url", "url": [url]}
    return {
        "evaluation_result_id": f"{cell.group}/{cell.model}/{metric['metric_id']}",
        "evaluation_name": f"{dataset}{where}",
        "source_data": source,
        "metric_config": metric,
        "score_details": score,
        "generation_config": {
            "additional_details": {
                "setting": cell.shared,
                "position": cell.position,
                "comparable_group": cell.group,
                "trainings": ", ".join(cell.fingerprints),
                "tier": ", ".join(cell.tiers),
                **({"submitted_by": ", ".join(cell.submitters)} if cell.submitters else {}),
            }
        },
    }
