"""What every registered block must keep, new ones included: a part of them in the quick suite, all in the slow list."""

from __future__ import annotations

import pytest
import torch

from blockzoo.core.contracts import BLOCKS, POSITIONS
from blockzoo.core.errors import UsageError
from blockzoo.models.contract import SHAPES
from blockzoo.models.examination import TOLERANCE
from blockzoo.testing import check_block
from tests.sampled import sampled


@pytest.mark.parametrize(
    "shapes", [SHAPES[1:2], pytest.param(SHAPES, marks=pytest.mark.slow)], ids=["one", "all"]
)
@pytest.mark.parametrize("name", sampled(BLOCKS.names(variants=True), 6))
def test_block_is_all_that_a_block_is(name: str, shapes: tuple[tuple[int, int, int], ...]) -> None:
    """A block of the zoo is not examined when it is used: here it is. Variants of earlier tables change with their position, and
    keep their limit: whole multiples.
    """
    kept = [shape for shape in shapes if not ("@published" in name and shape[1] % shape[0])]
    assert check_block(BLOCKS[name], kept, strict="@" not in name) <= TOLERANCE


@pytest.mark.parametrize("name", BLOCKS.names())
def test_default_configuration_is_the_same_at_every_position(name: str) -> None:
    built = []
    for position in POSITIONS:
        torch.manual_seed(0)
        built.append(BLOCKS[name](16, 32, 2, position))
    first = built[0].state_dict()
    for module in built[1:]:
        assert repr(module) == repr(built[0])
        assert all(torch.equal(v, first[k]) for k, v in module.state_dict().items())


@pytest.mark.parametrize("name", BLOCKS.names())
def test_any_width_works_or_is_refused_in_words(name: str) -> None:
    for i, o, stride in (
        (2, 3, 2),
        (3, 5, 1),
        (10, 10, 1),
        (10, 20, 2),
        (12, 24, 2),
        (20, 7, 1),
        (36, 36, 1),
    ):
        try:
            block = BLOCKS[name](i, o, stride, "mid")
        except UsageError as error:
            assert "choose" in str(error) and name in str(error)
            continue
        with torch.no_grad():
            assert block.eval()(torch.randn(1, i, 9, 8)).shape == (1, o, -(-9 // stride), 8 // stride)


@pytest.mark.parametrize("name", BLOCKS.names())
def test_default_cites_its_paper(name: str) -> None:
    assert "Source:" in (BLOCKS[name].__doc__ or "") and "arXiv:" in BLOCKS[name].__doc__


def test_signal_passes_the_transition() -> None:
    """A layer scale of 1e-5 without a shortcut leaves nothing: no default block does that."""
    for name in BLOCKS:
        torch.manual_seed(0)
        x = torch.randn(8, 16, 16, 16)
        assert BLOCKS[name](16, 32, 2, "mid").train()(x).std() > 1e-2, name
