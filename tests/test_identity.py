"""Unequal requests never share a fingerprint: other images, other code of the user's own, a stand-in dataset."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from blockzoo.blockwise.run.config import RunConfig
from blockzoo.blockwise.run.identity import identified
from blockzoo.blockwise.run.options import Options
from blockzoo.blockwise.run.runs import run_blockwise
from blockzoo.blockwise.sweep import BlockwiseStudy, run_blockwise_study
from blockzoo.core.checked import sorted_into
from blockzoo.core.contracts import PROTOCOLS
from blockzoo.core.errors import UsageError
from blockzoo.core.settings import Data, Recipe, Scaffold
from blockzoo.core.sources import check_unedited, code_digest
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.data import ImageData, Images, content, load_dataset
from blockzoo.data.contracts import DATASETS
from blockzoo.execution.contracts import EXECUTORS
from blockzoo.tiling.experiments.training import TiledRecipe, tiled_spec
from blockzoo.tiling.tags import Tiling
from blockzoo.training.protocols import Protocol, fast_v1
from blockzoo.training.trial import run_trial
from blockzoo.trials.grid import grid, networks_of


def planted(root: Path, seed: int) -> Path:
    """Ten images of 8 x 8 in each of two classes: names and sizes are those of any other such tree, only pixels differ."""
    rng = np.random.default_rng(seed)
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for n in range(10):
            pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{n}.bmp")
    return root


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("trees")
    return planted(root / "A", 0), planted(root / "B", 1)


def loaded(root: Path) -> ImageData:
    return load_dataset("folder", root, image_size=8)


SMALL: dict[str, Any] = {
    "protocol": "fast-v1",
    "image_size": 8,
    "num_blocks": 1,
    "base_channels": 4,
}


def asked(data: ImageData, block: str = "ResNetBasicBlock", **options: Any) -> TrialSpec:
    """What `train`, `sweep` and `nas train` make of a request."""
    scaffold, recipe, chosen = sorted_into(SMALL | options, Scaffold, Recipe, Data, what="a test")
    return grid(networks_of([block], "early", data, scaffold), [0], data, recipe, chosen)[0]


# --- the images -------------------------------------------------------------------------------------


def test_other_images_are_another_request_wherever_they_lie(trees: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = map(loaded, trees)
    one, other = asked(a), asked(b)
    assert one.fingerprint() != other.fingerprint() and one.comparable() != other.comparable()
    assert a.split != b.split and a.split.startswith("stratified-fifths-v1-")
    moved = shutil.copytree(trees[0], tmp_path / "elsewhere")
    assert asked(loaded(moved)) == one, "the same images, and the same request"
    path = moved / "cat" / "3.bmp"
    raw, stat = bytearray(path.read_bytes()), path.stat()
    raw[-1] ^= 1
    path.write_bytes(raw)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    changed = loaded(moved)
    assert asked(changed).fingerprint() != one.fingerprint(), "one bit of one image, and no later a file"
    pixels = [np.concatenate([p.images for p in (d.train, d.val, d.test)]) for d in (a, changed)]
    assert (pixels[0] != pixels[1]).sum() == 1, "no decoded image of before is taken for it"


def test_tiled_networks_have_it_too(trees: tuple[Path, Path]) -> None:
    specs = [tiled_spec("resnet18", Tiling(), loaded(root), TiledRecipe(), image_size=8)[0] for root in trees]
    assert specs[0].fingerprint() != specs[1].fingerprint()
    assert specs[0].with_(data_digest=None) == specs[1].with_(data_digest=None)


def test_a_trial_of_some_images_is_not_trained_on_others(trees: tuple[Path, Path]) -> None:
    a, b = map(loaded, trees)
    for spec in (asked(a), asked(a).with_(data_digest=None)):
        with pytest.raises(UsageError, match="data_digest"):
            run_trial(spec, b)
    with pytest.raises(UsageError, match="as published"):
        run_trial(asked(a), load_dataset("digits", image_size=8))


def test_of_a_large_tree_files_from_all_over_are_read(
    trees: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "WHOLE", 0)
    monkeypatch.setattr(content, "SAMPLED", 5)
    read: list[Path] = []
    inner = content._digest_of_file
    monkeypatch.setattr(content, "_digest_of_file", lambda path: (read.append(path), inner(path))[1])
    digests = {loaded(root).digest for root in trees}
    assert len(digests) == 2 and len(read) == 2 * 5
    assert {path.parent.name for path in read} == {"cat", "dog"}
    loaded(trees[0])
    assert len(read) == 2 * 5, "once, until something changes"


class Toy:
    """Arrays of the user's own."""

    seed = 0

    def load(self, roots: Any, *, image_size: int | None = None, download: bool = True) -> ImageData:
        rng = np.random.default_rng(self.seed)
        parts = [Images(rng.integers(0, 256, (8, 3, 8, 8), np.uint8), np.arange(8) % 2) for _ in range(3)]
        return ImageData("toy", "mine", *parts, 2, (0.5,) * 3, (0.5,) * 3, False)


@pytest.fixture
def toy() -> Iterator[type[Toy]]:
    DATASETS["toy"] = Toy
    yield Toy
    del DATASETS["toy"]


def test_arrays_of_the_users_own_count_by_their_content(
    toy: type[Toy], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = asked(load_dataset("toy"))
    assert asked(load_dataset("toy")) == first
    monkeypatch.setattr(toy, "seed", 1)
    again = load_dataset("toy")
    assert asked(again).fingerprint() != first.fingerprint() and again.split.startswith("mine-")


def test_datasets_whose_name_says_what_they_are_keep_their_fingerprints() -> None:
    """As before there were digests."""
    assert TrialSpec(lr=0.01).fingerprint() == "4f39901ad2bca4b9"
    assert TrialSpec(dataset="digits", lr=0.01).comparable() == "fe606c4fc42621f6"
    assert TrialSpec(network=NetworkSpec("timm:resnet18"), lr=0.01).fingerprint() == "671ae25c34124c71"
    digits = load_dataset("digits", image_size=8)
    assert digits.digest == "" and asked(digits).data_digest is None
    assert RunConfig(dataset="digits").fingerprint() == identified(RunConfig(dataset="digits")).fingerprint()


# --- the code ---------------------------------------------------------------------------------------

MINE = """
import sys, pathlib; sys.path.insert(0, str(pathlib.Path(__file__).parent))
import json
import parts_of_identity as parts

class Block:
    def __init__(self, in_channels, out_channels, stride=1): ...
"""


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Path]:
    """A file that imports a file beside it, which imports one of a package, which imports its neighbour, late."""
    before, known = list(sys.path), set(sys.modules)
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "parts_of_identity.py").write_text("from lib_of_identity.deep import act\n")
    (tmp_path / "lib_of_identity").mkdir()
    (tmp_path / "lib_of_identity" / "__init__.py").write_text("")
    (tmp_path / "lib_of_identity" / "deep.py").write_text(
        "def act(x):\n    from .more import scale\n    return scale * x\n"
    )
    (tmp_path / "lib_of_identity" / "more.py").write_text("scale = 1.0\n")
    (tmp_path / "lib_of_identity" / "unused.py").write_text("")
    yield tmp_path / "mine.py"
    sys.path[:] = before
    for name in set(sys.modules) - known:
        if "of_identity" in name or name.startswith("blockzoo_plugin_"):
            del sys.modules[name]


@pytest.mark.parametrize("edited", ["mine.py", "parts_of_identity.py", "lib_of_identity/more.py"])
def test_any_file_of_the_users_own_that_is_imported_counts(mine: Path, edited: str) -> None:
    spec = NetworkSpec(f"{mine}:Block/mid")
    before = spec.fingerprint()
    (mine.parent / "lib_of_identity" / "unused.py").write_text("changed = True\n")
    assert NetworkSpec(f"{mine}:Block/mid").fingerprint() == before
    with (mine.parent / edited).open("a") as file:
        file.write("\nchanged = True\n")
    assert NetworkSpec(f"{mine}:Block/mid").fingerprint() != before
    if "more" not in edited:  # that is imported later
        with pytest.raises(UsageError, match="start a new process"):
            check_unedited([str(mine)])


def test_every_process_and_order_of_imports_finds_the_same(mine: Path) -> None:
    here = code_digest(str(mine))
    other = (
        f"import sys; sys.path[:0] = [{str(mine.parent)!r}]; import lib_of_identity.more, parts_of_identity\n"
        f"from blockzoo.core.sources import check_unedited, code_digest; print(code_digest({str(mine)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", other], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == here
    elsewhere = shutil.copytree(mine.parent, mine.parent / "copy")
    again = other.replace(str(mine.parent), str(elsewhere))
    done = subprocess.run([sys.executable, "-c", again], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == here, "where it lies is no part of it"


@pytest.mark.parametrize(
    "text",
    [
        "import importlib\nimportlib.import_module('helper_of_identity')",
        "def f():\n    import helper_of_identity.sub",
        "from importlib import util\nutil.spec_from_file_location('h', __file__.replace('one.py', '') + 'helper.py')",
        "exec(open(__file__.replace('one.py', 'helper.py')).read())",
    ],
)
def test_other_ways_to_import_are_seen(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "one.py").write_text(text)
    (tmp_path / "helper.py").write_text("x = 1\n")
    package = tmp_path / "helper_of_identity"
    package.mkdir()
    for name in ("__init__.py", "sub.py"):
        (package / name).write_text("x = 1\n")
    known = set(sys.modules)
    before = code_digest(str(tmp_path / "one.py"))
    for path in (tmp_path / "helper.py", package / "__init__.py"):
        path.write_text("x = 2\n\n")
    assert code_digest(str(tmp_path / "one.py")) != before
    for name in {name for name in sys.modules if "of_identity" in name} - known:
        del sys.modules[name]


READS = """
import json, pathlib
EXPAND = json.loads((pathlib.Path(__file__).parent / "block.json").read_text())
"""


def test_files_with_settings_beside_the_code_count(tmp_path: Path) -> None:
    path, beside = tmp_path / "reads.py", tmp_path / "block.json"
    path.write_text(READS)
    assert code_digest(str(path), load=False) == hashlib.sha256(path.read_bytes()).hexdigest()[:16], (
        "none is there"
    )
    path = tmp_path / "reads_one.py"
    path.write_text(READS)
    beside.write_text('{"expand": 2}')
    before = code_digest(str(path))
    assert before != hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    check_unedited([str(path)])
    beside.write_text('{"expand": 44}')
    assert code_digest(str(path)) != before
    with pytest.raises(UsageError, match=r"block\.json was edited after"):
        check_unedited([str(path)])


def test_a_file_without_imports_of_the_users_own_keeps_the_digest_it_had(tmp_path: Path) -> None:
    path = tmp_path / "alone.py"
    path.write_text("import json\nimport numpy as np\nfrom blockzoo.core import spec\n\n\nclass Net: ...\n")
    assert code_digest(str(path)) == hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def test_two_helpers_of_one_name_are_not_taken_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python keeps one module of a name: the second file would run with the first one's helper."""
    known = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net.py").write_text(MINE)
        (tmp_path / folder / "parts_of_identity.py").write_text(f"name = {folder!r}\n")
    code_digest(str(tmp_path / "a" / "net.py"))
    with pytest.raises(UsageError, match=r"b/parts_of_identity\.py.*give one of the two another name"):
        code_digest(str(tmp_path / "b" / "net.py"))
    for name in set(sys.modules) - known:
        del sys.modules[name]


def test_an_installed_library_counts_by_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    from blockzoo.core import sources

    sources._library.cache_clear()
    before = code_digest("PIL.ImageOps")
    assert before == code_digest("PIL.ImageOps")
    sources._library.cache_clear()
    monkeypatch.setattr(sources, "version", lambda name: "0.0.1")
    assert code_digest("PIL.ImageOps") != before
    sources._library.cache_clear()


def test_own_fillers_and_protocols_count(mine: Path, digits: ImageData, tmp_path: Path) -> None:
    scaffold = {"filler": f"{mine}:Block"}
    before = asked(digits, **scaffold)
    (mine.parent / "parts_of_identity.py").write_text("act = 0\n")
    after = asked(digits, **scaffold)
    assert before.fingerprint() != after.fingerprint() and before.comparable() != after.comparable()
    assert asked(digits).code_digest is None

    def own() -> Protocol:
        return fast_v1()

    PROTOCOLS["own-v1"] = own
    try:
        assert asked(digits, protocol="own-v1").code_digest == asked(digits, protocol="own-v1").code_digest
        assert asked(digits, protocol="own-v1").code_digest is not None
    finally:
        del PROTOCOLS["own-v1"]


# --- block-wise runs --------------------------------------------------------------------------------

NET = """
from torch import nn
from factor_of_identity import FACTOR

class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.blocks = nn.Sequential(nn.Sequential(nn.Flatten(), nn.Linear(192, 4)), nn.Linear(4, num_classes))
    def forward(self, x): return self.blocks(x) * FACTOR
"""
QUICK = Options(rounds=1, k=1, batch_size=8)


class Recorded:
    """An executor that only hears what it was to run."""

    jobs: ClassVar[list[Any]] = []

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def run(self, jobs: Any) -> Iterator[Any]:
        Recorded.jobs = list(jobs)
        yield from ()


@pytest.fixture
def recorded() -> Iterator[type[Recorded]]:
    EXECUTORS["recorded"] = Recorded
    yield Recorded
    del EXECUTORS["recorded"]


def test_a_run_of_other_images_is_another(
    trees: tuple[Path, Path], tmp_path: Path, recorded: type[Recorded]
) -> None:
    asked = [
        RunConfig(dataset="folder", data_dir=str(r), image_size=8, config=(4,), options=QUICK) for r in trees
    ]
    one, other = (run_blockwise(config, tmp_path) for config in asked)
    assert one.folder != other.folder and one.reports[0]["train_loss"] != other.reports[0]["train_loss"]
    study = BlockwiseStudy(
        {"dataset": "folder", "image_size": 8, "config": [4], "rounds": 1}, {"k": [1]}, [], 1
    )
    names = []
    for root in (*trees, trees[0]):
        run_blockwise_study(study, output=tmp_path / "study", data_dir=str(root), executor="recorded")
        (job,) = recorded.jobs
        assert job.arguments["config"]["data_dir"] == str(root)
        names.append(job.stub.fingerprint)
    assert names[0] == names[2] != names[1]
    with pytest.raises(UsageError, match="made of others"):
        from blockzoo.blockwise.run.sources import load_problem

        load_problem(RunConfig(**{**vars(identified(asked[0])), "data_dir": str(trees[1])}))


def test_the_dataset_that_is_really_used_is_the_one_of_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    from blockzoo.data import load

    usual = RunConfig(image_size=8)
    monkeypatch.setattr(load, "DEFAULT", "digits")  # as where it is there
    there = identified(usual)

    def absent(*_: Any, **__: Any) -> ImageData:
        raise load.DatasetNotFound("fashion-mnist", [], "files", "is not here")

    monkeypatch.setattr(load, "DEFAULT", "fashion-mnist")
    monkeypatch.setattr(load, "FALLBACK", "digits")
    monkeypatch.setattr(DATASETS["fashion-mnist"], "load", absent)
    replaced = identified(usual)
    assert (there.dataset, replaced.dataset) == ("digits", "digits")
    assert replaced.fingerprint() == RunConfig(image_size=8, dataset="digits").fingerprint()
    assert replaced.fingerprint() != RunConfig(image_size=8, dataset="fashion-mnist").fingerprint()


def test_edited_code_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "factor_of_identity.py").write_text("FACTOR = 1\n")
    config = RunConfig(model=f"{tmp_path / 'net.py'}:Net", dataset="digits", image_size=8, options=QUICK)
    first = identified(config)
    assert first == identified(config) == identified(first)
    (tmp_path / "factor_of_identity.py").write_text("FACTOR = 0.0\n")
    assert identified(config).fingerprint() != first.fingerprint()
    with pytest.raises(UsageError, match="start a new process"):
        run_blockwise(config, tmp_path / "out")
    sys.modules.pop("factor_of_identity")


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("units", ("{}:Part rank=1",)),
        ("stopper", "never|{}:Part:0.5"),
        ("curriculum", "{}:Part"),
        ("k_schedule", "{}:Part:3"),
        ("options", "{}:Part"),
    ],
)
def test_all_own_parts_of_a_run_count(tmp_path: Path, part: str, text: Any) -> None:
    file = tmp_path / "part.py"
    file.write_text("class Part:\n    def run(self, frame): ...\n")
    value = tuple(t.format(file) for t in text) if isinstance(text, tuple) else text.format(file)
    value = Options(training_mode=value) if part == "options" else value
    config = RunConfig(dataset="digits", image_size=8, **{part: value})
    before = identified(config)
    file.write_text(file.read_text() + "\nedited = True\n")
    assert before.code_digest and identified(config).fingerprint() != before.fingerprint()
