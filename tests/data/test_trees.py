"""Files of every kind in a tree of class folders, against torchvision's own walk, NumPy's own arithmetic and raw PNG chunks."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, features
from torchvision.datasets import ImageFolder

from blockzoo.core.errors import DataError
from blockzoo.data import load_dataset
from blockzoo.data.decoding import opened
from blockzoo.data.trees import class_folders, images_of

DEEP = np.linspace(0, 65535, 24 * 24).round().astype(np.uint16).reshape(24, 24)


def png(path: Path, values: np.ndarray) -> None:
    """A PNG of 16 bits a channel, (H, W) grey or (H, W, 3) colour, written chunk by chunk."""
    height, width = values.shape[:2]

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 0 if values.ndim == 2 else 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def plain(path: Path, grey: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 12), (grey,) * 3).save(path, (path.suffix.lower() == ".jfif" and "JPEG") or None)


def test_sixteen_bits_keep_their_upper_eight(tmp_path: Path) -> None:
    png(tmp_path / "grey.png", DEEP)
    Image.fromarray(DEEP).save(tmp_path / "grey.tif")
    (tmp_path / "grey.pgm").write_bytes(b"P5 24 24 65535\n" + DEEP.astype(">u2").tobytes())
    for name in ("grey.png", "grey.tif", "grey.pgm"):
        pixels = np.asarray(opened(tmp_path / name, name))
        assert pixels.shape == (24, 24, 3) and (pixels == (DEEP >> 8)[:, :, None]).all(), name
    colour = np.stack([DEEP, DEEP[::-1], DEEP.T], 2)
    png(tmp_path / "colour.png", colour)
    assert (np.asarray(opened(tmp_path / "colour.png", "")) == colour >> 8).all()


def test_eight_bits_are_as_pillow_and_torchvision_have_them(tmp_path: Path) -> None:
    from torchvision.datasets.folder import default_loader

    pixels = np.random.default_rng(0).integers(0, 256, (9, 11, 4), np.uint8)
    for mode in ("RGB", "L", "RGBA", "P", "1", "LA", "CMYK"):
        path = tmp_path / f"{mode}.tif"
        Image.fromarray(pixels).convert("RGB" if mode in ("P", "CMYK") else "RGBA").convert(mode).save(path)
        assert np.array_equal(np.asarray(opened(path, mode)), np.asarray(default_loader(path))), mode


@pytest.mark.parametrize("kind", ["float", "32 bits", "frames", "film", "pages", "torn", "text", "empty"])
def test_what_cannot_be_read_rightly_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    path = tmp_path / {"frames": "x.gif", "film": "x.avif", "torn": "x.png"}.get(kind, "x.tif")
    frames = [Image.new("L", (4, 4), grey) for grey in (0, 200)]
    if kind == "float":
        Image.fromarray(np.full((4, 4), 0.5, np.float32)).save(path)
    elif kind == "32 bits":
        Image.fromarray(np.full((4, 4), 70000, np.int32)).save(path)
    elif kind in ("frames", "film", "pages"):
        if kind == "film" and not features.check("avif"):
            pytest.skip("this Pillow has no AVIF")
        frames[0].save(path, save_all=True, append_images=frames[1:])
    elif kind == "torn":
        png(path, DEEP)
        path.write_bytes(path.read_bytes()[:-40])
    else:
        path.write_text("no image" if kind == "text" else "")
    with pytest.raises(DataError, match=path.name):
        opened(path, str(path))


def kinds(root: Path) -> None:
    """A tree as people have it: two classes, every suffix, subfolders, links, litter."""
    for n, suffix in enumerate(
        ("JPG", "jpeg", "png", "PNG", "tif", "TIFF", "gif", "jfif", "bmp", "webp", "ppm")
    ):
        plain(root / "cat" / f"{n}.{suffix}", 10 + n)
    plain(root / "dog" / "2021" / "june" / "a.png")
    plain(root / "dog" / "2022" / "a.PNG")
    (root / "dog" / "b.png").symlink_to(root / "dog" / "2022" / "a.PNG")
    (root / "dog" / "more").symlink_to(root / "cat")
    for litter in (
        "cat/._1.jpeg",
        "cat/.DS_Store",
        "dog/Thumbs.db",
        "__MACOSX/cat/._1.jpeg",
        "dog/notes.txt",
    ):
        (root / litter).parent.mkdir(parents=True, exist_ok=True)
        (root / litter).write_bytes(b"\0\5\26\7")


def test_every_image_is_found_as_torchvision_finds_it(tmp_path: Path) -> None:
    kinds(tmp_path / "train")
    names = class_folders(tmp_path / "train")
    by_class = images_of(tmp_path / "train", names)
    ours = {(str(path), label) for label, paths in enumerate(by_class) for path in paths}
    (tmp_path / "train" / "__MACOSX" / "cat" / "._1.jpeg").unlink()  # torchvision would take it for an image
    (tmp_path / "train" / "__MACOSX" / "cat").rmdir()
    (tmp_path / "train" / "__MACOSX").rmdir()
    readable = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".gif", ".jfif", ".bmp", ".webp", ".ppm")
    theirs = ImageFolder(
        str(tmp_path / "train"), is_valid_file=lambda p: p.lower().endswith(readable) and "/._" not in p
    )
    assert names == theirs.classes and ours == set(theirs.samples) and len(ours) == 11 + 3 + 11


@pytest.mark.parametrize("images", ["resident", "stream"])
def test_a_tree_of_all_kinds_is_read_whole(tmp_path: Path, images: str) -> None:
    for part in ("train", "val", "test"):
        kinds(tmp_path / part)
        png(tmp_path / part / "cat" / "deep.png", np.full((12, 12), 0x8000, np.uint16))
    data = load_dataset("folder", tmp_path, image_size=8, images=images)
    assert [len(split.labels) for split in (data.train, data.val, data.test)] == [27, 27, 27]
    seen = torch.from_numpy(data.seen(data.test.images))
    pixels = seen * torch.tensor(data.std)[:, None, None] + torch.tensor(data.mean)[:, None, None]
    first = (
        (255 * pixels[:, 0, 0, 0]).round().int().tolist()
    )  # in the order of names: 0.JPG 1.jpeg 10.ppm 2.png ...
    assert first[:12] == [10, 11, 20, 12, 13, 14, 15, 16, 17, 18, 19, 0x80]


BROKEN = {
    "a link that leads nowhere": lambda root: (root / "cat" / "x.png").symlink_to(root / "gone.png"),
    "a class that leads nowhere": lambda root: (root / "gnu").symlink_to(root / "gone"),
    "a link to itself": lambda root: (root / "cat" / "x.png").symlink_to(root / "cat" / "x.png"),
    "a circle": lambda root: (root / "cat" / "again").symlink_to(root / "cat"),
    "an unknown suffix": lambda root: (root / "cat" / "x.heic").write_bytes(b"ftypheic"),
    "no suffix": lambda root: (root / "cat" / "x").write_bytes(b"\xff\xd8"),
    "an archive": lambda root: (root / "cat" / "x.zip").write_bytes(b"PK"),
    "an image in no class": lambda root: plain(root / "x.png"),
}


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("images", ["resident", "stream"])
@pytest.mark.parametrize("bare", [False, True])
def test_what_is_no_image_is_refused_by_name(tmp_path: Path, what: str, images: str, bare: bool) -> None:
    root = tmp_path / "tree"
    folder = root if bare else root / "train"
    for n in range(5):
        plain(folder / "cat" / f"{n}.png")
    if not bare:
        plain(root / "val" / "cat" / "0.png")
    BROKEN[what](folder)
    with pytest.raises(
        DataError, match="again" if what == "a circle" else "gnu" if "class that" in what else r"x(\.|\b)"
    ):
        load_dataset("folder", root, images=images)


def test_loose_images_of_a_split_are_refused_and_what_is_left_out_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for n in range(5):
        plain(tmp_path / "train" / "cat" / f"{n}.png")
    for place in ("train/cat/.hidden.png", "train/.checkpoints/a.png", "val/cat/0.png", "val/gnu/notes.txt"):
        if place.endswith("png"):
            plain(tmp_path / place)
        else:
            (tmp_path / place).parent.mkdir()
            (tmp_path / place).write_text("")
    assert len(load_dataset("folder", tmp_path, image_size=8).train.labels) == 4
    for name in (".hidden.png", ".checkpoints", "val/gnu"):
        assert name in caplog.text
    plain(tmp_path / "test" / "1.png")
    with pytest.raises(DataError, match=r"test/1\.png lies in no class folder"):
        load_dataset("folder", tmp_path)
    (tmp_path / "train" / "dog").mkdir()
    with pytest.raises(DataError, match="dog holds no image"):
        load_dataset("folder", tmp_path)
