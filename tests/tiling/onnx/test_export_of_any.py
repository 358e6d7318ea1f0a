"""Networks of other precision, with computed weights, and with results that are no maps, as files of floats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from blockzoo.core.errors import CheckFailed, UsageError
from tests.sampled import sampled

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from blockzoo.tiling.onnx.export import export_onnx
from blockzoo.tiling.onnx.fuse import Fusing
from blockzoo.tiling.onnx.session import every_output


class Returning(nn.Module):
    """Two convolutions, and what is made of their result and of the image."""

    def __init__(self, result: Callable[[torch.Tensor, torch.Tensor], Any]) -> None:
        super().__init__()
        self.stem, self.conv = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 1)
        self.result = result

    def forward(self, x: torch.Tensor) -> Any:
        return self.result(self.conv(self.stem(x)), x)


def image(seed: int = 0) -> torch.Tensor:
    return torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_network_of_another_precision_becomes_a_file_of_floats(dtype: torch.dtype, tmp_path: Path) -> None:
    model, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).to(dtype).eval(), image().to(dtype)
    report = export_onnx(model, x.requires_grad_(), tmp_path / "x.onnx")
    (got,) = next(every_output(report.path, [[image(1).numpy()]]))
    with torch.no_grad():
        wanted = model.float()(image(1)).numpy()
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_computed_weights_and_means_of_doubles(tmp_path: Path) -> None:
    model = Returning(lambda y, x: y.double().mean((2, 3)))
    torch.nn.utils.weight_norm(model.conv)
    with torch.no_grad():
        wanted = model(image()).numpy()  # its weight is a result from here on, which copy.deepcopy refuses
    report = export_onnx(model, image(), tmp_path / "x.onnx")
    np.testing.assert_allclose(next(every_output(report.path, [[image().numpy()]]))[0], wanted, atol=1e-5)


def test_the_image_a_constant_and_a_value_twice_are_outputs(tmp_path: Path) -> None:
    model = Returning(
        lambda y, x: {"out": y.relu(), "twice": [y, y], "none": None, "image": x, "constant": torch.ones(2)}
    )
    x = image()
    y = model.conv(model.stem(x)).detach()
    wanted = [y.relu(), y, y, x, torch.ones(2)]
    report = export_onnx(model, x, tmp_path / "x.onnx")
    got = next(every_output(report.path, [[x.numpy()]]))
    assert len(got) == len(wanted)
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_allclose(one, other.numpy(), atol=1e-5)


@pytest.mark.slow
def test_what_is_no_tensor_is_named(tmp_path: Path) -> None:
    for result, named in ((lambda y, x: (y, 3), "int"), (lambda y, x: {"y": y, "name": "a"}, "str")):
        with pytest.raises(UsageError, match=f"returns {named} besides tensors"):
            export_onnx(Returning(result), image(), tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fusing", sampled([None, Fusing(mode="exact", grid=(2, 2), fuse_to="conv")], 1))
def test_a_mask_and_integers_that_are_always_the_same_are_outputs(
    fusing: Fusing | None, tmp_path: Path
) -> None:
    model, x = Returning(lambda y, x: (y > 0, torch.arange(5))), image(2)
    report = export_onnx(model, image(), tmp_path / "x.onnx", fusing=fusing)
    got = next(every_output(report.path, [[x.numpy()]]))
    for one, other in zip(got, model(x), strict=True):
        assert one.dtype == other.numpy().dtype and np.array_equal(one, other.numpy())


def _largest(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return torch.topk(y, 2, dim=1)[0]


def _pooled_and_back(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    pooled, places = nn.functional.max_pool2d(y, 2, return_indices=True)
    return nn.functional.max_unpool2d(pooled, places, 2)


@pytest.mark.slow
@pytest.mark.parametrize("result", [_largest, _pooled_and_back])
def test_a_layer_of_several_values_is_no_obstacle_where_nothing_is_cut(result: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, path = Returning(result).eval(), tmp_path / "net.onnx"
    export_onnx(network, image(), path)
    with torch.no_grad():
        wanted = network(image(1)).numpy()
    (made,) = _run(path, image(1))
    np.testing.assert_allclose(made, wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(UsageError, match="export it layer by layer"):
        export_onnx(network, image(), tmp_path / "cut.onnx", fusing=Fusing(grid=(2, 2), fuse_to="conv"))


@pytest.mark.slow
def test_a_network_that_takes_images_of_0_to_1_alone_is_refused_in_words(tmp_path: Path) -> None:
    table = nn.Embedding(256, 4)

    def looked_up(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return y + table((x[:, 0] * 255).long()).permute(0, 3, 1, 2)

    with pytest.raises(
        UsageError, match=r"Returning does not take all images .*IndexError.*let it clamp what it reads"
    ):
        export_onnx(Returning(looked_up), image().abs().clamp(max=1), tmp_path / "net.onnx")


def _run(path: Path, x: torch.Tensor) -> list[np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return list(session.run(None, {session.get_inputs()[0].name: x.numpy()}))


def written(change: Callable[[torch.Tensor], Any]) -> Callable[[torch.Tensor], torch.Tensor]:
    """A copy of a tensor, changed by another name."""

    def made(y: torch.Tensor) -> torch.Tensor:
        y = y * 1
        change(y)
        return y

    return made


PAST_AUTOGRAD: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "data.mul_": written(lambda y: y.data.mul_(2)),
    "data.add_": written(lambda y: y.data.add_(2)),
    "data.copy_": written(lambda y: y.data.copy_(y.flip(-1))),
    "data[...] =": written(lambda y: y.data.__setitem__((slice(None), 0), 3.0)),
    "data.view.mul_": written(lambda y: y.data.view(-1).mul_(3)),
    "out=data": written(lambda y: torch.mul(y, 5, out=y.data)),
    "relu_(data)": written(lambda y: torch.relu_(y.data)),
    "data =": written(lambda y: setattr(y, "data", y * 7)),
    "detach.mul_": written(lambda y: y.detach().mul_(2)),
    "detach[...] =": written(lambda y: y.detach().__setitem__((slice(None), 1), 3.0)),
    "data is read": lambda y: y + y.data.clone().mul_(2),
    "data is a view": lambda y: (lambda data: y.mul_(2) * 0 + data)(y.data),
    "detach is read": lambda y: y + y.detach(),
    "nothing is written": lambda y: y.detach(),
}


@pytest.mark.slow
def test_what_goes_past_autograd_is_exported_as_it_runs(tmp_path: Path) -> None:
    """torch's exporter ends the process at `y.data.mul_(2)`, and keeps constants of others."""
    model = Returning(lambda y, x: [form(y * 1) for form in PAST_AUTOGRAD.values()]).eval()
    report: Any = export_onnx(model, image(), tmp_path / "x.onnx")
    got = next(every_output(report.path, [[image(1).numpy()]]))
    with torch.no_grad():
        wanted = model(image(1))
    for name, one, other in zip(PAST_AUTOGRAD, got, wanted, strict=True):
        np.testing.assert_allclose(one, other.numpy(), atol=1e-5, err_msg=name)
    assert "forward" not in vars(model)


def test_a_network_that_changes_its_weights_is_refused_by_their_name(tmp_path: Path) -> None:
    class Growing(Returning):
        def forward(self, x: torch.Tensor) -> Any:
            self.conv.weight.data.mul_(2)
            return super().forward(x)

    with pytest.raises(CheckFailed, match=r"its forward pass changes conv\.weight, which a file cannot"):
        export_onnx(Growing(lambda y, x: y), image(), tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())
