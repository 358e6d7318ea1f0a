"""One network on several devices: what it learns, who writes, and how a run ends when one of its processes does."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
import torch

from blockzoo.core.devices import chosen_gpus
from blockzoo.core.errors import CheckFailed, RankLost, UsageError
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.data import ImageData
from blockzoo.data.epochs import Shares, check_each_image_once
from blockzoo.execution.queue import grouped
from blockzoo.execution.ranks import run_together
from blockzoo.training.launch import Circumstances, run_on_devices
from blockzoo.training.together import check_equal_ranks, digest_of_weights
from tests.sampled import sampled

HERE = Path(__file__).parent
NETWORKS = """
from torch import nn
class Plain(nn.Sequential):
    def __init__(self, num_classes):
        super().__init__(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU(), nn.Flatten(),
                         nn.Linear(128, num_classes))
        self.unused = nn.Linear(2, 2)
    def forward(self, x):
        for layer in list(self)[:-1]:
            x = layer(x)
        return x
class Normed(nn.Sequential):
    def __init__(self, num_classes):
        super().__init__(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU(),
                         nn.Flatten(), nn.Linear(128, num_classes))
"""


@pytest.fixture
def networks(tmp_path: Path) -> str:
    (tmp_path / "networks.py").write_text(NETWORKS)
    return str(tmp_path / "networks.py")


def spec(subject: str, protocol: str = "step-v1", **changes: object) -> TrialSpec:
    common = {
        "dataset": "digits",
        "image_size": 16,
        "epochs": 2,
        "batch_size": 64,
        "lr": 0.1,
        "limit_train": 384,
        "seed": 1,  # of seeds 0 to 3, rounding grows to 5e-4 with 0 alone; the others agree to 1e-6
    }
    return TrialSpec(network=NetworkSpec(subject, out_dim=10), protocol=protocol, **{**common, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "more", "tolerance"),
    sampled(
        [("Plain", {}, 1e-5), ("Normed", {"sync_batch_norm": True}, 1e-4), ("Normed", {}, 0.2)],
        1,
        unpacked=True,
    ),
)
def test_two_processes_learn_what_one_does(
    networks: str, digits: ImageData, name: str, more: dict[str, bool], tolerance: float
) -> None:
    """Exactly up to the order of sums (in float32), with batch norms by parts to what these change."""
    asked = spec(f"{networks}:{name}", "published-v1")
    alone = run_on_devices(asked, digits, Circumstances())
    together = run_on_devices(asked.with_(devices=2, **more), digits, Circumstances())
    assert alone.environment["dtype"] == "float32"
    for curve in ("train_loss", "val_loss"):
        assert together.samples[curve] == pytest.approx(alone.samples[curve], rel=tolerance)
    assert together.values["test_acc"] == pytest.approx(alone.values["test_acc"], abs=tolerance)
    facts = {key: together.environment[key] for key in ("devices", "strategy", "backend")}
    assert (
        facts == {"devices": 2, "strategy": "ddp", "backend": "gloo"} and "strategy" not in alone.environment
    )
    assert together.fingerprint != alone.fingerprint and together.values["checked"] == 0


class Stop(Exception):
    """The run is interrupted here."""


@pytest.mark.slow
def test_interrupted_and_resumed_by_all_ranks(networks: str, digits: ImageData, tmp_path: Path) -> None:
    def stop(epoch: int, values: dict[str, float]) -> None:
        raise Stop

    asked, checkpoint = spec(f"{networks}:Normed", devices=2, epochs=3), tmp_path / "c.ckpt"
    whole = run_on_devices(asked, digits, Circumstances())
    with pytest.raises(Stop):
        run_on_devices(asked, digits, Circumstances(), checkpoint=checkpoint, on_epoch=stop)
    epochs: list[int] = []
    resumed = run_on_devices(
        asked, digits, Circumstances(), checkpoint=checkpoint, on_epoch=lambda epoch, _: epochs.append(epoch)
    )
    assert epochs in ([2, 3], [3]), "a checkpoint may be one epoch ahead of what was reported"
    assert resumed.samples["val_loss"] == whole.samples["val_loss"]


def test_divergence_ends_all_with_its_reason(networks: str, digits: ImageData) -> None:
    record = run_on_devices(spec(f"{networks}:Plain", devices=2, lr=1e9), digits, Circumstances())
    assert record.status == "diverged" and "smaller --lr" in record.reason


def die(rank: int, count: int, report: object, how: str) -> int:
    """The body of a rank: the second one goes wrong while the first waits for it."""
    if rank == 1:
        if how == "refused":
            raise UsageError("not this way")
        os.kill(os.getpid(), getattr(signal, how))
    torch.distributed.barrier()
    return rank


@pytest.mark.parametrize(
    ("how", "patience", "error", "says"),
    [
        ("SIGKILL", 60, RankLost, r"rank 1 of 2 was ended by signal 9 \(SIGKILL\)"),
        pytest.param("SIGSTOP", 3, RankLost, "rank 0 of 2: .*[Tt]imed out", marks=pytest.mark.slow),
        ("refused", 60, UsageError, "not this way"),
    ],
)
def test_a_rank_that_ends_or_hangs_ends_the_run(
    how: str, patience: float, error: type[Exception], says: str
) -> None:
    begin = time.monotonic()
    with pytest.raises(error, match=says):
        run_together(die, 2, threads=1, patience=patience, how=how)
    assert time.monotonic() - begin < 40


@pytest.mark.mutation("equal-ranks")
def test_ranks_with_other_weights_are_found() -> None:
    network = torch.nn.Linear(3, 2)
    right = digest_of_weights(network)
    assert check_equal_ranks([right, digest_of_weights(network)]) == 0
    with torch.no_grad():
        network.weight[0, 0] += 1e-6
    with pytest.raises(CheckFailed, match="rank 1 of 2"):
        check_equal_ranks([right, digest_of_weights(network)])


@pytest.mark.mutation("each-image-once")
def test_images_counted_twice_or_not_at_all_are_found() -> None:
    def evaluated(count: int, ranks: int) -> torch.Tensor:
        parts = [Shares(count, 4, False, rank, ranks) for rank in range(ranks)]
        for part in parts:
            assert sum(len(batch) for batch in part.of(torch.arange(count))) == part.images
        return torch.stack([part.handed_out for part in parts]).sum(0)

    handed_out = evaluated(23, 3)
    assert check_each_image_once(handed_out, 23) == 0
    with pytest.raises(CheckFailed, match="over 22 images of 23"):
        check_each_image_once(handed_out, 22)
    with pytest.raises(CheckFailed, match="image 5 2 times"):
        check_each_image_once(handed_out + (torch.arange(23) == 5), 24)
    with pytest.raises(CheckFailed, match="image 0 0 times"):
        check_each_image_once(handed_out - (torch.arange(23) == 0).int(), 22)


def test_a_batch_is_that_of_all_devices(networks: str) -> None:
    with pytest.raises(
        UsageError, match=r"batch_size 64 on 3 devices.*multiple of 3, such as --batch-size 63 or 66"
    ):
        spec(f"{networks}:Plain", devices=3)
    with pytest.raises(UsageError, match="--devices 2 or more"):
        spec(f"{networks}:Plain", sync_batch_norm=True)
    assert spec(f"{networks}:Plain", devices=1).fingerprint() == spec(f"{networks}:Plain").fingerprint()


@pytest.mark.slow
def test_each_network_of_a_sweep_on_two_devices(tmp_path: Path) -> None:
    """Ranks are started by a worker that is a process itself, and each trial takes as many cores as it has devices."""
    from blockzoo.cli import main
    from blockzoo.core.outputs import Outputs

    words = [
        "nas",
        "train",
        "--indices",
        "5",
        "--width",
        "4",
        "--dataset",
        "digits",
        "--image-size",
        "12",
        "--epochs",
        "1",
    ]
    words += [
        "--protocol",
        "fast-v1",
        "--limit-train",
        "128",
        "--batch-size",
        "64",
        "--cpu",
        "-o",
        str(tmp_path / "exp"),
    ]
    assert main([*words, "--devices", "2"]) == 0
    (record,) = Outputs.at(tmp_path / "exp").store().records("trial")
    assert (record.status, record.spec["devices"], record.environment["strategy"]) == ("ok", 2, "ddp")
    assert grouped(["0", "1", "2", "3", "4"], 2) == ["0,1", "2,3"] and grouped([], 2) == []
    with pytest.raises(UsageError, match="--devices 3: there are 2 GPUs"):
        grouped(["0", "1"], 3)


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        (("auto", None, None, False), ("auto", 1, None)),
        (("auto", 2, None, False), ("auto", 2, None)),
        (("auto", None, "0,1", False), ("cuda", 2, ("4", "7"))),
        (("auto", None, "1", False), ("cuda", 1, ("7",))),
        (("auto", None, "0,1,2,3", True), ("cpu", 1, None)),
        (("auto", 3, None, True), ("cpu", 3, None)),
    ],
)
def test_which_devices_options_name(options: tuple, chosen: tuple) -> None:  # type: ignore[type-arg]
    device, devices, gpus, cpu = options
    assert chosen_gpus(device, devices, gpus, cpu=cpu, present=["4", "7"]) == chosen


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("auto", None, "2"), "there is no GPU 2, here are 2"),
        (("auto", None, "0,0"), "different GPUs"),
        (("auto", None, "a"), "--gpus a"),
        (("auto", 3, "0,1"), "names 2 devices and --devices 3"),
        (("cpu", None, "0"), "contradict"),
        (("cuda", 4, None), "here are 2"),
        (("auto", 0, None), "--devices 0"),
    ],
)
def test_devices_that_are_not_there(options: tuple, says: str) -> None:  # type: ignore[type-arg]
    device, devices, gpus = options
    with pytest.raises(UsageError, match=says):
        chosen_gpus(device, devices, gpus, cpu=False, present=["4", "7"])


def test_workers_are_shared_by_the_devices() -> None:
    assert [Circumstances(workers=4).workers_of_each(n) for n in (1, 2, 8)] == [4, 2, 1]
    assert Circumstances(workers=0).workers_of_each(2) == 0
