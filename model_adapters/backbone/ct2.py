"""Read the weights of a CTranslate2 model file (`model.bin`, format version 6).

Layout, little-endian (CTranslate2, python/ctranslate2/specs/model_spec.py, `ModelSpec._serialize`):
u32 version, string spec name, u32 spec revision, u32 number of variables; for each variable: string
name, u8 rank, u32 per dimension, u8 type, u32 bytes, data; then u32 number of aliases, each two
strings. A string is u16 length (with the closing NUL) and bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

FORMAT_VERSION = 6
TYPES: dict[int, type[np.generic]] = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


@dataclass(frozen=True, slots=True)
class Ct2Model:
    """Spec name ("WhisperSpec"), spec revision, variables by name, and aliases (name -> variable)."""

    spec: str
    revision: int
    variables: Mapping[str, NDArray[Any]]
    aliases: Mapping[str, str]


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = memoryview(data)
        self.offset = 0

    def take(self, size: int, what: str) -> memoryview:
        end = self.offset + size
        if end > len(self.data):
            raise ValueError(
                f"CTranslate2 file is cut short: {what} at byte {self.offset} needs {size} bytes, "
                f"{len(self.data) - self.offset} are left"
            )
        part = self.data[self.offset : end]
        self.offset = end
        return part

    def number(self, code: str, what: str) -> int:
        value: int = struct.unpack("<" + code, self.take(struct.calcsize(code), what))[0]
        return value

    def string(self, what: str) -> str:
        raw = bytes(self.take(self.number("H", what), what))
        try:
            return raw.rstrip(b"\0").decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"CTranslate2 file is corrupt: {what} is not UTF-8: {raw[:40]!r}") from error


def read_ct2(data: bytes) -> Ct2Model:
    """Parse a whole `model.bin`; the arrays are read-only views of `data`.

    Raises ValueError for another format version, a truncated file, or sizes that do not agree.
    """
    reader = _Reader(data)
    version = reader.number("I", "format version")
    if version != FORMAT_VERSION:
        raise ValueError(f"CTranslate2 format version {version} is not supported, only {FORMAT_VERSION}")
    spec = reader.string("spec name")
    revision = reader.number("I", "spec revision")
    variables = dict(_variable(reader) for _ in range(reader.number("I", "number of variables")))
    aliases = {
        reader.string("alias"): reader.string("aliased variable")
        for _ in range(reader.number("I", "number of aliases"))
    }
    if reader.offset != len(data):
        raise ValueError(f"CTranslate2 file is corrupt: {len(data) - reader.offset} bytes after its end")
    return Ct2Model(spec, revision, variables, aliases)


def _variable(reader: _Reader) -> tuple[str, NDArray[Any]]:
    name = reader.string("variable name")
    rank = reader.number("B", f"rank of {name}")
    shape = tuple(reader.number("I", f"shape of {name}") for _ in range(rank))
    code = reader.number("B", f"type of {name}")
    if code not in TYPES:
        raise ValueError(f"CTranslate2 file is corrupt: variable {name!r} has the unknown type {code}")
    dtype = np.dtype(TYPES[code]).newbyteorder("<")
    size = reader.number("I", f"size of {name}")
    expected = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if size != expected:
        raise ValueError(
            f"CTranslate2 file is corrupt: variable {name!r}, shape {shape}, has {size} bytes, not {expected}"
        )
    return name, np.frombuffer(reader.take(size, f"data of {name}"), dtype=dtype).reshape(shape)
