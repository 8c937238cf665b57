"""Named picture sizes.

Aspect ratios are height / width, and their names read the same way: "9:16" is landscape. The tables are those of
Open-Sora v1.2.0 (`opensora/datasets/aspect.py`); its video sizes follow no rule that could be computed, so they
stand here.
"""

from __future__ import annotations

from typing import NamedTuple

from toraeval.types import UserError

CHUNK_FRAMES = 17  # frames that the autoencoder packs together
CHUNK_LATENTS = 5  # latent frames of such a chunk
SPACE_STRIDE = 8  # pixels per latent cell

# columns of _VIDEO_SIZES
ASPECTS = ("3:8", "9:21", "12:25", "1:2", "9:17", "27:50", "9:16", "5:8", "2:3", "3:4", "1:1", "4:3", "3:2", "16:9",
           "17:9", "2:1", "50:27")  # fmt: skip
_VIDEO_SIZES = {
    "144p": "117x312 125x291 133x277 135x270 139x262 141x260 144x256 151x241 156x234 166x221 192x192 221x165 "
    "235x156 256x144 263x139 271x135 277x132",
    "240p": "196x522 210x490 222x462 226x452 232x438 236x436 240x426 252x404 262x393 276x368 320x320 370x278 "
    "392x262 426x240 440x232 452x226 462x222",
    "360p": "294x784 314x732 332x692 340x680 350x662 352x652 360x640 380x608 392x588 416x554 480x480 554x416 "
    "588x392 640x360 660x350 678x340 692x332",
    "480p": "392x1046 420x980 444x925 452x904 466x880 470x870 480x854 506x810 522x784 554x738 640x640 740x555 "
    "784x522 854x480 880x466 906x454 924x444",
    "720p": "588x1568 628x1466 666x1388 678x1356 698x1318 706x1306 720x1280 758x1212 784x1176 832x1110 960x960 "
    "1108x832 1176x784 1280x720 1320x698 1358x680 1386x666",
    "1080p": "882x2352 942x2198 998x2080 1018x2036 1048x1980 1058x1958 1080x1920 1138x1820 1176x1764 1248x1664 "
    "1440x1440 1662x1246 1764x1176 1920x1080 1980x1048 2036x1018 2078x998",
    "2k": "1176x3136 1256x2930 1330x2770 1358x2716 1398x2640 1412x2612 1440x2560 1518x2428 1568x2352 1662x2216 "
    "1920x1920 2218x1664 2352x1568 2560x1440 2638x1396 2716x1358 2772x1330",
}
# Picture sizes of PixArt in units of 32 pixels at "512"; "256" and "1024" are half and twice as large.
_SQUARE_SIZES = (
    "8x32 8x31 8x30 8x29 9x28 9x27 9x26 10x25 10x24 11x23 11x22 11x21 12x21 12x20 13x19 13x18 14x18 14x17 15x17 "
    "15x16 16x16 16x15 17x15 17x14 18x14 18x13 19x13 20x12 21x12 22x11 23x11 24x10 25x10 26x9 27x9 28x9 29x8 "
    "30x8 31x8 32x8"
)
_SQUARE_UNITS = {"256": 16, "512": 32, "1024": 64}
RESOLUTIONS = ("144p", "256", "240p", "360p", "512", "480p", "720p", "1024", "1080p", "2k")


class Grid(NamedTuple):
    """Frames, rows and columns."""

    frames: int
    height: int
    width: int


def size_table(resolution: str) -> dict[str, tuple[int, int]]:
    """Return all sizes of a resolution as ratio key (as upstream prints it) -> (height, width) in pixels.

    Raises:
        UserError: an unknown resolution.
    """
    if resolution in _SQUARE_UNITS:
        unit = _SQUARE_UNITS[resolution]
        sizes = [(h * unit, w * unit) for h, w in map(_pair, _SQUARE_SIZES.split())]
        return {str(round(h / w, 2)): (h, w) for h, w in sizes}
    if resolution not in _VIDEO_SIZES:
        raise UserError(f"resolution {resolution!r}; allowed: {', '.join(RESOLUTIONS)}")
    columns = zip(ASPECTS, _VIDEO_SIZES[resolution].split(), strict=True)
    # upstream's name 50:27 stands for sizes of ratio 25:12, and its key says so
    keyed = ((25 / 12 if aspect == "50:27" else _ratio(aspect), _pair(size)) for aspect, size in columns)
    return {f"{ratio:.2f}": size for ratio, size in keyed}


def _pair(text: str) -> tuple[int, int]:
    first, _, second = text.partition("x")
    return int(first), int(second)


def _ratio(aspect: str) -> float:
    height, _, width = aspect.partition(":")
    return int(height) / int(width)
