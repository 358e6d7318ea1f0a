"""The example notebooks run from the first cell to the last, and are committed without outputs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.notebooks import cells_of, run

FOLDER = Path(__file__).parents[1] / "examples"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LENSES = {"isolate", "nas", "blockwise", "tiling"}
MOST_SECONDS = 60
"""Of one core."""


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_cell_runs_and_shows_what_it_is_for(path: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(FOLDER.parent)}
    words = [sys.executable, "-m", "tests.notebooks", str(path)]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    *shown, last = map(json.loads, done.stdout.splitlines())
    assert last["cpu_seconds"] < MOST_SECONDS
    code = [number for number, cell in enumerate(cells_of(path)) if cell["cell_type"] == "code"]
    assert [value["cell"] for value in shown] == code, "each cell ends with what it shows"
    assert all(value["repr"] not in ("None", "False") for value in shown)
    results = [value for value in shown if "Result" in value["kinds"]]
    figures = [value for value in shown if "Figure" in value["kinds"]]
    assert results and all("_repr_html_" in value["forms"] for value in results)
    assert figures and all("_repr_png_" in value["forms"] for value in figures)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_is_committed(path: Path) -> None:
    document = json.loads(path.read_text())
    assert (document["nbformat"], document["nbformat_minor"]) == (4, 5)
    assert document["cells"][0]["cell_type"] == "markdown" and len(document["cells"]) >= 6
    for cell in document["cells"]:
        assert set(cell) >= {"id", "metadata", "source"} and cell["metadata"] == {}
        assert re.fullmatch(r"[\w-]{1,64}", cell["id"])
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
    assert len({cell["id"] for cell in document["cells"]}) == len(document["cells"])


def test_each_lens_has_one() -> None:
    assert {path.stem for path in NOTEBOOKS} == LENSES


def test_the_code_is_formatted() -> None:
    words = [sys.executable, "-m", "ruff", "format", "--check", *map(str, NOTEBOOKS)]
    done = subprocess.run(words, cwd=FOLDER.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def written(tmp_path: Path, *sources: str) -> Path:
    cells = [{"cell_type": "code", "source": [source]} for source in sources]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}))
    return tmp_path / "a.ipynb"


@pytest.mark.parametrize("source", ["1 / 0", "raise SystemExit(1)"])
def test_a_cell_that_fails_is_a_failure(source: str, tmp_path: Path) -> None:
    with pytest.raises((ZeroDivisionError, SystemExit)):
        list(run(written(tmp_path, source)))


def test_cells_share_names_and_show_their_last_expression(tmp_path: Path) -> None:
    shown = list(run(written(tmp_path, "a = 1", "b = a + 1\nb", "a, b")))
    assert [(value["cell"], value["repr"]) for value in shown] == [(1, "2"), (2, "(1, 2)")]
