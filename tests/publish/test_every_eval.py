"""Evaluations of others' collection: one file for each block and protocol, with who vouches and what is doubted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from blockzoo.core.outputs import Outputs
from blockzoo.core.record_file import write_records
from blockzoo.publish.folder import export_results
from blockzoo.publish.submission import submit
from tests.publish.made_up import stored, timing, trial


def results(folder: Path) -> dict[str, dict[str, Any]]:
    """By metric, of the one file."""
    (path,) = folder.rglob("*.json")
    document = json.loads(path.read_text())
    return {one["metric_config"]["metric_id"]: one for one in document["evaluation_results"]}


def test_an_export_after_another_seed_replaces_the_file(tmp_path: Path) -> None:
    store = stored(tmp_path / "results", trial(0, 0), trial(0, 1))
    counts = []
    for seed in (2, 3):
        export_results(tmp_path / "results", tmp_path / "evals", "every-eval-ever")
        counts.append(results(tmp_path / "evals")["accuracy"]["score_details"]["uncertainty"]["num_samples"])
        store.add(trial(0, seed))
    assert counts == [2, 3]


def test_two_protocols_of_a_block_are_two_files(tmp_path: Path) -> None:
    other = trial(0, 1)
    other.spec = {**other.spec, "protocol": "baseline-v1"}
    stored(tmp_path / "results", trial(0, 0), other)
    export_results(tmp_path / "results", tmp_path / "evals", "every-eval-ever")
    assert len({path.name for path in (tmp_path / "evals").rglob("*.json")}) == 2


def test_a_time_has_its_doubt_beside_it(tmp_path: Path) -> None:
    doubted = timing(0)
    doubted.values = {"network_batch1_doubt": "wild samples"}
    stored(tmp_path / "doubted", trial(0), doubted)
    stored(tmp_path / "sure", trial(0), timing(0))
    for name, doubt in (("doubted", "wild samples"), ("sure", None)):
        export_results(tmp_path / name, tmp_path / f"{name}-evals", "every-eval-ever")
        time = results(tmp_path / f"{name}-evals")["blockzoo.latency_ms"]
        assert time["score_details"]["details"].get("doubt") == doubt


def test_each_result_says_who_vouches_for_it(tmp_path: Path) -> None:
    write_records(tmp_path / "theirs.jsonl.gz", [trial(0, 1)])
    store = stored(tmp_path / "results", trial(0, 0))
    told = []
    for _ in range(2):
        export_results(tmp_path / "results", tmp_path / "evals", "every-eval-ever")
        details = results(tmp_path / "evals")["accuracy"]["generation_config"]["additional_details"]
        told.append((details["tier"], details.get("submitted_by")))
        submit(tmp_path / "theirs.jsonl.gz", Outputs.at(tmp_path / "results").store(), "A. Person")
    assert told == [("own", None), ("own, reported", "A. Person")] and store.path.is_file()
