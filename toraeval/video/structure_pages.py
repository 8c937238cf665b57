"""Whether files of page after page, or frame after frame, are complete; see `structure`."""

from __future__ import annotations

import mmap
import re
import struct
import zlib

from toraeval.types import counted

_OGG_END = 4
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_MXF_PARTITION = bytes.fromhex("060e2b34020501010d010201")


def cut(reason: str) -> str:
    """Return the message for a file that ends too early."""
    return f"the file is cut off: {reason}"


def needs(needed: int, data: mmap.mmap, what: str) -> str | None:
    """Return the message for a part that reaches beyond the file's end, or None if it does not."""
    if needed <= len(data):
        return None
    return cut(f"its {what} needs {needed} bytes, the file has {len(data)}")


def ogg(data: mmap.mmap) -> str | None:
    """Ogg: pages with checksums; the last page of every stream says that it is the last."""
    at, last = 0, {}
    while at < len(data):
        if data[at : at + 4] != b"OggS":
            return f"damaged: no page starts at byte {at}"
        segments = data[at + 26]
        table = data[at + 27 : at + 27 + segments]
        if len(table) < segments:
            raise IndexError
        end = at + 27 + segments + sum(table)
        if end > len(data):
            return needs(end, data, "last page")
        (stated,) = struct.unpack_from("<I", data, at + 22)
        if _ogg_checksum(data[at : at + 22] + bytes(4) + data[at + 26 : end]) != stated:
            return f"damaged: the checksum of the page at byte {at} does not fit"
        last[data[at + 14 : at + 18]] = data[at + 5]
        at = end
    return None if all(flags & _OGG_END for flags in last.values()) else cut("its end mark is missing")


def _ogg_checksum(page: bytes) -> int:
    """CRC-32 with the highest bit first and nothing inverted: zlib's, on reversed bits."""
    crc = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)


def flv(data: mmap.mmap) -> str | None:
    """FLV: tags, each followed by its own length; the script tag of many writers states the file's size."""
    (at,) = struct.unpack_from(">I", data, 5)
    at += 4
    field = data.find(b"\x00\x08filesize\x00", 0, 4096)
    if field >= 0:
        (stated,) = struct.unpack_from(">d", data, field + 11)
        wrong = needs(int(stated), data, "header") if 0 < stated < 1 << 50 else None
        if wrong:
            return wrong
    while at + 11 <= len(data):
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        end = at + 11 + size + 4
        if end > len(data):
            return needs(end, data, "last tag")
        (behind,) = struct.unpack_from(">I", data, end - 4)
        if behind not in (11 + size, size, 0):
            return f"damaged: the tag at byte {at} and the length behind it differ"
        at = end
    return None if at == len(data) else cut("it ends in the middle of a tag")


def mxf(data: mmap.mmap) -> str | None:
    """MXF: the first partition says where the last one begins, unless the writer left it open."""
    at = data.find(_MXF_PARTITION, 0, 65536)
    length = data[at + 16]
    value = at + 17 + (length & 0x7F if length & 0x80 else 0)
    (footer,) = struct.unpack_from(">Q", data, value + 24)
    if at < 0 or footer == 0:
        return None
    if footer + 16 > len(data):
        return needs(footer + 16, data, "closing partition")
    return (
        None
        if data[footer : footer + 12] == _MXF_PARTITION
        else "damaged: its closing partition is not there"
    )


def y4m(data: mmap.mmap) -> str | None:
    """YUV4MPEG2: frames of one size."""
    at = data.find(b"\n", 0, 4096) + 1
    words = {word[:1]: word[1:] for word in data[:at].decode("latin-1").split()[1:]}
    colour = words.get("C", "420")
    matched = re.match(r"(mono|444alpha|4\d\d)", colour)
    if matched is None:
        return None
    deep = 2 if re.search(r"(?:p|mono)(9|1[0-6])$", colour) else 1
    width, height = int(words["W"]), int(words["H"])
    across = {"420": 2, "422": 2, "411": 4, "410": 4}.get(matched[1], 1)
    down = {"420": 2, "410": 4}.get(matched[1], 1)
    chroma = {"mono": 0, "444alpha": 3}.get(matched[1], 2)
    size = deep * (width * height + min(chroma, 2) * -(-width // across) * -(-height // down))
    size += deep * width * height if chroma == 3 else 0
    while at < len(data):
        if data[at : at + 5] != b"FRAME"[: len(data) - at]:
            return f"damaged: no frame starts at byte {at}"
        line = data.find(b"\n", at, at + 4096)
        if line < 0 or line + 1 + size > len(data):
            return cut("it ends in the middle of a frame")
        at = line + 1 + size
    return None


def ivf(data: mmap.mmap) -> str | None:
    """IVF: frames, each after its size; the header states how many, if it was filled in."""
    (at,) = struct.unpack_from("<H", data, 6)
    (stated,) = struct.unpack_from("<I", data, 24)
    found = 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        at += 12 + size
        if at > len(data):
            return needs(at, data, "last frame")
        found += 1
    return (
        cut(f"its header states {counted(stated, 'frame')}, {found} are there")
        if found < stated < 1 << 31
        else None
    )
