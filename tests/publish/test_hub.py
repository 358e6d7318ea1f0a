"""What is sent to the Hub: exactly what was listed, and nothing where it is only listed."""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from blockzoo.cli import main
from blockzoo.core.errors import UsageError
from blockzoo.publish.folder import export_results
from blockzoo.publish.hub import PERSONAL, planned, push
from tests.publish.made_up import stored, trial


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("hub")
    stored(place / "results", trial())
    export_results(place / "results", place / "dataset")
    return place / "dataset"


def without_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)


def test_a_dry_run_lists_every_file_and_sends_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_the_hub(monkeypatch)
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("it asks"))
    words = ["push", str(folder), "somebody/results", "--dry-run", "--public"]
    assert main([*words, "--format", "json"]) == 0
    listed = {row["file"]: row["bytes"] for row in json.loads(capsys.readouterr().out)}
    assert listed == {path.name: path.stat().st_size for path in folder.iterdir()}
    assert main(words) == 0
    said = capsys.readouterr().out
    assert (
        "would be sent to https://huggingface.co/datasets/somebody/results (anybody could read it)"
        in " ".join(said.split())
    )
    assert all(name in said for name in PERSONAL)
    schema = json.loads((folder / "results-schema.json").read_text())
    known = {column["name"] for table in schema["tables"] for column in table["columns"]}
    assert set(PERSONAL) - {"env_arithmetic"} <= known


def test_without_the_package_it_says_which_extra(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_the_hub(monkeypatch)
    assert main(["push", str(folder), "somebody/results"]) == 2
    said = capsys.readouterr().err
    assert "need huggingface_hub, which is not installed: pip install" in said and "[hub]'" in said


class Refused(Exception):
    """As the Hub's own error."""


def fake(calls: list[tuple[str, dict[str, Any]]], *, refuses: bool = False) -> ModuleType:
    class Api:
        def create_repo(self, name: str, **how: Any) -> None:
            if refuses:
                raise Refused("401")
            calls.append((name, how))

        def upload_folder(self, **how: Any) -> Any:
            calls.append(("upload", how))
            return SimpleNamespace(commit_url="https://huggingface.co/commit/1")

    module = ModuleType("huggingface_hub")
    module.HfApi, module.errors = Api, SimpleNamespace(HfHubHTTPError=Refused)  # type: ignore[attr-defined]
    return module


def test_what_was_listed_is_sent_and_private(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake(calls))
    plan = planned(folder, "somebody/results", public=False)
    assert push(plan) == "https://huggingface.co/commit/1"
    (name, made), (_, sent) = calls
    assert (name, made["private"], made["repo_type"]) == ("somebody/results", True, "dataset")
    assert sent["allow_patterns"] == sorted(path.name for path in folder.iterdir())
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake(calls, refuses=True))
    with pytest.raises(UsageError, match="hf auth login"):
        push(plan)


def test_the_real_client_has_what_is_called() -> None:
    hub = pytest.importorskip("huggingface_hub")
    import inspect

    names = set(inspect.signature(hub.HfApi.upload_folder).parameters)
    assert {"repo_id", "repo_type", "folder_path", "allow_patterns", "commit_message"} <= names
    assert {"repo_type", "private", "exist_ok"} <= set(inspect.signature(hub.HfApi.create_repo).parameters)
    assert issubclass(importlib.import_module("huggingface_hub.errors").HfHubHTTPError, Exception)


def test_what_is_not_ours_is_not_sent(folder: Path, tmp_path: Path) -> None:
    for wrong in ("results", "a/b/c", "../x/y", "-a/b", "a/b c"):
        with pytest.raises(UsageError, match="OWNER/NAME"):
            planned(folder, wrong, public=False)
    with pytest.raises(UsageError, match="neither a data set nor a model"):
        planned(tmp_path, "a/b", public=False)
    with pytest.raises(UsageError, match="there is no folder"):
        planned(tmp_path / "none", "a/b", public=False)
    (tmp_path / "README.md").write_text("x")
    (tmp_path / "results-schema.json").write_text('{"tables": []}')
    assert planned(tmp_path, "a/b", public=False).size == 15
    (tmp_path / ".env").write_text("secret")
    with pytest.raises(UsageError, match="hidden"):
        planned(tmp_path, "a/b", public=False)
    (tmp_path / ".env").unlink()
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(UsageError, match="a link"):
        planned(tmp_path, "a/b", public=False)


def test_what_the_export_did_not_write_is_not_sent(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "dataset"
    shutil.copytree(folder, place)
    (place / "results-timm.csv").write_text("of another export")
    with pytest.raises(UsageError, match=r"results-timm\.csv; move them elsewhere"):
        planned(place, "a/b", public=False)
    (place / "results-timm.csv").unlink()
    assert planned(place, "a/b", public=False).files
    (place / "trials.parquet").write_bytes(b"altered")
    (place / "curves.parquet").unlink()
    with pytest.raises(
        UsageError, match=r"trials\.parquet, curves\.parquet is not there, or not as it was exported"
    ):
        planned(place, "a/b", public=False)
    (place / "results-schema.json").write_text("[]")
    with pytest.raises(UsageError, match="does not say which files were exported"):
        planned(place, "a/b", public=False)


def test_a_model_is_the_file_of_its_configuration(tmp_path: Path) -> None:
    weights, digest = b"weights", hashlib.sha256(b"weights").hexdigest()
    (tmp_path / "model.pth").write_bytes(weights)
    (tmp_path / "README.md").write_text("a card")
    (tmp_path / "config.json").write_text(json.dumps({"file": "model.pth", "sha256": digest}))
    sent = [name for name, _ in planned(tmp_path, "a/b", public=False).files]
    assert sent == ["README.md", "config.json", "model.pth"]
    (tmp_path / "model.safetensors").write_bytes(b"of another network")
    with pytest.raises(UsageError, match=r"model\.safetensors; move them elsewhere"):
        planned(tmp_path, "a/b", public=False)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "config.json").write_text(json.dumps({"file": "model.pth", "sha256": "0" * 64}))
    with pytest.raises(UsageError, match="not as it was exported"):
        planned(tmp_path, "a/b", public=False)
    (tmp_path / "config.json").write_text(json.dumps({"file": "../model.pth", "sha256": digest}))
    with pytest.raises(UsageError, match=r"model\.pth; move them"):
        planned(tmp_path, "a/b", public=False)
