"""What trains and what times: latency by addition, untrained scores, supernets, teachers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import blockzoo.nas as nas
from blockzoo.core.errors import CheckFailed, UsageError
from blockzoo.data import load_dataset
from blockzoo.measure.zero_cost import SCORES, grad_norm, naswot, scores, snip, synflow
from blockzoo.nas.ranking.latency_table import measure_latency
from blockzoo.nas.space.costs import Skeleton
from blockzoo.nas.training.distillation import (
    Lesson,
    distil_blocks,
    noise_to_signal,
    run_scenario,
    train_network,
)
from blockzoo.nas.training.lessons import Images, rank_by_supernet, search_by_supernet, teach
from blockzoo.nas.training.supernet import SharedCell, Supernet, shared_accuracy, train_paths
from tests.nas.search.test_search import made_up

SPACE = nas.MacroSpace()


@pytest.fixture(scope="module")
def images() -> Images:
    return Images(load_dataset("digits", None, image_size=12), batch_size=64, limit_train=512)


# --- latency ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_latency_is_a_sum_of_parts(tmp_path: Any) -> None:
    space = nas.MacroSpace(("conv", "mbconv"), stages=2)
    skeleton = Skeleton(4, image_size=8, num_classes=10)
    table, error = measure_latency(skeleton, check=3, seconds=2, space=space, device="cpu")
    assert table.cells.shape == (2, len(space.cells)) and (table.cells > 0).all() and table.fixed > 0
    index = 5
    low, high = space.digits(index)
    assert table.predict(np.array([index]))[0] == pytest.approx(
        table.fixed + table.cells[0, low] + table.cells[1, high]
    )
    assert len(error.measured_ms) == 3 and error.largest_percentage >= error.mean_absolute_percentage > 0
    header, written = nas.read_dataset_file(table.write(tmp_path, "here", error))
    assert header["device"] == "here" and header["predicted"]
    np.testing.assert_allclose(written["latency"] * 1e3, table.predict(), atol=1e-3)


# --- untrained scores -------------------------------------------------------------------------------


def linear(weight: list[list[float]]) -> nn.Module:
    layer = nn.Linear(2, 2, bias=False)
    layer.weight.data = torch.tensor(weight)
    return layer


def test_scores_by_hand() -> None:
    x, y = torch.tensor([[1.0, 2.0], [3.0, -1.0]]), torch.tensor([0, 1])
    network = linear([[0.5, -1.0], [2.0, 0.25]])
    weight = network.weight.detach().clone().requires_grad_()  # type: ignore[union-attr,operator]
    gradient = torch.autograd.grad(nn.functional.cross_entropy(x @ weight.T, y), weight)[0]
    assert grad_norm(linear(weight.tolist()), x, y) == pytest.approx(float(gradient.norm()))
    assert snip(linear(weight.tolist()), x, y) == pytest.approx(
        float((weight.detach() * gradient).abs().sum())
    )
    assert synflow(linear(weight.tolist()), x, y) == pytest.approx(math.log(0.5 + 1 + 2 + 0.25))
    rectified = nn.Sequential(linear([[1.0, 0.0], [0.0, 1.0]]), nn.ReLU())
    # signs (+ +) and (+ -): two agree with themselves, one with the other
    assert naswot(rectified, x, y) == pytest.approx(math.log(2 * 2 - 1), abs=1e-4)


@pytest.mark.slow
def test_scores_of_networks_are_finite_reproducible_and_leave_them_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(8, 3, 12, 12, generator=generator), torch.arange(8) % 10
    for index in (0, 60_000):
        network = nas.build(index, 10, width=4, seed=0)
        before = {name: value.clone() for name, value in network.state_dict().items()}
        by_name = scores(network, x, y)
        assert set(by_name) == set(SCORES) and all(math.isfinite(v) for v in by_name.values()), by_name
        assert by_name == scores(network, x, y)
        assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_scores_that_need_something_say_so() -> None:
    x, y = torch.ones(2, 2), torch.tensor([0, 1])
    with pytest.raises(UsageError, match="ReLUs"):
        naswot(linear([[1.0, 0.0], [0.0, 1.0]]), x, y)


# --- supernet ---------------------------------------------------------------------------------------


def test_a_path_of_the_supernet_is_the_network_with_its_weights() -> None:
    torch.manual_seed(0)
    supernet, x = Supernet(num_classes=10, width=4).eval(), torch.randn(2, 3, 12, 12)
    shared = supernet.state_dict()
    for index in SPACE.sample(4, seed=0).tolist():
        network = nas.build(index, 10, width=4).eval()
        state = {}
        for name in network.state_dict():
            _, block, rest = name.split(".", 2)
            stage, is_cell = divmod(int(block) - 1, 2)[0], int(block) % 2 == 1
            if block == "0":
                source = f"stem.{rest}"
            elif block == "7":
                source = f"head.{rest}"
            elif is_cell:
                _, node, inner = rest.split(".", 2)
                op = SPACE.arch_vec(index)[stage][int(node) - 1][0]
                source = f"cells.{stage}.nodes.{int(node) - 1}.{op}.{inner}"
            else:
                source = f"reductions.{stage}.{rest}"
            state[name] = shared[source]
        network.load_state_dict(state)
        torch.testing.assert_close(supernet(x, index), network(x))
        alone = supernet.network(index).state_dict()
        assert all(torch.equal(alone[name], value) for name, value in state.items())


@pytest.mark.mutation("shared-weights")
def test_a_path_through_another_operation_is_noticed(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    supernet = Supernet(num_classes=10, width=4)
    batches, path = list(images.train())[:1], SharedCell.path
    assert 0 <= shared_accuracy(supernet, 3, batches, batches) <= 1

    def another(cell: SharedCell, x: torch.Tensor, vector: list[list[int]]) -> torch.Tensor:
        return path(cell, x, [[(vector[0][0] + 1) % 3], *vector[1:]])

    monkeypatch.setattr(SharedCell, "path", another)
    with pytest.raises(CheckFailed, match="macro:3 inside the supernet"):
        shared_accuracy(supernet, 3, batches, batches)


def test_the_mixture_with_hard_logits_is_a_path() -> None:
    torch.manual_seed(0)
    supernet, x = Supernet(num_classes=10, width=4).eval(), torch.randn(2, 3, 12, 12)
    vector = [[1], [2, 1, 0, 1]]
    for cell in supernet.cells:
        cell.op_logits.data = torch.tensor([[-80.0, 80, -80], [-80, -80, 80]])  # type: ignore[union-attr]
        cell.edge_logits.data = torch.tensor([80.0, -80, 80])  # type: ignore[union-attr]
    index = SPACE.index([vector] * 3)
    assert supernet.derived() == index
    torch.testing.assert_close(supernet(x), supernet(x, index), atol=1e-4, rtol=1e-3)


@pytest.mark.slow
def test_shared_weights_learn_rank_and_search(images: Images) -> None:
    torch.manual_seed(0)
    supernet = Supernet(num_classes=10, width=4)
    losses: list[float] = []
    train_paths(supernet, images.train(), 3, report=lambda epoch, loss: losses.append(loss))
    assert losses[-1] < losses[0]
    shared = shared_accuracy(supernet, 3, list(images.train())[:2], list(images.validation())[:1])
    assert 0 <= shared <= 1
    benchmark = made_up(np.sort(SPACE.sample(30, seed=0)))
    ranked = rank_by_supernet(benchmark, images, networks=6, epochs=1, width=4)
    assert ranked.n == 6 and -1 <= ranked.spearman <= 1
    index = search_by_supernet(benchmark, images, epochs=1, width=4)
    assert index is None or 0 <= index < len(SPACE)


# --- teachers ---------------------------------------------------------------------------------------


def test_noise_to_signal_by_hand() -> None:
    teacher = torch.tensor([[0.0, 0.0], [2.0, 4.0]])
    assert float(noise_to_signal(teacher, teacher)) == 0
    assert float(noise_to_signal(teacher + 1, teacher)) == pytest.approx((1 / 1 + 1 / 4) / 2)
    assert float(noise_to_signal(teacher.mean(0).expand(2, 2), teacher)) == pytest.approx(1)


@pytest.mark.slow
def test_a_student_of_blocks_follows_its_teacher(images: Images) -> None:
    teacher = nas.build(0, 10, width=8, seed=0)
    train_network(teacher, images.train(), Lesson(epochs=6))
    student = nas.build(45, 10, width=8, seed=1)
    seen: list[float] = []
    last = distil_blocks(
        student, teacher, images.train(), 12, lr=0.01, report=lambda epoch, value: seen.append(value)
    )
    assert len(last) == len(student.blocks)  # type: ignore[arg-type]
    assert seen[-1] < 0.7 * seen[0]
    x, _ = next(iter(images.validation()))
    untaught = nas.build(45, 10, width=8, seed=1)
    with torch.no_grad():
        own, other, truth = student.eval()(x), untaught.eval()(x), teacher.eval()(x)
    assert noise_to_signal(own, truth) < noise_to_signal(other, truth)


@pytest.mark.slow
def test_scenarios(images: Images) -> None:
    for scenario, teacher in (("scratch", None), ("finetune", None), ("logits", 11), ("blocks", 11)):
        accuracies = teach(10, teacher, scenario, images, Lesson(epochs=1), width=4)
        assert 0 <= accuracies["student"] <= 1 and ("teacher" in accuracies) == (teacher is not None)
    with pytest.raises(UsageError, match="teacher"):
        teach(10, None, "logits", images, Lesson(epochs=1), width=4)
    with pytest.raises(UsageError, match="scenario"):
        run_scenario("other", nn.Identity(), None, [], [], Lesson(epochs=1))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="correspond"):
        distil_blocks(nas.build(0, 10, width=4), nas.build(0, 10, width=8), images.train(), 1)
