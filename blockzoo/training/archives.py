"""Files that torch saved, read within bounds: what they hold is verified, plain, and no larger than they are.

`torch.load` with `weights_only=True` runs no code, but it compares no checksum, and a tensor of stride 0 or a byte array of any
size needs no byte of the file. Here the CRC-32 of every record is compared first, only what weights and optimisers consist of
may be named, and tensors are counted at the size they would have when they are used.
"""

from __future__ import annotations

import io
import pickletools
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from blockzoo.core.bounds import allowance, check_room
from blockzoo.core.documents import first_line
from blockzoo.core.errors import DataError
from blockzoo.core.said import say_once

MULTIPLE = 4
"""Times the size of a file that its tensors may take: several layers may share their weights."""
ARCHIVE = b"PK\x03\x04"
PLAIN = re.compile(
    r"collections (OrderedDict|Counter|defaultdict)|torch (Size|device|Tensor|[a-z]+\d+\w*|bool|[A-Z]\w*Storage)|"
    r"torch\.nn\.parameter Parameter|torch\._tensor _rebuild_from_type_v2|torch\.storage (Typed|Untyped)Storage|"
    r"torch\._utils _rebuild_(tensor|tensor_v2|parameter|parameter_with_state)|"
    r"torch\.serialization _get_layout|(__builtin__|builtins) (set|complex|dict|list|int|float|str)|_codecs encode"
)
"""What a saved file may name, as `module name`: each makes no more of its arguments than they are."""
LEGACY_PICKLES = 5
"""At the start of a file from before torch 1.6: two numbers, the system, what was saved, the names of its storages."""


def read_saved(path: Path, classes: Sequence[type] = ()) -> Any:
    """What `torch.save` wrote, on the CPU.

    Args:
        path: of the file.
        classes: others that it may name; to make one runs none of the file's code.

    Raises:
        DataError: damaged, or it holds what weights do not need, or more than its size allows; it names the file.
        Exception: whatever `torch.load` raises of content that it does not take.
    """
    named = {f"{c.__module__} {c.__name__}" for c in classes}
    with path.open("rb") as file:
        is_archive = file.read(len(ARCHIVE)) == ARCHIVE  # as torch tells them apart
    source: Path | io.BytesIO = path
    if is_archive:
        source = _checked_archive(path, named)
    else:
        _check_legacy(path, named)
        say_once(f"{path} is unverified: torch before 1.6 wrote no checksums; save it again")
    with torch.serialization.safe_globals(list(classes)):
        content = torch.load(source, map_location="cpu", weights_only=True)
    check_tensors(content, path)
    return content


def check_tensors(content: object, path: Path) -> None:
    """Refuse tensors that are not in memory as they are, or that take more than the file's size allows.

    Raises:
        DataError: see there.
    """
    total, seen, waiting = 0, set[int](), [content]
    while waiting:
        part = waiting.pop()
        if isinstance(part, torch.Tensor):
            if (
                part.layout != torch.strided
                or part.device.type != "cpu"
                or part.is_quantized
                or part.is_nested
            ):
                raise DataError(
                    f"{path} holds a tensor that is sparse, quantised or on no device: save dense ones"
                )
            total += part.numel() * part.element_size()
        elif isinstance(part, Mapping | list | tuple | set) and id(part) not in seen:
            seen.add(id(part))
            waiting.extend([*part, *part.values()] if isinstance(part, Mapping) else part)
    check_room(
        total,
        allowance(path.stat().st_size, multiple=MULTIPLE),
        f"{path}: its tensors, each at its full size,",
    )


def _checked_archive(path: Path, named: set[str]) -> io.BytesIO:
    """The records of an archive, each compared with its checksum, in an archive of ours.

    torch's reader follows a damaged directory to other places than Python's: what was verified is then not what it reads.
    """
    buffer = io.BytesIO()
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
            names = [record.filename for record in records]
            if any(r.compress_type != zipfile.ZIP_STORED or r.compress_size != r.file_size for r in records):
                raise DataError(f"{path} holds compressed records, which torch does not write: save it again")
            if len(set(names)) != len(names) or sum(r.file_size for r in records) > path.stat().st_size:
                raise DataError(f"{path} holds records twice, or records that overlap: get it again")
            if min((r.header_offset for r in records), default=0) > 0:
                raise DataError(f"{path} holds something before its records: get it again")
            with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as copy:
                for record in records:
                    content = archive.read(record)  # compares the checksum
                    if record.filename.endswith("/data.pkl"):
                        _check_names(content, path, named)
                    copy.writestr(record.filename, content)
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{path} is damaged ({first_line(error)}): get it again, or delete it to start anew"
        ) from None
    buffer.seek(0)
    return buffer


def _check_legacy(path: Path, named: set[str]) -> None:
    try:
        with path.open("rb") as file:
            for _ in range(LEGACY_PICKLES):
                _check_names(file, path, named)
    except DataError:
        raise
    except Exception as error:  # whatever damaged bytes raise
        raise DataError(
            f"{path} is not a checkpoint ({first_line(error)}): get it again, or delete it to start anew"
        ) from None


def _check_names(content: Any, path: Path, named: set[str]) -> None:
    for code, argument, _ in pickletools.genops(content):
        if code.name == "GLOBAL" and not (PLAIN.fullmatch(str(argument)) or argument in named):
            raise DataError(
                f"checkpoint {path} holds more than tensors and plain values and is refused: reading it could run code "
                f"({first_line(argument)}); where you trust it, save its state_dict alone, best as .safetensors"
            )
