"""What lies around, or in a file that is read, starts nothing: no program, no LaTeX, no cluster of somebody else's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blockzoo.cli import main
from blockzoo.core.errors import DataError
from blockzoo.core.outputs import Outputs
from blockzoo.data.images import Images
from blockzoo.data.streams import StreamedBatches, StreamedData, check_streamed_images
from blockzoo.execution.slurm import SlurmJobs

ADDRESS = "ray://127.0.0.1:1"


def test_no_image_starts_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow hands PostScript to Ghostscript, whatever the file is called."""
    ghostscript = tmp_path / "bin" / "gs"
    ghostscript.parent.mkdir()
    ghostscript.write_text(f"#!/bin/sh\ntouch {tmp_path}/RAN\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ghostscript.parent}{os.pathsep}{os.environ['PATH']}")
    picture = tmp_path / "picture.jpg"
    picture.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\nshowpage\n%%EOF\n")
    images = Images(np.array([os.fsencode(picture)]), np.zeros(1, np.int64))
    data = StreamedData("folder", "", images, images, images, 1, (0.5,) * 3, (0.5,) * 3, flip=True, size=8)
    with pytest.raises(DataError, match=r"picture\.jpg"):
        check_streamed_images(StreamedBatches(images, 1, data=data))
    assert not (tmp_path / "RAN").exists()
    with pytest.raises(Exception), Image.open(picture) as image:  # noqa: B017
        image.load()
    assert (tmp_path / "RAN").exists(), "the attempt is none"


DRAWN = """
import matplotlib, sys
from blockzoo.core import consent
if sys.argv[1] == "command":
    consent.close(())
from blockzoo.report.drawing import Figure
print(matplotlib.rcParams["text.usetex"], matplotlib.rcParams["axes.facecolor"])
"""


@pytest.mark.parametrize(("who", "has"), [("command", "False white"), ("program", "True red")])
def test_settings_of_pictures_that_lie_around(who: str, has: str, tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\naxes.facecolor: red\n")
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", DRAWN, who],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "MPLCONFIGDIR": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == has


def test_no_file_names_the_cluster_that_is_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a Ray cluster answers is unpickled."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    sweep = {"blocks": ["ResNetBasicBlock"], "dataset": "digits", "executor": "ray", "address": ADDRESS}
    file = tmp_path / "sweep.yaml"
    file.write_text(json.dumps({**sweep, "output": str(tmp_path)}))
    outputs = Outputs.at(tmp_path)
    outputs.sweep.write_text(json.dumps({"version": 1, "request": sweep, "trials": []}))
    for words in (
        ["run", "--config", str(file)],
        ["resume", "--output", str(tmp_path)],
        ["retry", "--output", str(tmp_path)],
    ):
        assert main(["sweep", *words, "--dry-run"]) == 2
        assert f"name it too: --address {ADDRESS}" in capsys.readouterr().err.replace("\n", " ")
    assert not outputs.database.exists()
    seen = []
    monkeypatch.setattr(
        "blockzoo.cli.sweep.run.finish", lambda **options: seen.append(options["address"]) or 0
    )
    named = ["--address", ADDRESS, "--dry-run"]
    assert main(["sweep", "run", "--config", str(file), *named]) == 0
    assert main(["sweep", "resume", "--output", str(tmp_path), *named]) == 0
    monkeypatch.setenv("RAY_ADDRESS", ADDRESS)
    assert main(["sweep", "retry", "--output", str(tmp_path), "--dry-run"]) == 0
    assert seen == [ADDRESS] * 3


def test_pickles_that_lie_in_a_spool_are_not_read(tmp_path: Path) -> None:
    """submitit reads the result of a job from a folder of the job's number, which can be guessed."""
    pytest.importorskip("submitit")
    places = [
        SlurmJobs(tmp_path, workers=1, threads=1, options=["cluster=local"])._executor().folder
        for _ in range(2)
    ]
    assert places[0] != places[1] and all(tmp_path in place.parents for place in places)
