"""Orders of blocks at other positions and settings: which are compared, which are not, and what is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from blockzoo.cli import main
from blockzoo.core.csv_file import write_csv
from blockzoo.core.errors import UsageError
from blockzoo.core.record import Record
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.core.store import Store
from blockzoo.report.additive import Table, fitted_to, tables_of
from blockzoo.report.agreement import Order
from blockzoo.report.block_orders import between, order_at, shared_noise
from blockzoo.report.elsewhere import Elsewhere, elsewheres

TRUE = {"A": 0.50, "B": 0.53, "C": 0.56, "D": 0.59, "E": 0.62}
USUAL: dict[str, Any] = {"dataset": "digits", "protocol": "p-v1", "epochs": 3, "batch_size": 64, "lr": 0.1, "filler": "identity",
                         "num_blocks": 1, "base_channels": 8, "status": "ok"}  # fmt: skip


def rows(
    *, position: str = "mid", seeds: int = 3, noise: float = 0.004, reverse: bool = False, **settings: Any
) -> list[dict[str, Any]]:
    """Trainings of five blocks 3 points apart, with one digest for each combination of settings."""
    draw = np.random.default_rng(len(repr((position, settings))))
    own = USUAL | settings
    luck = draw.normal(0, 0.02, seeds)
    values = dict(zip(TRUE, reversed(TRUE.values()), strict=True)) if reverse else TRUE
    return [
        own | {"block": block, "position": position, "seed": seed, "comparable": repr(sorted(own.items(), key=str)),
               "test_acc": value + luck[seed] + float(draw.normal(0, noise))}
        for block, value in values.items() for seed in range(seeds)
    ]  # fmt: skip


def alone(made: list[Elsewhere]) -> Elsewhere:
    (one,) = made
    return one


def test_positions_of_one_table() -> None:
    one = alone(elsewheres([*rows(), *rows(position="late", reverse=True)]))
    assert (one.setting, one.values, one.position) == ("position", ("mid", "late"), "")
    assert one.agreement.tau == -1 and one.agreement.interval is not None and one.agreement.interval[1] < -0.7
    assert one.agreement.things == 5 and "mid and late over 5 blocks: tau -1.00" in one.sentence
    assert "the orders are opposed" in one.sentence


@pytest.mark.parametrize(
    ("settings", "setting", "values"),
    [
        ({"epochs": 10}, "epochs", ("3 epochs", "10 epochs")),
        ({"filler": "ResNetBasicBlock"}, "filler", ("filler identity", "filler ResNetBasicBlock")),
        ({"budget": "iso-macs 0.5"}, "budget", ("no budget", "iso-macs 0.5")),
        ({"limit_train": 1000}, "training images", ("all training images", "training images 1,000")),
        ({"dtype": "bfloat16"}, "dtype of training", ("the usual dtype of training", "bfloat16")),
        ({"dataset": "cifar10", "split": "s", "image_size": 32}, "dataset", ("digits", "cifar10")),
        ({"protocol": "q-v1", "epochs": 20, "lr": 0.3}, "protocol", ("p-v1", "q-v1")),
    ],
)
def test_experiments_that_differ_in_one_setting_alone(
    settings: dict[str, Any], setting: str, values: tuple[str, str]
) -> None:
    one = alone(elsewheres([*rows(), *rows(**settings)]))
    assert (one.setting, one.values, one.position) == (setting, values, "mid")
    assert one.agreement.tau == 1 and one.agreement.verdict == "agree"
    assert set(one.also) == set(settings) - {next(iter(settings))}
    assert one.sentence.startswith(f"at mid: {values[0]} and {values[1]} over 5 blocks: tau +1.00")


def test_experiments_that_differ_in_two_settings_are_not_compared() -> None:
    with pytest.raises(UsageError, match="differ in one setting alone"):
        elsewheres([*rows(), *rows(epochs=10, filler="ResNetBasicBlock")])
    three = elsewheres([*rows(), *rows(epochs=10), *rows(epochs=10, filler="ResNetBasicBlock")])
    assert [(one.setting, one.values) for one in three] == [
        ("epochs", ("3 epochs", "10 epochs")),
        ("filler", ("filler identity", "filler ResNetBasicBlock")),
    ]


def test_settings_that_no_column_shows_are_known_from_a_store() -> None:
    """Two groups differ in epochs by their columns; one had another momentum too."""
    made = [*rows(), *rows(epochs=10)]
    hidden = {3: {"epochs": 3}, 10: {"epochs": 10, "momentum": 0.5}}
    assert len(elsewheres(made)) == 1
    with pytest.raises(UsageError, match="one setting alone"):
        elsewheres(made, lambda row: hidden[row["epochs"]])
    hidden[10].pop("momentum")
    assert alone(elsewheres(made, lambda row: hidden[row["epochs"]])).setting == "epochs"


def test_devices_of_one_table() -> None:
    on_cpu, on_gpu = rows(), [row | {"seed": row["seed"] + 9} for row in rows()]
    made = [row | {"device": "cpu"} for row in on_cpu] + [row | {"device": "cuda"} for row in on_gpu]
    one = alone(elsewheres(made))
    assert (one.setting, one.values, one.position) == ("device", ("cpu", "cuda"), "mid")


def test_three_blocks_or_one_seed_say_what_they_cannot() -> None:
    three = [row for row in [*rows(), *rows(position="late")] if row["block"] in "ABC"]
    with pytest.raises(
        UsageError, match="fewer than 4 blocks says nothing, and no position here has more than 3"
    ):
        elsewheres(three)
    one = alone(elsewheres([*rows(seeds=1), *rows(position="late", seeds=1)]))
    assert one.agreement.tau == 1 and one.agreement.interval is None
    assert "cannot be said: one seed of each block says nothing" in one.sentence
    two = alone(elsewheres([*rows(seeds=2), *rows(position="late", seeds=2)]))
    assert two.agreement.interval is not None and "fewer than three seeds" in two.agreement.remark


def test_a_search_of_learning_rates_is_in_no_order() -> None:
    searched = [row | {"seed": 999, "experiment_name": "learning rates"} for row in rows(position="late")]
    with pytest.raises(UsageError):
        elsewheres([*rows(), *searched])


def test_an_order_by_hand() -> None:
    ((_, table),) = tables_of(rows(seeds=4), "test_acc").items()
    order = order_at(table, "mid", "here")
    values = np.array([[table[block, "mid"][seed] for seed in range(4)] for block in TRUE])
    left = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
    error = np.sqrt((left**2).sum() / (4 * 3)) / 2
    assert order.name == "here" and order.degrees == 12
    assert list(order.values.values()) == pytest.approx(values.mean(1).tolist())
    assert list(order.errors.values()) == pytest.approx([error] * 5)


def test_a_block_that_lacks_the_unlucky_seed_is_not_put_higher() -> None:
    ((_, table),) = tables_of(rows(seeds=4, noise=0.001), "test_acc").items()
    for (block, _), of in table.items():
        of[3] -= 0.3
        if block == "A":
            del of[3]
    assert min(order_at(table, "mid").values, key=order_at(table, "mid").values.__getitem__) == "A"
    for (block, _), of in table.items():
        if block == "A":
            of.update({seed + 50: of.pop(seed) for seed in list(of)})
    assert "too few seeds in common" in order_at(table, "mid").why
    assert not fitted_to(table).luck


def test_what_both_trainings_of_a_seed_share_is_seen() -> None:
    """The covariance of two means, of 600 simulated tables; and a block that is one network in both."""
    draw = np.random.default_rng(2)
    estimates = []
    for _ in range(600):
        common = draw.normal(0, 0.01, (5, 3))
        tables = [
            Table({(b, "mid"): dict(enumerate(0.5 + common[i] + draw.normal(0, 0.01, 3))) for i, b in enumerate("ABCDE")})
            for _ in range(2)
        ]  # fmt: skip
        first, second = ((table, "mid") for table in tables)
        estimates.append(shared_noise(first, second, [Order("one", {}), Order("other", {})])["A"])
    assert np.mean(estimates) == pytest.approx(0.01**2 / 3, rel=0.15)
    made = [
        {"block": block, "position": place, "seed": seed, "test_acc": float(value), "filler": "A"}
        for (block, _), of in tables[0].items() for seed, value in of.items()
        for place in ("mid", "late") if block == "A" or place == "mid"
    ]  # fmt: skip
    ((_, table),) = tables_of(made, "test_acc").items()
    order = order_at(table, "mid")
    twin = shared_noise((table, "mid"), (table, "late"), [order, order])
    assert twin["A"] == pytest.approx(order.errors["A"] ** 2)


def test_an_agreement_by_a_library() -> None:
    made = [*rows(noise=0.03), *rows(position="late", noise=0.03)]
    ((_, table),) = tables_of(made, "test_acc").items()
    both = between((table, "mid"), (table, "late"), ("mid", "late"))
    means = [[np.mean(list(table[block, place].values())) for block in TRUE] for place in ("mid", "late")]
    assert both is not None and both.tau == pytest.approx(stats.kendalltau(*means).statistic)


def test_the_command_says_it_draws_it_and_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    table = tmp_path / "results.csv"
    write_csv(table, [*rows(), *rows(position="late", reverse=True), *rows(epochs=10)])
    figure = tmp_path / "orders.svg"
    assert main(["results", str(table), "--orders", "--figure", str(figure)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "Orders of blocks by accuracy" in printed and "mid and late over 5 blocks: tau -1.00" in printed
    assert "at mid: 3 epochs and 10 epochs over 5 blocks: tau +1.00" in printed
    drawn = figure.read_text()
    assert "Do blocks keep their order elsewhere" in drawn
    assert main(["results", str(table), "--orders", "--format", "json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    plain = tmp_path / "one.csv"
    write_csv(plain, [*rows(), *rows(position="late")])
    assert main(["results", str(plain), "--orders"]) == 0
    assert "both with" not in capsys.readouterr().out, "what all have in common stands below"
    two = [*rows(), *rows(position="late"), *rows(epochs=10), *rows(position="late", epochs=10)]
    write_csv(tmp_path / "two.csv", two)
    assert main(["results", str(tmp_path / "two.csv"), "--orders"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-2:] for line in lines if line.split()[:1] == ["position"]] == [
        ["3", "epochs"],
        ["10", "epochs"],
    ]
    assert (first["of"], first["setting"], first["tau"]) == ("accuracies", "position", -1)
    assert second["one"] == "3 epochs" and second["tau_low"] > 0.5 and 0 < second["ceiling_one"] <= 1
    assert main(["results", str(table), "--orders", "--where", "position=mid"]) == 0
    assert "3 epochs" in capsys.readouterr().out
    assert main(["results", str(table), "--figure", str(figure)]) == 2
    assert "--figure has an effect with --orders alone" in capsys.readouterr().err


def test_a_store_knows_all_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two experiments of other epochs; with another momentum in one they are not compared, though no column shows it."""
    blocks = ["ResNetBasicBlock", "ResNetBottleneck", "InvertedResidual", "EdgeResidual"]
    for name, momentum, code in (("same", None, 0), ("other", 0.5, 2)):
        store = Store(tmp_path / name / "results.sqlite")
        for epochs, own in ((1, None), (2, momentum)):
            for place, block in enumerate(blocks):
                for seed in range(2):
                    network = NetworkSpec(f"{block}/mid", base_channels=8, num_blocks=1)
                    spec = TrialSpec(network, dataset="digits", epochs=epochs, momentum=own, seed=seed)
                    values = {"test_acc": 0.5 + 0.05 * place + 0.003 * seed * place, "val_acc": 0.5}
                    store.add(
                        Record("trial", spec.fingerprint(), spec.subject, spec.to_json(), values=values)
                    )
        assert main(["results", str(tmp_path / name), "--orders"]) == code
        printed = capsys.readouterr()
        assert ("1 epoch and 2 epochs over 4 blocks" in " ".join(printed.out.split())) == (code == 0)
        assert code == 0 or "differ in one setting alone" in printed.err
