"""Public names that load on first use: each leads where its module has it, and none is missing from `dir`."""

from __future__ import annotations

import importlib

import pytest

PACKAGES = ["blockzoo", "blockzoo.nas", "blockzoo.blockwise", "blockzoo.tiling"]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_there_and_listed(package: str) -> None:
    module = importlib.import_module(package)
    for name in module.__all__:
        getattr(module, name)  # raises where its module has no such name
    assert set(module.__all__) - {"__version__"} == set(dir(module)) and dir(module) == sorted(dir(module))


@pytest.mark.parametrize("package", PACKAGES)
def test_an_unknown_name_is_an_attribute_error(package: str) -> None:
    with pytest.raises(AttributeError, match="nothing_of_that_name"):
        importlib.import_module(package).nothing_of_that_name  # noqa: B018
