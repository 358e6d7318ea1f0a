"""A folder that `export-records` or `export` made, to the Hugging Face Hub: what would be public is listed before it is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from blockzoo.core.checksums import file_digest
from blockzoo.core.errors import UsageError
from blockzoo.core.extras import needed
from blockzoo.publish import citation, croissant, schema_file

Kind = Literal["dataset", "model"]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
PERSONAL = ("experiment_name", "notes", "submitted_by", "block", "subject", "spec_json", "env_arithmetic")
"""Columns of texts that people have written."""
CARD, CONFIG = "README.md", "config.json"
"""Of a data set or a model, and of a model."""
TEXTS: Mapping[Kind, tuple[str, ...]] = {
    "dataset": (CARD, schema_file.FILE, croissant.FILE, citation.FILE),
    "model": (CARD, CONFIG),
}
"""What is sent beside the files whose digests the schema or the configuration has."""
SHOWN = 5


@dataclass(frozen=True)
class Plan:
    """What would be sent.

    Args:
        repository: OWNER/NAME on the Hub.
        kind: of it.
        folder: whose files they are.
        files: names and sizes in bytes.
        public: whether anybody could read them.
    """

    repository: str
    kind: Kind
    folder: Path
    files: Sequence[tuple[str, int]]
    public: bool

    @property
    def address(self) -> str:
        """Where they would lie."""
        return f"https://huggingface.co/{'datasets/' * (self.kind == 'dataset')}{self.repository}"

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(size for _, size in self.files)


def planned(folder: str | Path, repository: str, *, public: bool) -> Plan:
    """What a push would send: the files that the export wrote, as it wrote them. Sends nothing and asks for nothing.

    Raises:
        UsageError: no such folder, one that blockzoo did not make, one with links, hidden or other files, or whose files are
            others than its export wrote; no name of a repository.
    """
    place = Path(folder)
    if not NAME.fullmatch(repository):
        raise UsageError(f"repository {repository!r}: write it as OWNER/NAME, as on the Hub")
    if not place.is_dir():
        raise UsageError(f"there is no folder {place}; blockzoo export-records makes one")
    kind: Kind | None = (
        "dataset" if (place / schema_file.FILE).is_file() else "model" if (place / CONFIG).is_file() else None
    )
    if kind is None or not (place / CARD).is_file():
        raise UsageError(
            f"{place} holds neither a data set nor a model of blockzoo's, with its card; it is not sent"
        )
    paths = sorted(path for path in place.rglob("*") if not path.is_dir() or path.is_symlink())
    for path in paths:
        own = path.relative_to(place)
        if path.is_symlink() or any(part.startswith(".") for part in own.parts):
            raise UsageError(f"{path} is a link or hidden: nothing is sent as long as it is there")
    names = [path.relative_to(place).as_posix() for path in paths]
    digests = _digests(place, kind)
    if others := [name for name in names if name not in digests and name not in TEXTS[kind]]:
        raise UsageError(
            f"{place} has files that its export did not write, which are not sent: {_listed(others)}; move them elsewhere, or "
            "export into an empty folder"
        )
    if changed := [n for n, digest in digests.items() if n not in names or file_digest(place / n) != digest]:
        raise UsageError(
            f"{place}: {_listed(changed)} is not there, or not as it was exported; export it again, into an empty folder"
        )
    sizes = [path.stat().st_size for path in paths]
    return Plan(repository, kind, place, list(zip(names, sizes, strict=True)), public)


def _digests(place: Path, kind: Kind) -> dict[str, str]:
    """Names and SHA-256 of the files that hold the data or the weights, as the export wrote them down."""
    path = place / (schema_file.FILE if kind == "dataset" else CONFIG)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        files = document["tables"] if kind == "dataset" else [document]
        return {str(file["file"]): str(file["sha256"]) for file in files}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} does not say which files were exported ({type(error).__name__}: {error}); export again"
        ) from None


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def push(plan: Plan) -> str:
    """Send the files that were planned and no others; the address of the commit. Who sends is known to the Hub's own login.

    Raises:
        UsageError: huggingface_hub is not installed, or the Hub refuses.
    """
    hub = needed("huggingface_hub", "hub", "uploads to the Hugging Face Hub")
    api = hub.HfApi()
    try:
        api.create_repo(plan.repository, repo_type=plan.kind, private=not plan.public, exist_ok=True)
        commit = api.upload_folder(
            repo_id=plan.repository,
            repo_type=plan.kind,
            folder_path=str(plan.folder),
            allow_patterns=[name for name, _ in plan.files],
            commit_message="Results of blockzoo",
        )
    except (hub.errors.HfHubHTTPError, OSError, ValueError) as error:
        raise UsageError(
            f"the Hub does not take {plan.repository}: {error}; `hf auth login` says who you are"
        ) from error
    return str(getattr(commit, "commit_url", None) or plan.address)
