"""Read Qt binary resource files (`.rcc`, versions 1 to 3), which some packages keep their sounds in."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

DIRECTORY, ZLIB, ZSTD = 2, 1, 4


def entries(data: bytes) -> Iterator[tuple[str, bytes]]:
    """(path, content) of every file; ValueError for another format. Zstandard entries are left out."""
    if data[:4] != b"qres":
        raise ValueError("not a Qt resource file")
    version, tree, body, names = struct.unpack_from(">4i", data, 4)
    size = 22 if version >= 2 else 14

    def name(offset: int) -> str:
        length = struct.unpack_from(">H", data, names + offset)[0]
        start = names + offset + 6
        return data[start : start + 2 * length].decode("utf-16-be")

    def walk(index: int, path: str) -> Iterator[tuple[str, bytes]]:
        at = tree + index * size
        name_offset, flags = struct.unpack_from(">IH", data, at)
        here = f"{path}/{name(name_offset)}".lstrip("/") if index else ""
        if flags & DIRECTORY:
            count, first = struct.unpack_from(">II", data, at + 6)
            for child in range(first, first + count):
                yield from walk(child, here)
        elif not flags & ZSTD:
            start = body + struct.unpack_from(">I", data, at + 10)[0]
            length = struct.unpack_from(">I", data, start)[0]
            content = data[start + 4 : start + 4 + length]
            yield here, zlib.decompress(content[4:]) if flags & ZLIB else content

    yield from walk(0, "")
