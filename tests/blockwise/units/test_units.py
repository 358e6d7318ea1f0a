"""Measurement units: every one changes nothing; some by hand; those that fail."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from blockzoo.blockwise.contracts import ENGINES, UNITS
from blockzoo.blockwise.engines.local_sgd import LocalSGD
from blockzoo.blockwise.run.frame import Frame
from blockzoo.blockwise.run.reading import read_lines
from blockzoo.blockwise.run.runs import run_blockwise
from blockzoo.blockwise.run.view import RunView
from blockzoo.blockwise.units import make_units, read_units
from blockzoo.core.errors import UsageError
from tests.blockwise.runs import config


@pytest.mark.parametrize("name", sorted(UNITS))
def test_every_unit_measures_with_named_units_and_changes_nothing(name: str) -> None:
    asked = config(config=(4,), image_size=4, options={"rounds": 2})
    frame = Frame.from_config(asked)
    previous = RunView(frame).values()
    run = RunView(frame, ENGINES["jacobi"]().run(frame), previous)
    before = [p.detach().clone() for p in frame.model.parameters()]
    measured = make_units([name])[name].measure(run)
    assert measured and all(isinstance(key, str) for key in measured)
    numbers = [value for key, value in measured.items() if key != "labels"]
    assert numbers and all(np.isfinite(np.asarray(value, dtype=float)).all() for value in numbers)
    assert all(torch.equal(a, b) for a, b in zip(before, frame.model.parameters(), strict=True))


def test_what_a_unit_sees_is_not_to_be_turned() -> None:
    frame = Frame.from_config(config(config=(4,), image_size=4))
    run = RunView(frame)
    for name in ("round", "model", "last", "blocks", "anything"):
        with pytest.raises((AttributeError, TypeError)):
            setattr(run, name, 1)
    own = run.values()
    with run.holding([[torch.zeros_like(p) for p in block] for block in own]):
        assert not any(p.any() for block in run.blocks for p in block.parameters)
    assert all(
        torch.equal(a, b)
        for one, two in zip(own, run.values(), strict=True)
        for a, b in zip(one, two, strict=True)
    )


def test_units_by_the_names_of_the_sandbox_and_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "Units.txt"
    path.write_text(
        "# what is measured\nWorking_memory_usage\nHessianBlockInteractionMeasurement rank=2,\n\nHessian_measurement\n"
    )
    lines = read_units(path)
    units = make_units(lines)
    assert [type(u).__name__ for u in units.values()] == ["WorkingMemory", "Coupling", "ExactHessian"]
    assert units["HessianBlockInteractionMeasurement"]._searching.rank == 2  # type: ignore[attr-defined]
    for wrong, says in (
        ("nonsense", "unknown measurement unit"),
        ("norms size=3", "size"),
        ("norms x", "name=value"),
        ("norms 'x=1", "name=value"),
        ("coupling rank=x", "rank 'x': give a whole number"),
        ("hessian batches=1.5", "batches 1.5: give a whole number"),
        ("norms batches=0", "1 or more"),
        ("descent tol=2", "below 1"),
        ("coupling matrix=fisher", "choose hessian or"),
        ("os:system command=true", "no class with a method measure"),
        ("pathlib:Path", "no class with a method measure"),
    ):
        with pytest.raises(UsageError, match=says):
            make_units([wrong])
    path.write_text("Measurement Units In Use:\n- Working_memory_usage\n-  coupling rank=2\n")
    assert read_units(path) == ["Working_memory_usage", "coupling rank=2"]
    with pytest.raises(UsageError, match="cannot be read"):
        read_units(tmp_path / "no.txt")


def test_memory_by_hand() -> None:
    frame = Frame.from_config(config(config=(4,), image_size=4, options={"optimizer": "adam"}))
    sizes = [3 * 16 * 4 + 4, 4 * 10 + 10]
    ENGINES["jacobi"]().run(frame)
    measured = make_units(["working-memory"])["working-memory"].measure(RunView(frame))
    steps = 2 * 4  # Adam counts its steps in a number per tensor
    assert measured["client_memory_bytes"] == [4 * (sum(sizes) + 3 * size) + steps for size in sizes]


def test_memory_of_local_sgd_by_hand() -> None:
    """Each worker has the gradient of the whole network from the start, and Adam's two moments of it after a round."""
    asked = config("local-sgd", config=(4,), image_size=4, options={"optimizer": "adam"})
    frame, size = Frame.from_config(asked), 3 * 16 * 4 + 4 + 4 * 10 + 10
    (unit,) = make_units(["working-memory"]).values()
    engine = LocalSGD()
    run = RunView(frame, trained=engine.clients(frame))
    assert unit.measure(run)["client_memory_bytes"] == [4 * 2 * size] * 2
    engine.run(frame)
    measured = unit.measure(RunView(frame, trained=engine.clients(frame)))
    assert measured["client_memory_bytes"] == [4 * 4 * size + 4 * 4] * 2, "and a count per tensor"
    assert measured["all_clients_memory_bytes"] == sum(measured["client_memory_bytes"])


def test_descent_is_bounded_to_second_order() -> None:
    """With small steps the interplay of blocks stays within the bound that the coupling map predicts."""
    frame = Frame.from_config(config(options={"step_size": 1e-3, "k": 3}))
    previous = RunView(frame).values()
    run = RunView(frame, ENGINES["jacobi"]().run(frame), previous)
    measured = make_units(["descent"])["descent"].measure(run)
    assert measured["actual_change_loss"] < 0
    assert abs(measured["interplay_loss"]) <= measured["interplay_bound_loss"] + 1e-6
    assert measured["predicted_change_loss"] == pytest.approx(sum(measured["block_change_loss"]))


def test_a_failing_unit_is_logged_and_training_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = tmp_path / "own.py"
    own.write_text("class Broken:\n    def measure(self, frame):\n        return {'x': 1 / 0}\n")
    name = f"{own}:Broken"
    run = run_blockwise(config(units=(name,)), tmp_path)
    assert run.status == "finished" and "ZeroDivisionError" in caplog.text and run.folder is not None
    assert "ZeroDivisionError" in read_lines(run.folder / "measurements.jsonl")[0]["values"]["error"]


def test_large_arrays_lie_beside_the_lines(tmp_path: Path) -> None:
    run = run_blockwise(
        config(units=("hessian",), config=(3,), image_size=4, options={"rounds": 1}), tmp_path
    )
    assert run.folder is not None
    values = read_lines(run.folder / "measurements.jsonl")[0]["values"]
    matrix = np.load(run.folder / values["hessian"]["file"])
    assert matrix.shape == (187, 187) and np.allclose(matrix, matrix.T)
    assert values["trace"] == pytest.approx(np.trace(matrix), rel=1e-4)
