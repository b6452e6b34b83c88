"""Whether an audio file holds as many bytes as its header promises.

libsndfile reads a cut-off WAV, AIFF, AU, NIST or Ogg file without complaint, as a shorter one, and may miss
the end of an MP3. (A cut-off FLAC fails in its decoder. An MP3 without a Xing header promises nothing.)
"""

from __future__ import annotations

import io
import re
from typing import BinaryIO, Literal

_UNKNOWN = 0xFFFFFFFF
_OGG_TAIL = 65_536 + 512


def missing_bytes(file: BinaryIO) -> int:
    """How many bytes are missing from the end, 0 if none (or if the format does not say).

    A data length of 0 or 0xFFFFFFFF means "unknown" (what streaming encoders write) and promises nothing.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(1024)
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return _missing_of_chunks(file, size, b"data", "little")
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _missing_of_chunks(file, size, b"SSND", "big")
    if head[:4] == b".snd" and len(head) >= 12:
        start, length = (int.from_bytes(head[at : at + 4], "big") for at in (4, 8))
        return max(0, start + length - size) if length not in (0, _UNKNOWN) else 0
    if head[:7] == b"NIST_1A":
        return _missing_of_nist(head, size)
    if head[:4] == b"OggS":
        return _missing_of_ogg(file, size)
    return _missing_of_mp3(file, size, head)


def _missing_of_chunks(file: BinaryIO, size: int, wanted: bytes, order: Literal["little", "big"]) -> int:
    """RIFF (little endian) and FORM (big endian): walk the chunks to the one with the samples."""
    at, long_length = 12, 0
    for _ in range(1000):
        file.seek(at)
        chunk = file.read(8)
        if len(chunk) < 8:
            return 0
        length = int.from_bytes(chunk[4:], order)
        if chunk[:4] == b"ds64":
            long_length = int.from_bytes(file.read(16)[8:], "little")
        if chunk[:4] == wanted:
            length = long_length if length == _UNKNOWN and long_length else length
            return max(0, at + 8 + length - size) if length not in (0, _UNKNOWN) else 0
        at += 8 + length + length % 2
    return 0


def _missing_of_nist(head: bytes, size: int) -> int:
    """NIST SPHERE: a text header of `name -i value` lines, 1,024 bytes as a rule."""
    start = re.match(rb"NIST_1A\n\s*(\d{1,9})\n", head)
    fields = dict(re.findall(rb"(sample_count|channel_count|sample_n_bytes) -i (\d{1,12})", head))
    if start is None or b"sample_count" not in fields:
        return 0
    frame = int(fields.get(b"channel_count", b"1")) * int(fields.get(b"sample_n_bytes", b"2"))
    return max(0, int(start.group(1)) + int(fields[b"sample_count"]) * frame - size)


def _missing_of_mp3(file: BinaryIO, size: int, head: bytes) -> int:
    """MP3: the Xing (or Info) tag in the first frame gives the length of all frames, itself included."""
    start = 0
    if head[:3] == b"ID3" and len(head) >= 10:
        start = 10 + sum(
            (byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True)
        )
    file.seek(start)
    frame = file.read(256)
    tag = max(frame.find(b"Xing"), frame.find(b"Info"))
    if frame[:1] != b"\xff" or tag < 0 or len(frame) < tag + 16:
        return 0
    has_frames, has_bytes = frame[tag + 7] & 1, frame[tag + 7] & 2
    at = tag + 8 + (4 if has_frames else 0)
    return max(0, start + int.from_bytes(frame[at : at + 4], "big") - size) if has_bytes else 0


def _missing_of_ogg(file: BinaryIO, size: int) -> int:
    """Ogg (RFC 3533): the last page must be whole; its segment table says how long it is."""
    file.seek(max(0, size - _OGG_TAIL))
    tail = file.read()
    start = tail.rfind(b"OggS")
    page = tail[start:] if start >= 0 else b""
    if len(page) < 27 or len(page) < 27 + page[26]:
        return max(1, 27 - len(page))
    return max(0, 27 + page[26] + sum(page[27 : 27 + page[26]]) - len(page))
