"""Every form of a network against the network itself: folded, deployed, planned, in tiles, exported, its file in tiles.

Each agrees, or is refused by an error of this package with a reason. Of random programs the number that must agree is stated; of
real networks each refusal, so that no form can be refused everywhere unnoticed.
"""

from __future__ import annotations

import csv
import gc
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given

from blockzoo.models.merging import mergeable
from tests.sampled import sampled
from tests.tiling.forms import FORMS, Truth, drawn, outcome
from tests.tiling.grammar import Program, programs, the_same_each_time
from tests.tiling.real_networks import NAMES, network

IN_FILES, IN_TILES = ("exported", "file in tiles"), ("planned", "tiles")
TABLE = Path(__file__).parents[2] / "docs" / "results" / "agreement.csv"
REFUSED: dict[tuple[str, str], str] = {
    **dict.fromkeys([("timm:efficientvit_b0", form) for form in IN_TILES], "sets autocast"),
    **{
        (f"timm:{name}", form): "only 4D query, key, and value"
        for name in ("nest_tiny", "hiera_tiny_224", "twins_svt_small", "samvit_base_patch16_224")
        for form in IN_FILES
    },
    **dict.fromkeys([("timm:visformer_tiny", form) for form in IN_FILES], "the file differs"),
}
"""Of a network and a form: a part of the reason why it is refused."""
ON_SOME_PROCESSORS = {("timm:visformer_tiny", form) for form in IN_FILES}
"""Refused there: on large images its attention takes one of two values that are nearly equal, which rounding decides."""


ONCE_WRONG = {
    "a map that is returned, and its mean": Program(
        ("nn.Conv2d(3, 4, 3, padding=1)", "nn.SiLU()"),
        ("v1 = self.l1(self.l0(x))", "v2 = v1.mean((2, 3))"),
        "{'out': v2, 'more': (v1, None, [x])}",
        (16, 16),
    ),
    "patches of a map that was enlarged": Program(
        ("nn.Conv2d(3, 4, 3, padding=1)",),
        (
            "v1 = F.interpolate(self.l0(x), size=(18, 22), mode='bilinear')",
            "v2 = v1.reshape(36, 2, 11, 2).transpose(1, 2)",
            "v3 = v2.reshape(1, 4, 99, 4).transpose(1, 3)",
        ),
        "v3",
        (9, 11),
    ),
    "a sum with an expanded view": Program(
        ("nn.Conv2d(3, 4, 3, padding=1)",),
        ("v1 = self.l0(x)", "v2 = v1.mean(2, keepdim=True).expand(-1, -1, 9, -1)", "v3 = v2 + v1.abs()"),
        "v3",
        (9, 11),
    ),
    "a ReLU of an expanded map": Program(
        ("nn.Conv2d(3, 4, 3, padding=1)", "nn.Conv2d(4, 1, 3, padding=1)"),
        ("v1 = torch.relu(self.l1(self.l0(x)).expand(-1, 4, -1, -1))", "v2 = v1 + 0.5"),
        "v2",
        (9, 11),
    ),
    "a summary enlarged beside its map": Program(
        ("nn.Conv2d(3, 4, 3, padding=1)", "nn.Conv2d(4, 4, 1)", "nn.Conv2d(8, 4, 3, padding=1)"),
        (
            "v1 = self.l0(x)",
            "v2 = F.interpolate(self.l1(F.adaptive_avg_pool2d(v1, 1)), size=(16, 12), mode='bilinear')",
            "v3 = self.l2(torch.cat([v1, v2], 1))",
        ),
        "v3",
        (16, 12),
    ),
    "a vector as a map": Program(
        ("nn.Conv2d(3, 4, 3, padding=1)", "nn.Linear(4, 768)", "nn.Conv2d(4, 4, 3, padding=1)"),
        (
            "v1 = self.l0(x)",
            "v2 = self.l1(v1.mean((2, 3))).view(-1, 4, 16, 12)",
            "v3 = self.l2(v1 + self.l2(v2.relu()))",
        ),
        "v3",
        (16, 12),
    ),
    "patches as images": Program(
        ("nn.Conv2d(3, 4, 3, padding=1)", "nn.Conv2d(4, 4, 3, padding=1)", "nn.Conv2d(4, 4, 3, padding=1)"),
        (
            "v1 = F.unfold(self.l0(x), 4, stride=4).transpose(1, 2).reshape(-1, 4, 4, 4)",
            "v2 = self.l1((v1 + self.l1.weight[:, :, :1, :1].sum(1)).relu()) + v1",
            "v3 = F.fold(v2.reshape(1, -1, 64).transpose(1, 2), (16, 12), 4, stride=4)",
            "v4 = self.l2(v3)",
        ),
        "v4",
        (16, 12),
    ),
    "windows that overlap": Program(
        ("nn.Conv2d(3, 4, 3, padding=1)",),
        ("v1 = self.l0(x).unfold(2, 3, 1).unfold(3, 3, 2)", "v2 = v1 * 2", "v3 = v2 + 1.0"),
        "v3",
        (9, 11),
    ),
}


def truth_of(program: Program) -> Truth:
    """The network of a program with random weights, unless PyTorch itself refuses it."""
    x = torch.zeros(1, 3, *program.size, dtype=torch.float64)
    try:
        return Truth(drawn(program.build()), x)
    except (RuntimeError, ValueError):
        assume(False)
        raise


def agreeing(count: int, forms: Sequence[str], folder: Path, *, several: bool = True) -> Counter[str]:
    """How many of so many programs agree in each form; the first that differs or crashes is made small and printed."""
    tally: Counter[str] = Counter()
    reasons: Counter[str] = Counter()

    @the_same_each_time(count)
    @given(programs(several=several))
    def agrees(program: Program) -> None:
        truth = truth_of(program)
        for form in forms:
            compared = outcome(form, truth, folder)
            tally[form] += compared.kind == "agrees"
            reasons[f"{form} {compared}"] += compared.kind == "refused"
            assert compared.right, f"{form} {compared}\n{program}"

    agrees()
    print(f"of {count} programs agree: {dict(tally)}", *(+reasons), sep="\n")
    return tally


def test_random_programs_folded_and_deployed(tmp_path: Path) -> None:
    agreements = agreeing(20, ["folded", "deployed"], tmp_path)
    assert agreements["folded"] == agreements["deployed"] == 20


def test_random_programs_in_tiles(tmp_path: Path) -> None:
    agreements = agreeing(6, ["planned", "tiles", "memory"], tmp_path)
    assert min(agreements["planned"], agreements["tiles"]) >= 5 and agreements["memory"] >= 4, agreements


def test_random_programs_in_files(tmp_path: Path) -> None:
    agreements = agreeing(2, IN_FILES, tmp_path)
    assert all(agreements[form] == 2 for form in IN_FILES), agreements


@pytest.mark.parametrize("what", sampled(ONCE_WRONG, 1))
def test_programs_that_went_wrong_once(what: str, tmp_path: Path) -> None:
    truth = truth_of(ONCE_WRONG[what])
    outcomes = {form: str(outcome(form, truth, tmp_path)) for form in FORMS}
    assert all(said.startswith("agrees") for said in outcomes.values()), outcomes


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("several", [False, True])
def test_many_random_programs(several: bool, tmp_path: Path) -> None:
    agreements = agreeing(300, ["folded", "deployed", "planned", "tiles"], tmp_path, several=several)
    assert min(agreements.values()) >= 285, agreements


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_thirty_random_programs_in_every_form(tmp_path: Path) -> None:
    agreements = agreeing(30, list(FORMS), tmp_path)
    assert all(agreements[form] >= 27 for form in FORMS if form != "memory") and agreements["memory"] >= 20, (
        agreements
    )


def within_a_minute() -> list[str]:
    """Networks whose forms took less than a minute of one core, all together, in docs/results/agreement.csv.

    The others, three hours of them, are tried by `python benchmarks/agreement.py`, which made that table.
    """
    seconds: dict[str, float] = defaultdict(float)
    with TABLE.open() as file:
        for row in csv.DictReader(file):
            seconds[row["network"]] += float(row["seconds"] or 0)
    return [name for name in NAMES if seconds[name] < 60]


@pytest.mark.parametrize("name", sampled(within_a_minute(), 0))
@pytest.mark.timeout(1800)
def test_a_real_network(name: str, tmp_path: Path) -> None:
    made, x = network(name)
    truth = Truth(drawn(made), x.double())
    wrong = []
    for form in FORMS:
        if form == "memory" or (form == "folded" and not mergeable(made)):
            continue  # tested elsewhere, and the same as deployed
        compared, reason = outcome(form, truth, tmp_path), REFUSED.get((name, form))
        print(f"{name} | {form} | {compared}")
        may_agree = reason is None or (name, form) in ON_SOME_PROCESSORS
        right = (
            may_agree
            if compared.kind == "agrees"
            else compared.kind == "refused" and reason is not None and reason in compared.reason
        )
        wrong += [] if right else [f"{form} {compared}"]
    gc.collect()
    assert not wrong, "\n".join(wrong)


def test_the_list_of_networks_is_long_enough() -> None:
    assert (
        len(NAMES) >= 150
        and len(within_a_minute()) >= 120
        and all(sum(f == form for _, f in REFUSED) < len(NAMES) / 10 for form in FORMS)
    )
