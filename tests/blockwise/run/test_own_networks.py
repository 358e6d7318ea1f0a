"""Networks of the user's own in a block-wise run: built as they stand, and part of the request."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from blockzoo.blockwise.run.config import RunConfig
from blockzoo.blockwise.run.data import Examples
from blockzoo.blockwise.run.earlier import adopt_earlier
from blockzoo.blockwise.run.runs import run_blockwise
from blockzoo.blockwise.run.sources import Problem, build_model
from blockzoo.cli import main
from blockzoo.core.contracts import CHECKS, NETWORKS, SUBJECTS
from blockzoo.core.errors import UsageError
from blockzoo.core.spec import NetworkSpec
from blockzoo.core.subject import Subject
from blockzoo.models.resolve import build_network
from tests.blockwise.runs import config

CLASS = """
from torch import nn

class Net(nn.Module):
    def __init__(self, {signature}):
        super().__init__()
        width = 256 if {wide} else 16
        self.blocks = nn.Sequential(
            nn.Sequential(nn.Flatten(), nn.Linear(192, width), nn.ReLU()), nn.Linear(width, {outputs})
        )

    def forward(self, x):
        return self.blocks(x)

def make():
    return Net(num_classes=4)
"""


@pytest.fixture
def problem() -> Problem:
    data = Examples(torch.randn(12, 3, 8, 8), torch.arange(12) % 10)
    return Problem("made up", data, data, 10)


def _write(folder: Path, signature: str, wide: str = "False", outputs: str = "10") -> str:
    path = folder / "net.py"
    path.write_text(CLASS.format(signature=signature, wide=wide, outputs=outputs))
    return str(path)


@pytest.mark.parametrize("prefix", ["", "model:"])
@pytest.mark.parametrize(
    ("signature", "wide", "outputs", "shapes"),
    [
        ("", "False", "10", (16, 10)),
        ("num_classes=7", "False", "num_classes", (16, 10)),
        ("num_classes", "False", "num_classes", (16, 10)),
        ("wide=False", "wide", "10", (16, 10)),  # a spec, told as the first argument, is true
        ("wide=True, n_classes=10", "wide", "n_classes", (256, 10)),
        ("*, in_channels=1, classes=3", "in_channels == 1", "classes", (16, 10)),
    ],
)
def test_a_class_is_told_what_the_data_fix_and_nothing_else(
    prefix: str,
    signature: str,
    wide: str,
    outputs: str,
    shapes: tuple[int, int],
    problem: Problem,
    tmp_path: Path,
) -> None:
    text = prefix + _write(tmp_path, signature, wide, outputs) + ":Net"
    asked = RunConfig(model=text)
    widths = [p.shape[0] for p in build_model(asked, problem).parameters() if p.ndim == 2]
    assert tuple(widths) == shapes
    spec = NetworkSpec(text, out_dim=10, in_channels=3)
    assert [p.shape[0] for p in build_network(spec).parameters() if p.ndim == 2] == widths
    again = build_model(asked, problem).state_dict()
    assert all(torch.equal(a, again[n]) for n, a in build_model(asked, problem).state_dict().items())


def test_functions_and_classes_that_nothing_can_be_told(problem: Problem, tmp_path: Path) -> None:
    path = _write(tmp_path, "num_classes=7", outputs="num_classes")
    assert build_model(RunConfig(model=f"{path}:make"), problem)(torch.zeros(1, 3, 8, 8)).shape == (1, 4)
    for signature, says in (("depth", "nothing says its depth"), ("num_classes=None", "cannot be built")):
        other = tmp_path / signature[:5]
        other.mkdir()
        path = _write(other, signature, "undefined" if "=" in signature else "depth")
        with pytest.raises(UsageError, match=says):
            build_model(RunConfig(model=f"{path}:Net"), problem)
    with pytest.raises(UsageError, match="has widths of its own"):
        build_model(RunConfig(model=f"{path}:Net", config=(3,)), problem)


def test_no_door_behind_the_subjects_takes_a_file(tmp_path: Path) -> None:
    """What would be called with a spec, though it is a class like any: only `models.own` builds it."""
    text = _write(tmp_path, "") + ":Net"
    for door in (NETWORKS, SUBJECTS, CHECKS):
        assert text not in door
    assert Subject.parse(f"model:{text}") == Subject.parse(text)
    inner = f"tiled:F8:model:{text}"
    assert str(Subject.parse(inner)) == f"tiled:F8:{text}"


def test_the_command_curvature_measures_a_class_as_it_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _write(tmp_path, "wide=False", "wide")
    options = f"--dataset digits --image-size 8 --batches 1 --batch-size 8 --no-spectra --output {tmp_path}"
    assert main(["blockwise", "curvature", "--model", f"{path}:Net", *options.split()]) == 0
    sizes = 192 * 16 + 16, 16 * 10 + 10
    out = capsys.readouterr().out
    assert all(f"{size:,}" in out for size in sizes), out


def test_code_that_was_edited_is_another_run(tmp_path: Path) -> None:
    path = _write(tmp_path, "")
    asked = config(model=f"{path}:Net", config=(), options={"rounds": 1})
    first = asked.fingerprint()
    folder = run_blockwise(asked, tmp_path, store=False).folder
    assert folder is not None and folder.name.endswith(first)
    longer = config(model=f"{path}:Net", config=(), options={"rounds": 2})
    Path(path).write_text(Path(path).read_text() + "\n# edited\n")
    assert asked.fingerprint() != first
    assert adopt_earlier(longer, tmp_path) is None
    Path(path).write_text(Path(path).read_text().removesuffix("\n# edited\n"))
    assert asked.fingerprint() == first
    assert adopt_earlier(longer, tmp_path) == folder
    assert config().fingerprint() == config(model="feedforward").fingerprint()
