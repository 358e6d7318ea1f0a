"""A zlib stream, inflated piece by piece into memory that somebody else has set aside."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from types import ModuleType

from blockzoo.nas.files.errors import DamagedFile

PIECE_BYTES = 1 << 21
INPUT_BYTES = 1 << 16


def inflater() -> ModuleType:
    """isal's zlib where it is installed (2 to 4 times as fast), else the standard one."""
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib
    return isal_zlib


class Inflated:
    """Inflates a payload piece by piece."""

    def __init__(self, payload: memoryview) -> None:
        self._payload, self._at, self.size = payload, 0, len(payload)
        self._inflate = inflater().decompressobj()
        self._ahead = b""
        self._pieces = self._inflated()

    def _inflated(self) -> Iterator[bytes]:
        waiting: bytes | memoryview = b""
        try:
            while not self._inflate.eof:
                if not waiting:
                    waiting = self._payload[self._at : self._at + INPUT_BYTES]
                    self._at += len(waiting)
                    if not waiting:
                        raise DamagedFile("its compressed part ends too early: it is truncated")
                yield self._inflate.decompress(waiting, PIECE_BYTES)
                waiting = self._inflate.unconsumed_tail
        except Exception as error:
            if isinstance(error, DamagedFile):
                raise
            raise DamagedFile(f"its compressed part is damaged: {error}") from None

    def peek(self, size: int) -> bytes:
        """Up to `size` bytes, fewer at the end, which `take` returns again."""
        while len(self._ahead) < size and (piece := next(self._pieces, None)) is not None:
            self._ahead += piece
        return self._ahead[:size]

    def take(self, size: int) -> bytes:
        """Exactly `size` bytes."""
        buffer = bytearray(size)
        self.fill(memoryview(buffer))
        return bytes(buffer)

    def fill(self, target: memoryview) -> None:
        """Inflate exactly as many bytes as `target` holds into it."""
        at = 0
        while at < len(target):
            piece = self._ahead or next(self._pieces, None)
            if piece is None:
                raise DamagedFile(f"it ends {len(target) - at:,} bytes or more before its last row")
            part = memoryview(piece)[: len(target) - at]
            target[at : at + len(part)] = part
            at += len(part)
            self._ahead = piece[len(part) :]

    def rest(self, most: int) -> bytearray:
        """All that is left, at most `most` bytes."""
        whole = bytearray(self._ahead)
        self._ahead = b""
        for piece in self._pieces:
            whole += piece
            if len(whole) > most:
                raise DamagedFile("it holds more bytes than its rows can take")
        return whole

    def expect_end(self) -> None:
        """Nothing but the checksum may follow."""
        if self._ahead or any(self._pieces):
            raise DamagedFile("bytes follow its last row")
        if self._inflate.unused_data or self._at < len(self._payload):
            raise DamagedFile("bytes follow its compressed part")
