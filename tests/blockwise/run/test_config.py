"""From configurations to networks and options."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from blockzoo.blockwise.closed_loop import choose
from blockzoo.blockwise.curvature.coupling import coupling_map
from blockzoo.blockwise.run.config import RunConfig
from blockzoo.blockwise.run.frame import Frame
from blockzoo.core.errors import UsageError
from tests.blockwise.runs import config


def test_configurations_come_back_and_differ() -> None:
    asked = config(units=("norms",), options={"k": (1, 2, 3), "optimizer": ("sgd", "adam", "AdamW")})
    assert RunConfig.from_json(json.loads(json.dumps(asked.to_json()))) == asked
    assert asked.fingerprint() != config().fingerprint()
    assert replace(asked, data_dir="/elsewhere", device="cuda").fingerprint() == asked.fingerprint()
    frame = Frame.from_config(asked)
    assert [type(s.optimizer).__name__ for s in frame.blocks] == ["SGD", "Adam", "AdamW"]
    with pytest.raises(UsageError, match="limit train 0"):
        config(limit_train=0)
    with pytest.raises(UsageError, match="momentum, adadelta"):
        Frame.from_config(config(options={"optimizer": "magic"}))


@pytest.mark.parametrize(
    "model",
    [
        "ResNetBasicBlock/mid",
        "feedforward",
        "cnn",
        "nn_ensemble",
        "cnn_ensemble",
        "model:resnet18",
        "macro:7",
    ],
)
def test_networks_by_name(model: str) -> None:
    frame = Frame.from_config(config(model=model, config=(), image_size=16, limit_train=16))
    assert len(frame.partition) >= 3


def test_a_tuned_run_takes_its_values_from_its_own_coupling() -> None:
    frame = Frame.from_config(config(tuned=1.0, image_size=4))
    plain = Frame.from_config(config(image_size=4))
    want = choose(coupling_map(plain.model, plain.criterion, plain.probe(2), plain.partition))
    assert frame.options.prox_lambda == want.prox_lambda and [s.steps for s in frame.blocks] == list(want.k)
    weaker = Frame.from_config(config(tuned=0.1, image_size=4))
    assert weaker.options.prox_lambda[0] == pytest.approx(0.1 * want.prox_lambda[0])  # type: ignore[index]
    with pytest.raises(UsageError, match="tuned"):
        config(tuned=-1)
    with pytest.raises(UsageError, match="budget"):
        config(budget="wishes:3")
    with pytest.raises(UsageError, match=r"number of processes.*jacobi"):
        config("distributed", budget="communicated_bytes:1000")
