"""Whether a file is complete, by its container's own sizes, end marks and checksums.

FFmpeg reads a file that was cut off as a shorter clip. What a format states about its own length is read here,
without decoding; a format that states nothing (raw streams, MPEG program streams) cannot tell.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from toraeval.types import counted
from toraeval.video import structure_pages
from toraeval.video.structure_pages import cut as _cut
from toraeval.video.structure_pages import needs as _needs

_EBML_MASTERS = {0x18538067: "Segment", 0x1F43B675: "Cluster"}  # walked into
_EBML_CRC = b"\xbf\x84"
# Elements of a file, of a segment and of a cluster.
_EBML_KNOWN = frozenset(
    {
        0x1A45DFA3,
        0x18538067,
        0x1F43B675,
        0x114D9B74,
        0x1549A966,
        0x1654AE6B,
        0x1C53BB6B,
        0x1941A469,
        0x1043A770,
    }
    | {0x1254C367, 0xEC, 0xBF, 0xE7, 0xA7, 0xAB, 0xA3, 0xA0, 0x5854, 0xAF}
)


def fault(path: Path, format_name: str) -> str | None:
    """Return why a file of FFmpeg's format is not whole, or None where nothing speaks against it."""
    check = next((check for name, check in _CHECKS.items() if name in format_name.split(",")), None)
    if check is None:
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return check(data)
        except (struct.error, IndexError, ValueError, KeyError):
            return _cut("the file ends in the middle of a header")


def _boxes(data: mmap.mmap) -> str | None:
    """MP4, MOV, 3GP, AVIF: boxes of a stated size one after the other."""
    at = 0
    while at + 8 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        name = data[at + 4 : at + 8].decode("latin-1")
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
        if size == 0:  # to the end of the file
            return None
        if size < 8:
            # Zeros after the last box are padding.
            return None if not any(data[at : at + 4096]) else f"damaged: box {name!r} states {size} bytes"
        if at + size > len(data):
            return _needs(at + size, data, f"box {name!r}")
        if name == "moov" and (wrong := _lost_samples(data, at + 8, at + size)):
            return wrong
        at += size
    return None


def _lost_samples(data: mmap.mmap, start: int, end: int) -> str | None:
    """Compare how many pictures the tables of a video track give times and sizes to: readers stop at the smaller."""
    found: dict[str, tuple[int, int]] = {}  # the last track's boxes: where their content begins and ends
    at = start
    while at + 8 <= end:
        (size,) = struct.unpack_from(">I", data, at)
        name = data[at + 4 : at + 8].decode("latin-1")
        if name == "trak":
            found = {}
        inside = name in ("trak", "mdia", "minf", "stbl")
        if size < 8 or at + size > end:
            return None  # FFmpeg says what is wrong with it
        found.setdefault(name, (at + 8, at + size))  # QuickTime names a second handler, of the data
        kind = found.get("hdlr", (0, 0))[0] + 8
        if {"stts", "stsz", "hdlr"} <= found.keys() and data[kind : kind + 4] == b"vide":
            (entries,) = struct.unpack_from(">I", data, found["stts"][0] + 4)
            runs = range(found["stts"][0] + 8, min(found["stts"][0] + 8 + 8 * entries, found["stts"][1]), 8)
            timed = sum(struct.unpack_from(">I", data, run)[0] for run in runs)
            (sized,) = struct.unpack_from(">I", data, found["stsz"][0] + 8)
            if timed > sized:
                return f"damaged: its header gives times to {counted(timed, 'picture')} and sizes to {sized}"
            del found["stsz"]
        at += 8 if inside else size
    return None


def _ebml(data: mmap.mmap) -> str | None:
    """Matroska, WebM: elements of a stated size, many with a checksum; blocks inside clusters are walked too."""
    at = 0
    while at < len(data):
        start = at
        name, at = _ebml_number(data, at, keep_mark=True)
        size, at = _ebml_number(data, at, keep_mark=False)
        if name is None or (name not in _EBML_KNOWN and start > 0):
            return f"damaged: byte {start} starts no element"
        if size is not None and at + size > len(data):
            return _needs(at + size, data, _EBML_MASTERS.get(name, f"element {name:X}"))
        if (
            size is not None
            and size > 6
            and data[at : at + 2] == _EBML_CRC
            and _crc_differs(data, at, at + size)
        ):
            return f"damaged: the checksum of element {name:X} at byte {start} does not fit"
        if name not in _EBML_MASTERS:
            if size is None:
                return f"damaged: element {name:X} at byte {start} states no size"
            at += size
    return None


def _crc_differs(data: mmap.mmap, start: int, end: int) -> bool:
    (stated,) = struct.unpack_from("<I", data, start + 2)
    with memoryview(data) as view, view[start + 6 : end] as content:
        return zlib.crc32(content) != stated


def _ebml_number(data: mmap.mmap, at: int, keep_mark: bool) -> tuple[int | None, int]:
    first = data[at]
    length = 9 - first.bit_length() if first else 9
    if length > 8:
        return None, at + 1
    value = int.from_bytes(data[at : at + length], "big")
    if at + length > len(data):
        raise IndexError
    if keep_mark:
        return value, at + length
    value &= (1 << 7 * length) - 1
    return (None if value == (1 << 7 * length) - 1 else value), at + length


def _riff(data: mmap.mmap) -> str | None:
    """AVI, WebP: one or more RIFF chunks."""
    at = 0
    while data[at : at + 4] == b"RIFF":
        (size,) = struct.unpack_from("<I", data, at + 4)
        if size in (0, 0xFFFFFFFF):  # never filled in
            return _cut("its writer did not finish it (RIFF states no size)")
        if at + 8 + size > len(data):
            return _needs(at + 8 + size, data, "RIFF chunk")
        at += 8 + size + size % 2
    return None


def _gif(data: mmap.mmap) -> str | None:
    """GIF: blocks up to the trailer."""
    flags = data[10]
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    while at < len(data):
        mark = data[at]
        if mark == 0x3B:
            return None
        if mark == 0x2C:
            flags = data[at + 9]
            at += 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
        elif mark == 0x21:
            at += 2
        else:
            return f"damaged: byte {at} starts no block"
        while data[at]:
            at += data[at] + 1
        at += 1
    return _cut("its trailer is missing")


def _png(data: mmap.mmap) -> str | None:
    """PNG, animated PNG: chunks with checksums up to IEND, as many frames as acTL states."""
    at, stated, found = 8, 0, 0
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        if at + 12 + size > len(data):
            return _needs(at + 12 + size, data, "last chunk")
        name = data[at + 4 : at + 8]
        if zlib.crc32(data[at + 4 : at + 8 + size]) != struct.unpack_from(">I", data, at + 8 + size)[0]:
            return f"damaged: the checksum of chunk {name.decode('latin-1')} at byte {at} does not fit"
        if name == b"acTL":
            (stated,) = struct.unpack_from(">I", data, at + 8)
        found += name == b"fcTL"
        if name == b"IEND":
            return _cut(f"{found} of {stated} frames are there") if found < stated else None
        at += 12 + size
    return _cut("its end chunk is missing")


def _transport(data: mmap.mmap) -> str | None:
    """MPEG transport stream: packets of 188 bytes, 192 with a time stamp, 204 with parity."""
    for size, first in ((188, 0), (192, 4), (204, 0)):
        if len(data) > first + 3 * size and all(data[first + k * size] == 0x47 for k in range(3)):
            if len(data) % size:
                return _cut("it ends in the middle of a packet")
            lost = data[first::size].translate(None, b"\x47")
            return f"damaged: {len(lost)} of its packets do not start with the sync byte" if lost else None
    return None


def _nut(data: mmap.mmap) -> str | None:
    """NUT: an index at the end, whose last bytes say how long it is."""
    (length,) = struct.unpack_from(">Q", data, len(data) - 12)
    start = len(data) - length
    if length < len(data) and data[start : start + 2] == b"NX":
        return None
    return _cut("its index, which ends a NUT file, is missing")


def _asf(data: mmap.mmap) -> str | None:
    """ASF, WMV: the header states the size of the file."""
    guid = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
    at = data.find(guid, 0, 65536)
    if at < 0:
        return None
    (size,) = struct.unpack_from("<Q", data, at + 40)
    return _needs(size, data, "header")


_CHECKS: dict[str, Callable[[mmap.mmap], str | None]] = {
    "mov": _boxes,
    "matroska": _ebml,
    "avi": _riff,
    "webp": _riff,
    "gif": _gif,
    "apng": _png,
    "ogg": structure_pages.ogg,
    "flv": structure_pages.flv,
    "mxf": structure_pages.mxf,
    "yuv4mpegpipe": structure_pages.y4m,
    "ivf": structure_pages.ivf,
    "mpegts": _transport,
    "nut": _nut,
    "asf": _asf,
}
