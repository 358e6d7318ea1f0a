"""The commands of `blockzoo blockwise`, and the examples of plugins."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch

from blockzoo.blockwise.curvature import report as curvature_report
from blockzoo.blockwise.curvature.hessian import exact_hessian
from blockzoo.blockwise.run.reading import read_lines
from blockzoo.blockwise.run.runs import run_blockwise
from blockzoo.cli import main
from blockzoo.core.contracts import NETWORKS
from blockzoo.report.heatmap import HeatMap
from tests.blockwise.runs import config


def test_the_command_of_the_sandbox(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = (
        "blockwise --training_mode blockwise_sequential --model cnn_ensemble --rounds 2 --dataset digits "
        "--step-size 1e-3 --batch-size 32 --K 2 --gamma 1 --prox-lambda 0 --share_of_active_workers 1.0 "
        "--communication_delay 0 --report-sampling-rate 1 --measurement_sampling_rate 399 --stopper accuracy:0.9 "
        "--seed 42 --image-size 8 --limit-train 64 --units Working_memory_usage"
    ).split()
    assert main([*command, "--config", "[[4,4],[6,6]]", "--output", str(tmp_path)]) == 0
    (folder,) = (tmp_path / "blockwise").iterdir()
    assert folder.name.startswith("cnn_ensemble-digits-jacobi-")
    assert read_lines(folder / "measurements.jsonl")[0]["unit"] == "Working_memory_usage"
    capsys.readouterr()
    wrong: list[tuple[list[str], str]] = [
        (["--K", "0"], "k 0"),
        (["--gamma", "0"], "gamma"),
        (["--K", "x"], "--k x"),
        (["--config", "3"], "give a list"),
        (["--config", "[[3]]"], "one list"),
        (["--units", "nonsense"], "unknown measurement unit"),
        (["--training-mode", "jakobi"], "jacobi"),
        (["--partition", "first=blocks.0.*"], "in no block: blocks.1"),
        (["--partition", "layers"], "choose blocks, halves"),
    ]
    for more, says in wrong:
        assert main(["blockwise", "--dataset", "digits", "--output", str(tmp_path), *more]) == 2, more
        assert says in capsys.readouterr().err.replace("\n", " ")


def test_a_file_of_units_is_read_where_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("Units.txt").write_text("nonsense\n")
    command = ["blockwise", "--dataset", "digits", "--image-size", "8", "--dry-run"]
    assert main(command) == 0
    assert main([*command, "--units-file", "Units.txt"]) == 2
    assert "unknown measurement unit" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_curvature_measures_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_blockwise(config(config=(4,), image_size=4), tmp_path)
    assert run.folder is not None and run.frame is not None
    command = ["blockwise", "curvature", "--run", str(run.folder), "--batches", "1", "--batch-size", "32"]
    assert main([*command, "--max-products", "400", "--tol", "1e-5", "--output", str(tmp_path / "out")]) == 0
    folder = tmp_path / "out" / "curvature"
    rows = {
        (r["first"], r["second"]): float(r["sigma"]) for r in csv.DictReader((folder / "coupling.csv").open())
    }
    exact = exact_hessian(
        run.frame.model, run.frame.criterion, run.frame.probe(1, 32), run.frame.partition
    ).double()
    split = run.frame.partition.sizes(run.frame.model)[0]
    labels = run.frame.partition.labels
    for pair, block in (
        ((labels[0], labels[0]), exact[:split, :split]),
        ((labels[0], labels[1]), exact[:split, split:]),
        ((labels[1], labels[1]), exact[split:, split:]),
    ):
        assert rows[pair] == pytest.approx(float(torch.linalg.matrix_norm(block, 2)), rel=1e-4)
    blocks = {r["block"]: r for r in csv.DictReader((folder / "blocks.csv").open())}
    assert float(blocks[labels[1]]["trace"]) == pytest.approx(float(exact[split:, split:].trace()), rel=1e-3)
    assert (folder / "coupling.html").exists() and (folder / "coupling.pdf").exists()
    measured = run_blockwise(
        config(config=(4,), image_size=4, units=("coupling rank=2",), measurement_sampling_rate=1),
        tmp_path,
        tensorboard=True,
    )
    assert measured.folder is not None and list((measured.folder / "tensorboard").iterdir())
    draw = ["blockwise", "curvature", "--along", "--output", str(tmp_path / "out"), "--run"]
    assert main([*draw, str(measured.folder)]) == 0
    assert (folder / "along.png").exists() and (folder / "along.gif").read_bytes().startswith(b"GIF")
    assert main([*draw, str(run.folder)]) == 2 and "measured the unit coupling" in capsys.readouterr().err
    assert main(["blockwise", "curvature", "--run", str(tmp_path), "--output", str(tmp_path)]) == 2
    assert "no folder of a block-wise run" in capsys.readouterr().err.replace("\n", " ")


def test_the_command_curvature_keeps_earlier_maps_and_marks_what_has_not_converged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = (
        "blockwise curvature --dataset digits --image-size 4 --config [4] --batches 1 --batch-size 16 --no-spectra "
        f"--output {tmp_path}"
    ).split()
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "4 of 4 entries within 0.001 of the truth" in said and "at most" in said and "dense-blocks" in said
    assert "NOT CONVERGED" not in said and "!" not in said
    first = {path.name: path.read_bytes() for path in (tmp_path / "curvature").iterdir()}
    assert json.loads(first["coupling.json"])["converged"] is True
    assert main([*command, "--max-products", "3"]) == 0
    said = capsys.readouterr().out
    assert "NOT CONVERGED: stopped early, after 3 products (max_products)" in said and "! at least" in said
    assert {path.name: path.read_bytes() for path in (tmp_path / "curvature").iterdir()} == first
    second = tmp_path / "curvature-2"
    facts = json.loads((second / "coupling.json").read_text())
    assert facts["converged"] is False and "stopped early" in facts["stopped"]
    rows = list(csv.DictReader((second / "coupling.csv").open()))
    assert {row["converged"] for row in rows} == {"False"}
    assert all(float(row["upper"]) >= float(row["sigma"]) for row in rows)
    assert "hatched" not in (tmp_path / "curvature" / "coupling.html").read_text()
    assert '"doubtful":[[true' in (second / "coupling.html").read_text()


def test_maps_along_a_run_mark_what_has_not_converged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs of before this was written down have no marks."""
    values = {"sigma": [[1.0, 0.5], [0.5, 2.0]], "labels": ["a", "b"]}
    lines = [
        {"round": 0, "unit": "coupling", "values": values},
        {"round": 1, "unit": "coupling", "values": {**values, "converged": [[True, False], [False, True]]}},
    ]
    (tmp_path / "measurements.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    drawn: list[HeatMap] = []
    monkeypatch.setattr(curvature_report, "draw_strip", lambda charts, path: drawn.extend(charts) or path)
    monkeypatch.setattr(curvature_report, "animate", lambda charts, path: path)
    paths = curvature_report.draw_along(tmp_path, tmp_path)
    assert {path.parent for path in paths} == {tmp_path / "curvature"}
    old, new = drawn
    assert old.doubtful is None and new.doubtful is not None
    assert new.doubtful.tolist() == [[False, True], [True, False]]


def test_the_command_curvature_takes_plugins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plugin = tmp_path / "own.py"
    plugin.write_text(
        "from blockzoo.core.contracts import NETWORKS\nfrom blockzoo.models.feedforward import ConvNet\n"
        "@NETWORKS.register\ndef narrow(spec):\n    return ConvNet(spec.in_channels, [3], spec.out_dim, 4)\n"
    )
    command = f"blockwise curvature --model model:narrow --dataset digits --image-size 4 --output {tmp_path} --no-spectra"
    try:
        assert main([*command.split(), "--batches", "1", "--plugin", str(plugin)]) == 0
    finally:
        NETWORKS.pop("narrow", None)
    assert "0 Conv2d" in capsys.readouterr().out and (tmp_path / "curvature" / "coupling.csv").exists()


EXAMPLES = Path(__file__).parents[2] / "examples" / "blockwise"


@pytest.mark.parametrize(
    ("file", "options"),
    [
        ("own_unit.py", ["--units", "dead-neurons"]),
        ("own_stopper.py", ["--stopper", "plateau:0.5"]),
        ("own_engine.py", ["--training-mode", "pairs"]),
    ],
)
def test_examples_are_short_and_run(file: str, options: list[str], tmp_path: Path) -> None:
    path = EXAMPLES / file
    assert len(path.read_text().splitlines()) <= 40
    command = ["blockwise", "--plugin", str(path), *options, "--dataset", "digits", "--image-size", "8"]
    more = [
        "--rounds",
        "6",
        "--K",
        "2",
        "--step-size",
        "0.1",
        "--report-sampling-rate",
        "1",
        "--output",
        str(tmp_path),
    ]
    assert main([*command, *more]) == 0
    (folder,) = (tmp_path / "blockwise").iterdir()
    reports = read_lines(folder / "progress.jsonl")
    if "stopper" in file:
        assert len(reports) < 6
    if "unit" in file:
        measured = read_lines(folder / "measurements.jsonl")[0]["values"]
        assert 0 <= measured["dead_share"][0] <= 1
    assert reports[-1]["train_loss"] < 2.6
