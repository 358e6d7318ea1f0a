"""What lies in a tree of class folders: every file of it is an image, is left out for a stated reason, or is refused by name."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from blockzoo.core.errors import DataError

log = logging.getLogger(__name__)

SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .apng .bmp .dib .webp .gif .tif .tiff .ppm .pgm .pbm .pnm .avif .jp2".split()
)
"""Of images, in whatever case."""
NOTES = frozenset(".txt .md .rst .json .xml .csv .tsv .yaml .yml .html .mat .log".split())
"""Of what people write beside images: left out in silence."""
LITTER = frozenset(("thumbs.db", "desktop.ini", ".ds_store", "icon\r"))
"""Left by file managers, in lower case."""
SHOWN = 5  # faults named in an error


@dataclass
class Contents:
    """The images of a folder and all below it, and what else is there."""

    images: list[Path] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    hidden: list[Path] = field(default_factory=list)


def class_folders(folder: Path) -> list[str]:
    """Names of the folders directly in `folder`, sorted, without hidden ones: a class's label is its place."""
    return sorted(e.name for e in _entries(folder) if not _passed_over(e.name) and _is_folder(e))


def has_images(folder: Path, *, deep: bool = True) -> bool:
    """Whether `folder` holds an image: directly, or anywhere below with `deep`."""
    entries = _below(folder, Contents()) if deep else iter(_entries(folder))
    return any(is_image(e.name) and not _is_folder(e) for e in entries)


def images_of(folder: Path, names: Sequence[str]) -> list[list[Path]]:
    """The image files of each class, sorted; subfolders belong to their class.

    Raises:
        DataError: a file that is no image, a link that leads nowhere or in a circle, a class without images, images beside
            the class folders: all by name.
    """
    contents = [_walk(folder / name) for name in names]
    beside = [e.path for e in _entries(folder) if is_image(e.name) and not _is_folder(e)]
    faults = [f"{path} lies in no class folder" for path in beside]
    faults += [f"{e.path} is a link that leads nowhere" for e in _entries(folder) if _is_lost(e)]
    faults += [fault for one in contents for fault in one.faults]
    faults += [
        f"{folder / n} holds no image" for n, one in zip(names, contents, strict=True) if not one.images
    ]
    if faults:
        more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise DataError(f"{folder}: {'; '.join(faults[:SHOWN])}{more}. Move these away or replace them")
    left_out = [e.path for e in _entries(folder) if e.name.startswith(".") and _is_folder(e)]
    left_out += [str(path) for one in contents for path in one.hidden]
    tell_left_out("hidden", left_out)
    return [one.images for one in contents]


def tell_left_out(why: str, left_out: Sequence[str]) -> None:
    """Say which files and folders are not read."""
    if left_out:
        more = f" and {len(left_out) - SHOWN} more" if len(left_out) > SHOWN else ""
        _say(f"left out, being {why}: {', '.join(left_out[:SHOWN])}{more}")


def tell_lacking(folder: Path, classes: Sequence[str]) -> None:
    """Say that a part of a split has no image of these classes."""
    if classes:
        more = f" and {len(classes) - SHOWN} more" if len(classes) > SHOWN else ""
        _say(
            f"{folder} has no image of {', '.join(classes[:SHOWN])}{more}: its accuracies are of the other classes alone"
        )


def _walk(folder: Path) -> Contents:
    contents = Contents()
    for entry in sorted(_below(folder, contents), key=lambda e: Path(e.path).parts):
        path = Path(entry.path)
        suffix = path.suffix.lower()
        if entry.name.lower() in LITTER or entry.name.startswith("._"):
            continue
        if entry.name.startswith("."):
            contents.hidden.append(path)
        elif suffix in NOTES:
            continue
        elif _is_lost(entry):
            contents.faults.append(f"{path} is a link that leads nowhere")
        elif suffix not in SUFFIXES:
            contents.faults.append(f"{path} is no image by its name")
        elif not entry.is_file():
            contents.faults.append(f"{path} is no file")
        else:
            contents.images.append(path)
    return contents


def _below(folder: Path, contents: Contents, above: tuple[str, ...] = ()) -> Iterator[os.DirEntry[str]]:
    """Everything in a folder and below it that is no folder; links are followed, circles are faults."""
    place = os.path.realpath(folder)
    if place in above:
        contents.faults.append(f"{folder} is a link in a circle")
        return
    for entry in _entries(folder):
        if not _is_folder(entry):
            yield entry
        elif entry.name == "__MACOSX":
            continue
        elif entry.name.startswith("."):
            contents.hidden.append(Path(entry.path))
        else:
            yield from _below(Path(entry.path), contents, (*above, place))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}") from error


def is_image(name: str) -> bool:
    """Whether a file is an image by its name."""
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES


@cache
def _say(sentence: str) -> None:
    """Once a process, however often the tree is read."""
    log.warning(sentence)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return Path(entry).is_dir() if entry.is_symlink() else entry.is_dir()  # a link may lead to itself


def _is_lost(entry: os.DirEntry[str]) -> bool:
    return not _passed_over(entry.name) and entry.is_symlink() and not Path(entry).exists()


def _passed_over(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
