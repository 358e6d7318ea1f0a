"""The published release: where it is, under which licence, and whether files at hand are it."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from blockzoo.core.checksums import file_digest
from blockzoo.core.documents import decoded
from blockzoo.core.errors import DataError
from blockzoo.core.files import write_atomically, write_text
from blockzoo.nas.files.errors import DamagedFile
from blockzoo.nas.files.folder import part_of
from blockzoo.nas.files.io import read_dataset_file

RELEASES = "https://github.com/SamsungLabs/blox/releases"
LICENCE = (
    "CC BY-NC 4.0 (https://creativecommons.org/licenses/by-nc/4.0/): name the authors, no commercial use"
)
PAPER = "Chau et al., BLOX: Macro Neural Architecture Search Benchmark and Algorithms, NeurIPS 2022 Datasets and Benchmarks"
SUMS = "SHA256SUMS"
NETWORKS = 91_125
EXPLANATION = f"""Nothing is downloaded: this command copies files that you have, and checks sizes and checksums.
In the package are 300 networks that this project trained (mini), and a model fitted to them (mini-surrogate); the published
trainings are not.

The published benchmark: 91,125 networks trained on CIFAR-100 for 200 epochs.
  where     {RELEASES}
  licence   {LICENCE}
  paper     {PAPER}
  files     blox-base-0, blox-ext-0, blox-env-0, blox-info, blox-bench-DEVICE; .blox is the smallest and the fastest to read
  versions  the first release fed x + x to the first operation of each cell (with_doubled_input(build(...))); the present one x
Put the files into one folder (or name a mirror: blockzoo nas download RELEASE --mirror FOLDER), then from_folder(RELEASE)."""


@dataclass(frozen=True)
class ReleaseFile:
    """One file of a release folder: its size, its checksum, and what is wrong with it."""

    path: Path
    size: int
    sha256: str
    faults: list[str]


def fetch(target: Path, mirror: Path) -> list[Path]:
    """Copy the dataset files of a local mirror that `target` does not have; each appears whole or not at all.

    Raises:
        DataError: the mirror has none.
        StoreError: the disk is full, or the folder cannot be written.
    """
    sources = [path for path in sorted(mirror.iterdir()) if part_of(path)] if mirror.is_dir() else []
    if not sources:
        raise DataError(f"{mirror}: no dataset file blox-*.* in it")
    target.mkdir(parents=True, exist_ok=True)
    copied = []
    for source in [*sources, *([mirror / SUMS] if (mirror / SUMS).is_file() else [])]:
        path = target / source.name
        if not path.exists() or path.stat().st_size != source.stat().st_size:
            write_atomically(path, partial(shutil.copyfile, source))
            copied.append(path)
    return copied


def check(folder: Path) -> list[ReleaseFile]:
    """Size, checksum and soundness of every dataset file of a folder.

    Checksums are compared with `SHA256SUMS` in the folder; where there is none it is written, so that later changes show.
    Pickles are summed, never opened.
    """
    sums = folder / SUMS
    checksums = known_sums(sums)
    checked = []
    for path in sorted(folder.iterdir()):
        if not part_of(path):
            continue
        digest = file_digest(path)
        faults = []
        if path.name in checksums and checksums[path.name] != digest:
            faults.append(f"its checksum is not that of {SUMS}: it was altered or is incomplete")
        if path.suffix != ".pickle":
            try:
                header, table = read_dataset_file(path)
                if (
                    header.get("dataset") == "cifar100"
                    and header.get("epochs") == 200
                    and table.num_rows != NETWORKS
                ):
                    faults.append(f"{table.num_rows:,} networks, where the release has {NETWORKS:,}")
            except (DataError, DamagedFile) as error:
                faults.append(str(error).removeprefix(f"{path}: "))
        checked.append(ReleaseFile(path, path.stat().st_size, digest, faults))
    if checked and not checksums:
        write_text(sums, "".join(f"{f.sha256}  {f.path.name}\n" for f in checked))
    return checked


def known_sums(path: Path) -> dict[str, str]:
    """The checksums that a file in the form of `sha256sum` states, by name; none without a file.

    Raises:
        DataError: a line is something else.
    """
    try:
        text = decoded(path.read_bytes(), str(path))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    checksums = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = re.fullmatch(r"([0-9a-fA-F]{64})[ *]+(\S.*)", line)
        if match and match[2] not in checksums:
            checksums[match[2]] = match[1].lower()
        elif line.strip():
            raise DataError(
                f"{path}: line {number} is no checksum with a name of its own; delete the file to write it anew"
            )
    return checksums
