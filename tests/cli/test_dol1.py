"""compat/dol1.py and compat/master.py: the earlier defaults, names and files."""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from blockzoo.blockwise.partition import make_partition
from blockzoo.blockwise.run.reading import read_lines
from blockzoo.blockwise.run.sources import Problem, build_model
from blockzoo.core.errors import UsageError

COMPAT = Path(__file__).parents[2] / "compat"


@pytest.fixture
def compat(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The adapters' modules by name, as their scripts import them; the present folder is an empty one."""
    monkeypatch.syspath_prepend(str(COMPAT))
    monkeypatch.chdir(tmp_path)
    return importlib.import_module


def _network(config: Any, shape: tuple[int, ...], outputs: int) -> nn.Module:
    from blockzoo.blockwise.run.data import Examples

    examples = Examples(torch.zeros(1, *shape), torch.zeros(1, dtype=torch.long))
    return build_model(config, Problem("none", examples, examples, outputs))


def _count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_the_earlier_defaults(compat: Any) -> None:
    sandbox = compat("_sandbox")
    given = vars(sandbox.parsed(sandbox.parser(None), []))
    config = sandbox.run_config(given, "cpu")
    options = asdict(config.options)
    wanted = {"step_size": 0.01, "batch_size": 128, "k": 1, "delta_factor": 0.5, "gamma": 1.0, "seed": 42}
    assert {name: options[name] for name in wanted} == wanted
    assert (options["optimizer"], options["rounds"], options["prox_lambda"]) == ("adam", 1000, 0.0)
    assert (config.model, config.dataset, config.image_size) == ("resnet34", "cifar10", 32)
    assert (config.stopper, config.measurement_sampling_rate, config.report_sampling_rate) == (
        "accuracy:0.9",
        399,
        5,
    )
    assert options["training_mode"] == "jacobi" and config.units == ()


def test_words_as_they_were_written(compat: Any) -> None:
    """Underscores, dashes, beginnings of options, lists; what was read and not used is so still."""
    sandbox = compat("_sandbox")
    words = (
        "--training_mode blockwise --dataset mnist --K 10 --n_workers 0.25 --beta 0.1 --prox-lambda [0.1,0.2]"
    )
    given = vars(
        sandbox.parsed(
            sandbox.parser(None), [*words.split(), "--config", "[[16,16],[32]]", "--model=cnn_ensemble"]
        )
    )
    config = sandbox.run_config(given, "cpu")
    assert (config.options.training_mode, config.dataset, config.options.k) == ("distributed", "mnist", 10)
    assert config.config == ((16, 16), (32,)) and config.options.prox_lambda == (0.1, 0.2)
    assert (config.model, config.combine) == ("plain_cnn_ensemble", "vote")
    entire = sandbox.run_config({**given, "training_mode": "entire"}, "cpu")
    assert entire.options.k == 1 and entire.options.delta_factor == 0.5
    assert sandbox.run_config({**given, "block_accuracy_factor": -1.0}, "cpu").options.delta_factor == 0
    assert sandbox.run_config({**given, "dataset_name": "ones"}, "cpu").stopper == "never"
    for wrong, says in (
        ({"training_mode": "ploting"}, "tile export"),
        ({"training_mode": "magic"}, "blockwise_sequential"),
        ({"dataset_name": "imdb"}, "imdb"),
        ({"gamma": 0.0}, "gamma 0.0"),
        ({"config": 3}, "give a list"),
    ):
        with pytest.raises(UsageError, match=says):
            sandbox.run_config({**given, **wrong}, "cpu")


def test_networks_of_the_earlier_names(compat: Any) -> None:
    """Parameters: by hand, from torchvision, and 10,474 as an earlier report says of cnn with [32]."""
    sandbox = compat("_sandbox")

    def of(model: str, config: list[Any], shape: tuple[int, ...], outputs: int) -> tuple[nn.Module, Any]:
        asked = sandbox.run_config({**sandbox.DEFAULTS, "model": model, "config": config}, "cpu")
        network = _network(asked, shape, outputs)
        return network, make_partition(network, asked.partition)

    images, c = (3, 32, 32), 8
    ours, blocks = of("cnn", [32], images, 10)
    assert (_count(ours), len(blocks)) == (10_474, 2)
    for name, make, count in (("ResNet18", "resnet18", 10), ("ResNet34", "resnet34", 18)):
        ours, blocks = of(name, [32] * 5, images, 10)
        theirs = torchvision.models.get_model(make, num_classes=10)
        assert (_count(ours), len(blocks)) == (_count(theirs), count)
    ours, halves = of("ResNet34-bi", [1], images, 10)
    middle = make_partition(ours, "blocks").sizes(ours)[:9]
    assert len(halves) == 2 and halves.sizes(ours)[0] == sum(middle)
    residual = 2 * c + 2 * (9 * c * c + c)  # a norm and two convolutions
    ours, blocks = of("residual_cnn", [c, c, c], images, 10)
    assert _count(ours) == (3 * c + c) + 2 * residual + (10 * c + 10) and len(blocks) == 4
    ours, blocks = of("residual_cnn_bi", [c, c, c], images, 10)
    assert _count(ours) == (27 * c + c) + 3 * residual + (10 * c + 10) and len(blocks) == 2
    ours, blocks = of("cnn_ensemble", [[16, 16], [32, 32], [32, 64]], images, 10)
    assert len(blocks) == 9
    x = torch.randn(4, 8)
    ours, blocks = of("linear_nn", [5, 4], (8,), 1)
    assert len(blocks) == 3 and torch.allclose(ours(x) + ours(-x), 2 * ours(0 * x), atol=1e-5), "affine"
    ours, _ = of("neural_net", [5, 4], (8,), 1)
    assert not torch.allclose(ours(x) + ours(-x), 2 * ours(0 * x), atol=1e-5)


def test_plain_and_residual_networks_are_what_they_say(compat: Any) -> None:
    """Against plain functions of torch, the norm with statistics that could show a difference."""
    from blockzoo.models.plain import PlainConvNet, ResidualConvNet

    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, 6)

    def pair(first: Any, second: Any, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(F.conv2d(x, first.weight, first.bias, padding=1))
        return F.relu(F.conv2d(x, second.weight, second.bias, padding=1))

    plain = PlainConvNet(3, [4, 5], 7)
    want = x
    for block in plain.blocks[:2]:
        want = pair(block[0], block[2], want)
    assert torch.allclose(plain(x), plain.blocks[2][2](want.mean((2, 3))), atol=1e-6)
    net = ResidualConvNet(3, [4, 4, 5], 7).eval()
    want = F.relu(F.conv2d(x, net.blocks[0][0].weight, net.blocks[0][0].bias, padding=1))
    assert want.shape[-1] == 8
    for block in net.blocks[1:3]:
        norm, first, _, second, _ = block.branch
        for p in (norm.weight, norm.bias, norm.running_mean):
            nn.init.normal_(p)
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        normed = (want - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]
        same = isinstance(block.skip, nn.Identity)
        want = pair(first, second, normed) + (want if same else F.conv2d(want, block.skip.weight))
    assert torch.allclose(net(x), net.blocks[3][2](want.mean((2, 3))), atol=1e-5)


def test_the_file_of_units_names_and_runs_nothing(compat: Any, tmp_path: Path) -> None:
    units, path = compat("_sandbox").earlier_units, tmp_path / "measurements" / "Units.txt"
    assert units() == ()
    path.parent.mkdir()
    path.write_text(
        "Measurement Units In Use:\n- Working_memory_usage\n  - HessianBlockInteractionMeasurement\n-HessianMeasurement\n"
    )
    assert units() == ("working-memory", "coupling", "hessian")
    path.write_text("Measurement Units In Use:\n")
    assert units() == ()
    (tmp_path / "own.py").write_text("open('ran', 'w')\nclass Unit: ...\n")
    for line in (
        "os:system command=touch",
        "own.py:Unit",
        "nonsense",
        "coupling rank=2",
        "shutil:rmtree path=x",
    ):
        path.write_text(f"Measurement Units In Use:\n- {line}\n")
        with pytest.raises(UsageError, match=re.escape(repr(line))):
            units()
    assert not (tmp_path / "ran").exists()


def test_a_run_leaves_the_earlier_files(compat: Any, tmp_path: Path) -> None:
    sandbox, dol1 = compat("_sandbox"), compat("dol1")
    (tmp_path / "measurements").mkdir()
    (tmp_path / "measurements" / "Units.txt").write_text(
        "Units:\n- Working_memory_usage\n- HessianBlockInteractionMeasurement\n"
    )
    words = "--model neural_net --dataset ones --rounds 4 --report_sampling_rate 2 --measurement_sampling_rate 2 --cuda_core -1"
    options = sandbox.parser(None)
    options.set_defaults(ranks=None, resume=False)
    given = sandbox.parsed(options, [*words.split(), "--config", "[4]", "--reports_dir", "tag"])
    assert dol1.run(given) == 0
    (report,) = (tmp_path / "reports" / "tag").glob("R*.txt")
    lines = report.read_text().splitlines()
    assert re.fullmatch(r"Process ID: \d+", lines[0]) and lines[1] == "Status: dead"
    asked = json.loads(lines[2].removeprefix("Hyperparameters: "))
    assert asked["measurement_sampling_rate"] == 2 and asked["seed"] == 42
    (folder,) = (tmp_path / "results" / "blockwise").iterdir()
    told = [re.search(r"\] Time ([\d.]+): Energy = ([\d.e-]+)", line) for line in lines]
    energies = [(float(m[1]), float(m[2])) for m in told if m]
    assert energies == [
        (line["round"] / 1000, line["validation_loss"]) for line in read_lines(folder / "progress.jsonl")
    ]
    assert len(energies) == 2 and lines[-2].endswith("Process ended")
    maps = [
        line["values"]["sigma"]
        for line in read_lines(folder / "measurements.jsonl")
        if line["unit"] == "coupling"
    ]
    log = (tmp_path / "measurements" / "hessian_block_interaction_measurement_log.txt").read_text()
    numbers = [float(n) for n in re.findall(r"[\d.]+(?:e-?\d+)?", log.partition("\n\n")[2])]
    np.testing.assert_allclose(numbers, np.array(maps).ravel(), atol=1e-5)
    assert (
        "Measurement Description: Memory Usage Measurement"
        in (tmp_path / "measurements" / "memory_usage_measurement_log.txt").read_text()
    )
    pictures = sorted((tmp_path / "figures").glob("Measurements/*/*.pdf"))
    assert [p.name for p in pictures] == [f"block_offdiag_eig_heatmap_{n:03d}.pdf" for n in range(3)]
    assert all(p.read_bytes().startswith(b"%PDF") for p in pictures)
    given.cuda_core = 99
    with pytest.raises(UsageError, match=r"--cuda_core 99.*-1 is the processor"):
        dol1.run(given)
    given.gamma, given.cuda_core = 2.0, -1
    with pytest.raises(UsageError, match="gamma"):
        dol1.run(given)


@pytest.mark.slow
def test_many_runs_go_on_where_they_were(
    compat: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox, master = compat("_sandbox"), compat("master")
    options = sandbox.parser(None, several=True)
    options.set_defaults(workers=2)
    words = (
        "--model neural_net --dataset ones --rounds 3 --step_size 0.1 0.001 --K 1 2 --training_mode blockwise"
    )
    given = sandbox.parsed(options, [*words.split(), "--cuda_core", "-1", "--config", "[4]"])
    assert master.run(given) == 0
    tracked = json.loads((tmp_path / "progress_tracker.json").read_text())
    assert tracked["done"] == 4 and {run["status"] for run in tracked["runs"].values()} == {"ok"}
    told = capsys.readouterr().out
    assert len(list((tmp_path / "reports").glob("R*.txt"))) == 4
    assert (tmp_path / "comparison_loss_vs_epochs.png").exists()
    best: dict[int, tuple[float, float]] = {}
    for folder in (tmp_path / "results" / "blockwise").iterdir():
        asked = json.loads((folder / "parameters.json").read_text())["options"]
        loss = read_lines(folder / "progress.jsonl")[-1]["validation_loss"]
        best[asked["k"]] = min(best.get(asked["k"], (9e9, 0.0)), (loss, asked["step_size"]))
    for k, (loss, step) in best.items():
        assert f"For K={k}, the best step_size is {step} with validation loss {loss:.4f}" in told
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "results").rglob("checkpoint.pt")}
    assert master.run(given) == 0
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "results").rglob("checkpoint.pt")}
    given.cuda_core = [0]
    with pytest.raises(UsageError, match="CUDA_VISIBLE_DEVICES"):
        master.run(given)
