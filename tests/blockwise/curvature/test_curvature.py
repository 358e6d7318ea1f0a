"""Curvature against exact Hessians: an independent one, those of small networks, and matrices made up by hand."""

from __future__ import annotations

import os
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from blockzoo import blockwise
from blockzoo.blockwise.curvature.lanczos import GolubKahan, Lanczos, random_unit
from blockzoo.core.errors import UsageError

ORACLE = (
    Path(os.environ.get("BLOCKZOO_ORACLES", Path(__file__).parents[4] / "shared" / "oracles"))
    / "hessian_tiny.npz"
)
cross_entropy = nn.functional.cross_entropy


class Chain(nn.Module):
    """Linear layers with an activation between them, each a block."""

    def __init__(self, widths: list[int], activation: type[nn.Module]) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(a, b), activation()) if n < len(pairs) - 1 else nn.Linear(a, b)
            for n, (a, b) in enumerate(pairs)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return x


def small(activation: type[nn.Module] = nn.Tanh, seed: int = 0) -> tuple[nn.Module, list[Any]]:
    torch.manual_seed(seed)
    network = Chain([6, 9, 8, 7, 4], activation).double()
    x, y = torch.randn(30, 6, dtype=torch.float64), torch.randint(0, 4, (30,))
    return network, [(x, y)]


def true_sigma(network: nn.Module, batches: list[Any], partition: Any = "blocks") -> np.ndarray:
    """Spectral norms of all blocks of the exact Hessian."""
    sizes = blockwise.make_partition(network, partition).sizes(network)
    hessian = blockwise.exact_hessian(network, cross_entropy, batches, partition)
    rows = torch.split(hessian, sizes)
    return np.array(
        [[float(torch.linalg.matrix_norm(b, 2)) for b in torch.split(row, sizes, dim=1)] for row in rows]
    )


# --- an independent case ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def independent() -> Any:
    if not ORACLE.is_file():
        pytest.skip(f"the independent case is not at {ORACLE}")
    return np.load(ORACLE)


@pytest.fixture(scope="module")
def independent_network(independent: Any) -> tuple[nn.Module, list[Any]]:
    network = Chain([48, 16, 12, 12, 10], nn.Tanh).double()
    network.load_state_dict(
        {name[2:]: torch.tensor(independent[name]) for name in independent if name[:2] == "p_"}
    )
    return network, [(torch.tensor(independent["x"]), torch.tensor(independent["y"]))]


def test_exact_hessian_of_the_independent_case(independent: Any, independent_network: Any) -> None:
    network, batches = independent_network
    hessian = blockwise.exact_hessian(network, cross_entropy, batches)
    np.testing.assert_allclose(torch.linalg.eigvalsh(hessian).numpy(), independent["eig"], atol=1e-10)


def test_coupling_map_of_the_independent_case(independent: Any, independent_network: Any) -> None:
    network, batches = independent_network
    coupling = blockwise.coupling_map(network, cross_entropy, batches, tol=1e-9, max_products=4000)
    np.testing.assert_allclose(coupling.sigma, independent["sigma"], rtol=1e-6)
    assert coupling.converged.all()
    default = blockwise.coupling_map(network, cross_entropy, batches)
    ratio = default.sigma / independent["sigma"]
    assert default.converged.all() and (ratio >= 1 - 1e-3).all() and (ratio <= 1 + 1e-9).all()
    assert (default.upper >= independent["sigma"]).all() and not default.stopped


# --- against exact Hessians -------------------------------------------------------------------------


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.GELU])
@pytest.mark.parametrize("partition", ["blocks", "tensor"])
def test_converged_maps_are_exact(activation: type[nn.Module], partition: str) -> None:
    network, batches = small(activation)
    coupling = blockwise.coupling_map(network, cross_entropy, batches, partition, tol=1e-8, max_products=5000)
    truth = true_sigma(network, batches, partition)
    np.testing.assert_allclose(coupling.sigma, truth, rtol=1e-6, atol=1e-9)
    assert (coupling.sigma <= truth * (1 + 1e-9) + 1e-12).all()
    assert (coupling.frobenius >= coupling.sigma - 1e-12).all()


@pytest.mark.filterwarnings("ignore:coupling map. stopped")
def test_bounds_hold_at_every_budget() -> None:
    network, batches = small()
    truth = true_sigma(network, batches)
    for budget in (1, 6, 12, 25, 50, 100, 1000):
        coupling = blockwise.coupling_map(network, cross_entropy, batches, max_products=budget)
        assert coupling.products <= max(budget, 4), "one product of each block is always made"
        assert (coupling.lower_bound <= truth * (1 + 1e-9)).all() and (coupling.lower_bound > 0).all()
        assert (coupling.upper >= truth * (1 - 1e-9)).all()
        assert (coupling.sigma >= 0.999 * truth)[coupling.converged].all()
    assert coupling.converged.all()
    means = [float((sigma / truth).mean()) for _, sigma in coupling.history]
    assert all(b >= a - 1e-12 for a, b in pairwise(means)) and means[-1] > 0.99


def test_the_history_and_stopping_early() -> None:
    """Said in the result and as a warning, and only where it is so."""
    network, batches = small()
    with pytest.warns(UserWarning, match="10 of 10 entries have not converged"):
        coupling = blockwise.coupling_map(network, cross_entropy, batches, max_seconds=0.0)
    assert coupling.products <= 8 * len(coupling.labels) and len(coupling.history) >= 1
    assert coupling.history[-1][0] == coupling.products
    assert (
        "(max_seconds)" in coupling.stopped
        and not coupling.converged.any()
        and np.isfinite(coupling.upper).all()
    )
    with pytest.warns(UserWarning, match=r"after \d+ products \(max_products\)"):
        coupling = blockwise.coupling_map(network, cross_entropy, batches, max_products=80)
    assert coupling.converged.any() != coupling.converged.all()
    counts: list[tuple[int, int]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        coupling = blockwise.coupling_map(
            network,
            cross_entropy,
            batches,
            max_products=1000,
            report=lambda done, entries: counts.append((done, entries)),
        )
    assert not coupling.stopped and counts == [(n, 10) for n in range(1, 11)]


def test_batches_are_weighed_by_their_size() -> None:
    network, [(x, y)] = small()
    whole = blockwise.exact_hessian(network, cross_entropy, [(x, y)])
    parts = blockwise.exact_hessian(network, cross_entropy, [(x[:7], y[:7]), (x[7:], y[7:])])
    torch.testing.assert_close(whole, parts)


def test_products_are_those_of_the_exact_hessian() -> None:
    network, batches = small(nn.GELU)
    exact = blockwise.exact_hessian(network, cross_entropy, batches, "blocks")
    hessian = blockwise.Hessian(network, cross_entropy, batches)
    edges = np.cumsum([0, *hessian.sizes])
    v = torch.randn(sum(hessian.sizes), dtype=torch.float64)
    torch.testing.assert_close(hessian.full(v), exact @ v)
    for i in range(4):
        for j in range(4):
            part = v[edges[j] : edges[j + 1]]
            block = exact[edges[i] : edges[i + 1], edges[j] : edges[j + 1]]
            torch.testing.assert_close(hessian.pair(i, j, part), block @ part)
            torch.testing.assert_close(hessian.column(j, part)[i], block @ part)
    loss = cross_entropy(network(batches[0][0]), batches[0][1])
    for own, want in zip(
        hessian.gradient(),
        torch.autograd.grad(loss, [p for b in network.blocks for p in b.parameters()])[::2],
        strict=True,
    ):
        torch.testing.assert_close(own[: want.numel()], want.flatten())


def test_gauss_newton_against_its_definition() -> None:
    network, [(x, y)] = small()
    matrix = blockwise.GaussNewton(network, cross_entropy, [(x, y)])
    parameters = [p for block in network.blocks for p in block.parameters()]
    outputs = network(x)
    rows = [
        torch.cat([g.flatten() for g in torch.autograd.grad(o, parameters, retain_graph=True)])
        for o in outputs.flatten()
    ]
    jacobian = torch.stack(rows)
    curved = torch.autograd.functional.hessian(
        lambda o: cross_entropy(o.view_as(outputs), y), outputs.detach().flatten()
    )
    exact = jacobian.T @ curved @ jacobian
    v = torch.randn(exact.shape[0], dtype=torch.float64)
    torch.testing.assert_close(matrix.full(v), exact @ v)
    sizes = matrix.sizes
    torch.testing.assert_close(
        matrix.pair(0, 2, v[: sizes[2]]),
        (exact[: sizes[0], sizes[0] + sizes[1] :][:, : sizes[2]]) @ v[: sizes[2]],
    )
    a, b = matrix.gradient(), blockwise.Hessian(network, cross_entropy, [(x, y)]).gradient()
    for own, other in zip(a, b, strict=True):
        torch.testing.assert_close(own, other)
    assert blockwise.coupling_map(network, cross_entropy, [(x, y)], matrix="ggn").sigma.shape == (4, 4)


@pytest.mark.slow
def test_one_blocks_own_curvature() -> None:
    network, batches = small()
    hessian = blockwise.Hessian(network, cross_entropy, batches)
    exact = blockwise.exact_hessian(network, cross_entropy, batches, "blocks")
    edges = np.cumsum([0, *hessian.sizes])
    for block in (0, 2, None):
        part = (
            exact
            if block is None
            else exact[edges[block] : edges[block + 1], edges[block] : edges[block + 1]]
        )
        values = torch.linalg.eigvalsh(part)
        ends = blockwise.extreme_eigenvalues(hessian, block, tol=1e-8, most=300)
        assert ends.smallest == pytest.approx(float(values[0]), abs=1e-7)
        assert ends.largest == pytest.approx(float(values[-1]), rel=1e-6)
        assert ends.smallest < 0 < ends.largest or values[0] >= -1e-9
        assert blockwise.trace(hessian, block, products=90) == pytest.approx(float(values.sum()), rel=0.15)
        density = blockwise.spectral_density(hessian, block, steps=40, repeats=30)
        assert density.weights.sum() == pytest.approx(1)
        assert (density.points * density.weights).sum() == pytest.approx(
            float(values.mean()), abs=0.1 * float(values.abs().max())
        )
        grid = np.linspace(density.points.min() - 1, density.points.max() + 1, 4000)
        assert np.trapezoid(density.on(grid, 0.05), grid) == pytest.approx(1, abs=1e-3)
    others = torch.cat([exact[: edges[1], edges[1] :]], dim=1)
    assert blockwise.row_norm(hessian, 0, tol=1e-8, most=200) == pytest.approx(
        float(torch.linalg.matrix_norm(others, 2)), rel=1e-6
    )
    low, high = blockwise.coupling_map(
        network, cross_entropy, batches, tol=1e-8, max_products=2000
    ).row_bounds()
    assert low[0] <= float(torch.linalg.matrix_norm(others, 2)) * (1 + 1e-6) <= high[0] * (1 + 1e-6)


def test_attention_and_batch_norm_and_in_place_relus() -> None:
    """Networks whose fused kernels have no second derivative, or whose statistics would move."""

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([nn.Linear(6, 12), nn.Linear(4, 3)])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            q, k, v = self.blocks[0](x).chunk(3, -1)
            return self.blocks[1](nn.functional.scaled_dot_product_attention(q, k, v).mean(1))

    torch.manual_seed(0)
    data = [(torch.randn(5, 4, 6), torch.randint(0, 3, (5,)))]
    assert blockwise.coupling_map(Attention(), cross_entropy, data).sigma[0, 1] > 0
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4 * 36, 3)
    )
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = [(torch.randn(5, 3, 8, 8), torch.randint(0, 3, (5,)))]
    coupling = blockwise.coupling_map(network, cross_entropy, images, "module")
    assert coupling.sigma.shape == (3, 3) and np.isfinite(coupling.sigma).all() and network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


# --- processes by themselves ------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(30, 20), (20, 30), (5, 40), (1, 7), (7, 1)])
def test_golub_kahan_against_a_decomposition(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(*shape, dtype=torch.float64)
    start = random_unit(shape[1], matrix, torch.Generator().manual_seed(0))
    process = GolubKahan(lambda v: matrix @ v, lambda u: matrix.T @ u, start, shape)
    truth = torch.linalg.svdvals(matrix)
    for _ in range(min(shape) + 2):
        process.step()
        assert process.value <= float(truth[0]) * (1 + 1e-12)
        assert float((truth - process.value).abs().min()) <= process.residual + 1e-9
    assert process.exhausted and process.value == pytest.approx(float(truth[0]))


def test_lanczos_against_a_decomposition_and_on_nothing() -> None:
    torch.manual_seed(0)
    matrix = torch.randn(25, 25, dtype=torch.float64)
    matrix = matrix + matrix.T
    process = Lanczos(lambda v: matrix @ v, random_unit(25, matrix, torch.Generator().manual_seed(0)))
    while not process.exhausted:
        process.step()
    truth = torch.linalg.eigvalsh(matrix)
    assert (process.smallest, process.largest) == (
        pytest.approx(float(truth[0])),
        pytest.approx(float(truth[-1])),
    )
    zero = Lanczos(lambda v: 0 * v, random_unit(4, matrix, torch.Generator().manual_seed(0)))
    zero.step()
    assert zero.exhausted and zero.value == 0
    nothing = GolubKahan(
        lambda v: 0 * v, lambda u: 0 * u, random_unit(4, matrix, torch.Generator().manual_seed(0)), (4, 4)
    )
    nothing.step()
    assert nothing.exhausted and nothing.value == 0


def test_a_loss_without_coupling_has_a_map_of_zeros() -> None:
    network = Chain([3, 2], nn.ReLU)
    batches = [(torch.randn(4, 3), torch.zeros(4, 2))]
    coupling = blockwise.coupling_map(network, lambda output, target: output.sum(), batches, "tensor")
    assert (coupling.sigma == 0).all() and coupling.converged.all()


# --- partitions and bad requests --------------------------------------------------------------------


def test_partitions() -> None:
    network, _ = small()
    assert len(blockwise.make_partition(network)) == len(network.blocks)  # type: ignore[arg-type]
    assert len(blockwise.make_partition(network, "tensor")) == 8
    assert blockwise.make_partition(network, "stage").labels == ("blocks",)
    by_text = blockwise.make_partition(network, {"weights": r".*weight", "biases": r".*bias"})
    assert by_text.sizes(network) == [6 * 9 + 9 * 8 + 8 * 7 + 7 * 4, 9 + 8 + 7 + 4]
    with pytest.raises(UsageError, match=r"in no block: .*bias"):
        blockwise.make_partition(network, {"weights": r".*weight"})
    with pytest.raises(UsageError, match="several blocks"):
        blockwise.make_partition(network, {"all": ".*", "biases": r".*bias"})
    with pytest.raises(UsageError, match="empty"):
        blockwise.make_partition(network, {"all": ".*", "none": "nothing"})
    with pytest.raises(UsageError, match="no regular expression"):
        blockwise.make_partition(network, {"all": "("})
    with pytest.raises(UsageError, match="choose blocks"):
        blockwise.make_partition(network, "layers")


@pytest.mark.parametrize(
    "options",
    [
        {"rank": 0},
        {"tol": 0},
        {"tol": 1.5},
        {"failure": 0},
        {"max_products": 0},
        {"max_seconds": -1},
        {"max_seconds": float("nan")},
        {"matrix": "fisher"},
    ],
)
def test_impossible_options(options: dict[str, Any]) -> None:
    network, batches = small()
    with pytest.raises(UsageError, match=next(iter(options))):
        blockwise.coupling_map(network, cross_entropy, batches, **options)


def test_losses_that_have_no_curvature_to_measure() -> None:
    network, [(x, y)] = small()
    with pytest.raises(UsageError, match="no batch"):
        blockwise.coupling_map(network, cross_entropy, [])
    with pytest.raises(UsageError, match="finite"):
        blockwise.coupling_map(network, cross_entropy, [(x * float("nan"), y)])
    with pytest.raises(UsageError, match="differs from call to call"):
        blockwise.coupling_map(network, lambda o, t: cross_entropy(o, t) + torch.rand(()), [(x, y)])
    with pytest.raises(UsageError, match="GiB"):
        blockwise.exact_hessian(
            nn.Linear(300, 300), cross_entropy, [(torch.randn(2, 300), torch.zeros(2).long())]
        )


def test_curvlinops_agrees() -> None:
    """Products with the Hessian and the Gauss-Newton matrix, and the trace, as an independent library has them."""
    curvlinops = pytest.importorskip("curvlinops")
    network, batches = small(nn.Tanh)
    network = network.float()
    batches = [(x.float(), y) for x, y in batches]
    parameters = list(network.parameters())
    for ours, theirs in (
        (blockwise.Hessian, curvlinops.HessianLinearOperator),
        (blockwise.GaussNewton, curvlinops.GGNLinearOperator),
    ):
        operator = theirs(network, nn.CrossEntropyLoss(), parameters, batches)
        own = ours(network, cross_entropy, batches, "tensor")
        for seed in range(3):
            v = random_unit(sum(own.sizes), own.like, torch.Generator().manual_seed(seed))
            torch.testing.assert_close(own.full(v), operator @ v, rtol=1e-4, atol=1e-6)
        exact = float(torch.trace(operator @ torch.eye(sum(own.sizes))))
        assert blockwise.trace(own, None, products=sum(own.sizes)) == pytest.approx(exact, rel=1e-3)
