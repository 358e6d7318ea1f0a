"""One image file as 8-bit RGB pixels, read rightly or refused by name."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from blockzoo.core.documents import first_line
from blockzoo.core.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

DEEP = ("I;16", "I;16L", "I;16B", "I;16N")
"""Pillow's modes of one channel with 16 bits."""
DEEP_AS_32_BITS = ("PNG", "PPM")
"""Formats whose 16-bit greys Pillow hands out as 32-bit numbers (PNG before version 11)."""
FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Pillow's names of what images in files of the suffixes in `trees` can be."""
MOST_PIXELS = 1 << 26
"""Of one image: 192 MiB once it is decoded, however few bytes its file has."""
SEQUENCES = ("AVIF", "GIF", "PNG", "TIFF", "WEBP")
"""Formats that can hold several pictures; in an MPO of a camera the others only go with the first."""
BITS_PER_SAMPLE, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0  # of TIFF


def opened(
    source: Path | str | IO[bytes],
    name: str,
    formats: tuple[str, ...] = FORMATS,
    size: tuple[int, int] | None = None,
) -> Image:
    """The picture of a file, decoded: mode RGB, 8 bits a channel, without transparency, as torchvision's loader gives it.

    Of 16 bits the upper eight are kept, as PNG readers do when they reduce a depth; Pillow's own conversion saturates at 255.

    Args:
        source: the file.
        name: of it, for the error.
        formats: Pillow's names of those that may be in it. Others are not tried: some of Pillow's run programs.
        size: width and height that it must have.

    Raises:
        DataError: not a whole picture, more than 67 million pixels, another size, several pictures in one file, or numbers
            whose black and white nothing tells. Sizes are looked at before a pixel is decoded.
    """
    from PIL import Image, UnidentifiedImageError

    Image.init()  # else only the commonest formats are known
    supported = [form for form in formats if form in Image.OPEN]
    try:
        if isinstance(
            source, str | Path
        ):  # in memory: a read of more than there is takes no more than there is
            source = io.BytesIO(Path(source).read_bytes())
        with Image.open(source, formats=supported) as image:
            width, height = image.size
            if size is not None and image.size != size:
                raise DataError(f"{name} ({width}x{height} pixels, not {size[0]}x{size[1]})")
            if width * height > MOST_PIXELS:
                raise DataError(f"{name} ({width:,}x{height:,} pixels: {MOST_PIXELS:,} at most are decoded)")
            frames = getattr(image, "n_frames", 1)
            if frames > 1 and image.format in SEQUENCES:
                raise DataError(f"{name} ({frames} pictures in one file: keep one)")
            return _eight_bits(image, name)
    except DataError:
        raise
    except (
        OSError,
        SyntaxError,
        TypeError,
        ValueError,
        EOFError,
        Image.DecompressionBombError,
    ) as error:  # Pillow raises all of these on damage
        what = "no image" if isinstance(error, UnidentifiedImageError) else first_line(error)
        raise DataError(f"{name} ({what})") from error


def _eight_bits(image: Image, name: str) -> Image:
    """RGB of an opened image."""
    from PIL import Image

    if image.mode[0] not in "IF":
        return image.convert("RGB")
    deep = image.mode in DEEP or (image.mode == "I" and image.format in DEEP_AS_32_BITS)
    tags = getattr(image, "tag_v2", {})
    if not deep or tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        raise DataError(f"{name} (pixels of mode {image.mode}: save it with 8 bits a channel)")
    bits = tags.get(BITS_PER_SAMPLE, (16,))[0]
    grey = (np.asarray(image).astype(np.uint32) >> (bits - 8)).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")
