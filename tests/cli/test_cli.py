"""The command line as people type it."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from blockzoo.cli import app, main
from blockzoo.cli.app import commands, normalised
from blockzoo.core.csv_file import read_csv
from blockzoo.core.table import COLUMNS
from blockzoo.nas.contracts import SEARCHES
from tests.sampled import sampled

SMALL = ["--base-channels", "4", "--num-blocks", "1"]
TRAIN = [*SMALL, *["--dataset", "digits", "--epochs", "1", "--batch-size", "128", "--limit-train", "256"]]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_command_has_its_sentence() -> None:
    assert set(commands()) >= {
        "profile",
        "benchmark",
        "train",
        "sweep",
        "visualize",
        "blocks",
        "datasets",
        "results",
    }
    assert all(len(sentence) > 10 for sentence in commands().values())


def test_profile_as_table_json_and_csv(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["profile", "ResNetBasicBlock", "--position", "mid"]) == 0
    assert "4,327,818" in capsys.readouterr().out
    assert main(["profile", "ResNetBasicBlock", "--format", "json", *SMALL]) == 0
    row = json.loads(capsys.readouterr().out)[0]
    assert row["subject"] == "ResNetBasicBlock/mid" and row["flops"] == 2 * row["macs"]
    assert (
        main(
            [
                "profile",
                "ResNetBasicBlock",
                "--output",
                "out.csv",
                "--input_shape",
                "2",
                "3",
                "16",
                "16",
                *SMALL,
            ]
        )
        == 0
    )
    assert "[2, 3, 16, 16]" in Path("out.csv").read_text()


def test_options_have_one_spelling_and_its_aliases(capsys: pytest.CaptureFixture[str]) -> None:
    assert normalised(["--base_channels=8", "my_file.py", "--lr"]) == [
        "--base-channels=8",
        "my_file.py",
        "--lr",
    ]
    for words in (
        ["--lr", "0.05", "--name", "n"],
        ["--learning_rate", "0.05"],
        ["--step-size", "0.05", "--experiment_name", "n"],
    ):
        assert main(["train", "ResNetBasicBlock", "--dry-run", *TRAIN, *words]) == 0
        assert "lr 0.05" in capsys.readouterr().out


def test_train_then_results_then_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["train", "ResNetBasicBlock", "--position", "late", "--seed", "3", "--notes", "hello", *TRAIN])
        == 0
    )
    row = read_csv("results/results.csv")[0]
    assert list(row) == list(COLUMNS)
    assert (row["position"], row["seed"], row["notes"], row["limit_train"]) == ("late", 3, "hello", 256)
    assert main(["results"]) == 0 and "ResNetBasicBlock" in capsys.readouterr().out
    assert main(["results", "results/results.csv", "--markdown"]) == 0
    assert "| ResNetBasicBlock | late |" in capsys.readouterr().out
    assert main(["visualize", "results/results.csv"]) == 0
    assert Path("results/figures/accuracy_flops.svg").is_file()
    assert main(["visualize", "results/results.csv", "--only", "forest"]) == 2
    assert "nothing of forest to draw: no forest, verdicts and profiles: no two" in capsys.readouterr().err
    assert main(["visualize", "results/results.csv", "--against", "Nobody"]) == 2
    assert main(["visualize", "results/results.csv", "--average-positions", "--output", "pictures"]) == 0
    assert Path("pictures/accuracy_averaged.png").is_file()


def test_input_shape_of_train(capsys: pytest.CaptureFixture[str]) -> None:
    shape = ["--input-shape", "64", "3", "16", "16"]
    small = [*SMALL, "--dataset", "digits", "--epochs", "1", "--limit-train", "128", "--no-latency"]
    assert main(["train", "ResNetBasicBlock", *small, *shape]) == 0
    row = read_csv("results/results.csv")[0]
    assert (row["batch_size"], row["image_size"]) == (64, 16)
    assert main(["train", "ResNetBasicBlock", *small, "--input-shape", "64", "1", "16", "16"]) == 2
    assert "channels" in capsys.readouterr().err


def test_sweep_from_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path("grid.yaml").write_text(
        "blocks: [ResNetBasicBlock]\npositions: [mid]\nseeds: 1\ndataset: digits\nepochs: 1\nlearning-rate: 0.1\n"
        "base_channels: 4\nnum_blocks: 1\nlimit_train: 256\nbatch_size: 128\n"
    )
    assert main(["sweep", "--config", "grid.yaml", "--seeds", "2", "--no-latency", "--no-plots"]) == 0
    rows = read_csv("results/results.csv")
    assert sorted((row["seed"], row["lr"]) for row in rows) == [(0, 0.1), (1, 0.1)]
    assert main(["sweep", "--config", "grid.yaml", "--no-latency"]) == 0
    assert "1 done already; 0 to run" in capsys.readouterr().out
    Path("bad.yaml").write_text("blokcs: [A]\n")
    assert main(["sweep", "--config", "bad.yaml"]) == 2
    assert "blokcs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["profile", "ResNetBasicBlok"], 2, "Did you mean ResNetBasicBlock"),
        (["profile", "ResNetBasicBlock", "--position", "top"], 2, "early, mid, late"),
        (["profile", "ResNetBasicBlock", "--output", "x.txt"], 2, ".csv or a .json"),
        (["profil"], 2, "profile"),
        (["profile", "ResNetBasicBlock", "--num-block", "3"], 2, "--num-blocks"),
        (["profile", "ResNetBasicBlock", "--input-shape", "1", "3", "0", "32"], 2, "B C H W"),
        (["sweep"], 2, "grid is empty"),
        (["visualize", "none.csv"], 2, "cannot read none.csv"),
        (["results", "nowhere"], 1, "no results store"),
        (["train", "ResNetBasicBlock", "--dataset", "digitz"], 2, "Did you mean digits"),
        (["blocks", "--plugin", "none.py"], 2, "no such file"),
        (["tile", "plan", "model:resnet8_half", "--image-size", "-5"], 2, "--image-size"),
        (["tile", "plan", "model:resnet8_half", "--figure", "x.xyz"], 2, ".svg"),
        (["nas", "draw", "--output", "x"], 2, ".svg"),
        (["nas", "latency", "--image-size", "0"], 2, "image_size=0"),
        (["results", "--output", "x.sqlite"], 2, ".csv or a .json"),
    ],
)
def test_bad_requests(words: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == code
    error = capsys.readouterr().err
    assert says in error and "Traceback" not in error


def test_debug_shows_where() -> None:
    with pytest.raises(KeyError):
        main(["profile", "ResNetBasicBlok", "--debug"])


@pytest.mark.parametrize("module", sampled(["profile", "benchmark", "train", "sweep", "visualize"], 2))
def test_python_dash_m(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"blockzoo.{module}", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0 and "--output" in done.stdout, done.stderr
    assert (
        subprocess.run([sys.executable, "-m", "blockzoo", module, "--help"], capture_output=True).returncode
        == 0
    )


@pytest.mark.slow
def test_bench_all_is_the_sweep_over_the_published_blocks() -> None:
    script = Path(__file__).parents[2] / "scripts" / "bench_all.py"
    done = subprocess.run([sys.executable, script, "--quick", "--dry-run"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "30 trials" in done.stdout and "about" in done.stdout
    given = [
        sys.executable,
        str(script),
        "--seeds",
        "2",
        "--positions",
        "mid",
        "--epochs",
        "1",
        "--dataset",
        "digits",
        "--dry-run",
        *SMALL,
    ]
    assert "20 trials" in subprocess.run(given, capture_output=True, text=True).stdout


def test_default_dataset_falls_back_and_says_so(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BLOCKZOO_DATA", raising=False)
    words = ["train", "ResNetBasicBlock", *SMALL, "--epochs", "1", "--limit-train", "128", "--no-latency"]
    assert main(words) == 0
    assert "digits" in caplog.text
    assert read_csv("results/results.csv")[0]["dataset"] == "digits"


def commands_of_the_package() -> list[tuple[str, ...]]:
    folder = Path(app.__file__).parent
    groups = [name for name in commands() if (folder / name).is_dir()]
    return [(name.replace("_", "-"),) for name in commands() if name not in groups] + [
        (group, own.replace("_", "-")) for group in groups for own in commands(folder / group)
    ]


@pytest.mark.parametrize("words", commands_of_the_package(), ids=" ".join)
def test_every_command_takes_plugins(words: tuple[str, ...]) -> None:
    module = importlib.import_module(".".join(["blockzoo.cli", *words]).replace("-", "_"))
    command = getattr(module, words[-1].replace("-", "_"))
    assert "plugins" in inspect.signature(command).parameters or words[0] in (
        "trust",
        "store",
        "submit",
        "examples",
    ), "which run none"


PRIVATE = re.compile(
    r"(?<![\w-])(_\w+|-[a-z][\w-]+|[\w./]*site-packages\S*|/(home|root|tmp|work|usr)/\S*|\w+\.pyc?\b)"
)
"""A name with an underscore before it (or the dash it becomes), a file of the package, a path of a machine."""
SAYABLE = {"my_file.py", "my_custom_block.py", "file.py", "mine.py", "my_search.py"}


def pages() -> list[tuple[str, ...]]:
    every_command = commands_of_the_package()
    return [
        (),
        *dict.fromkeys(words[:1] for words in every_command),
        *(words for words in every_command if len(words) > 1),
    ]


@pytest.mark.parametrize("words", pages(), ids=lambda words: " ".join(words) or "blockzoo")
def test_no_help_page_shows_a_private_name(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Usage: " in text
    private = {match[0] for match in PRIVATE.finditer(text)} - SAYABLE
    assert not private


def test_private_files_are_no_commands(tmp_path: Path) -> None:
    for name in ("_tables", "shown", "_group/__init__", "group/__init__", "group/_options"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.py").write_text('"""what it does"""')
    assert set(commands(tmp_path)) == {"shown", "group"}
    assert set(commands(tmp_path / "group")) == set()
    assert (
        PRIVATE.search("│ -tables   x")
        and PRIVATE.search("see _tables")
        and not PRIVATE.search("--out-dir -j")
    )


SEARCH = """
from blockzoo.nas.contracts import SEARCHES
from blockzoo.nas.search.task import Query


@SEARCHES.register("walk")
class Walk:
    '''Every known network in turn.'''

    def __init__(self, task, seed):
        self.known, self.place = task.known.tolist(), seed

    def ask(self):
        self.place += 1
        return Query(self.known[self.place % len(self.known)])

    def tell(self, query, value):
        pass
"""


def test_a_search_of_ones_own_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.py").write_text(SEARCH)
    few = ["--benchmark", "mini", "--budget", "5", "--seeds", "2", "--workers", "1", "--output", "out"]
    assert main(["nas", "search", "--algorithm", "mine.py:Walk", "random", *few]) == 0
    assert "Walk" in capsys.readouterr().out
    assert main(["nas", "search", "--algorithm", "walk", "--plugin", "mine.py", *few]) == 0
    assert "walk" in capsys.readouterr().out
    SEARCHES.pop("walk")


def test_a_project_plugin_runs_for_commands_with_doors_and_not_where_files_are_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("pyproject.toml").write_text('[tool.blockzoo]\nplugins = ["loud.py"]\n')
    Path("loud.py").write_text("print('loud was run')")
    main(["nas", "info", "nowhere"])
    main(["nas", "search", "--help"])
    assert "loud was run" not in capsys.readouterr().out
    search = ["nas", "search", "--dry-run", "--algorithm", "random", "--benchmark", "mini"]
    main(search)
    assert "loud was run" not in capsys.readouterr().out, "of a project that is not trusted"
    assert main(["trust"]) == 0
    main(search)
    assert "loud was run" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", ["sweep status", "sweep resume", "sweep retry", "sweep cancel", "compare A B", "results"]
)
def test_a_folder_may_stand_by_itself(words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As it does after `blockzoo results`; by its option it means the same."""
    folder = str(tmp_path / "none")
    option = {"compare A B": ["--results"], "results": []}.get(words, ["--output"])
    said = []
    for form in ([folder], [*option, folder]):
        assert main([*words.split(), *form]) in (1, 2)
        said.append(capsys.readouterr().err.splitlines()[-1])
    assert said[0] == said[1] and folder in said[0]
