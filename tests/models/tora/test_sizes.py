"""Named sizes and lengths against the tables and grids recorded from Open-Sora v1.2.0."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from toraeval.models.tora.sampling import sizes
from toraeval.types import UserError


@pytest.fixture(scope="module")
def buckets(data_dir: Path) -> dict[str, Any]:
    return dict(json.loads((data_dir / "open_sora" / "buckets.json").read_text()))


def test_every_size_of_every_table(buckets: dict[str, Any]) -> None:
    assert set(buckets["buckets"]) == set(sizes.RESOLUTIONS)
    for resolution, table in buckets["buckets"].items():
        expected = {key: tuple(size) for key, size in table["sizes"].items()}
        assert sizes.size_table(resolution) == expected
        assert sizes.nominal_pixels(resolution) == table["pixels"]
        for key, size in expected.items():
            assert sizes.size_of(resolution, key) == size


def test_names_of_aspects_and_lengths(buckets: dict[str, Any]) -> None:
    video = {name: table["sizes"] for name, table in buckets["buckets"].items() if name.endswith(("p", "k"))}
    for table, keyed in video.items():
        for aspect, key in buckets["aspect_ratio_names"].items():
            assert sizes.size_of(table, aspect) == tuple(keyed[key])
    assert buckets["num_frames_names"] == sizes.FRAME_NAMES
    assert sizes.frames_of("4s") == 102
    assert sizes.frames_of("51") == sizes.frames_of(51) == 51


@pytest.mark.parametrize(
    ("resolution", "aspect", "expected"),
    [
        ("240p", "9:16", (240, 426)),
        ("512", "1:1", (512, 512)),
        ("512", "9:16", (384, 672)),
        ("256", "16:9", (336, 192)),
        ("720p", 0.57, (720, 1280)),
        ("512", 1, (512, 512)),
    ],
)
def test_aspects_resolve_at_every_resolution(
    resolution: str, aspect: str | float, expected: tuple[int, int]
) -> None:
    assert sizes.size_of(resolution, aspect) == expected


def test_grids(data_dir: Path) -> None:
    recorded = json.loads((data_dir / "open_sora" / "latent_sizes.json").read_text())
    for row in recorded["frames"]:
        assert sizes.latent_frames(row["num_frames"]) == row["latent_frames"]
    for row in recorded["sizes"]:
        assert list(sizes.latent_size(51, row["height"], row["width"])) == [15, *row["latent"]]
        assert list(sizes.token_size(51, row["height"], row["width"])) == [15, *row["token_grid"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("300p", "1:1"), "resolution '300p'; allowed: 144p, 256"),
        (("240p", "1:9"), "aspect 1:9: 240p has no ratio near 0.11; allowed: 0.38"),
        (("240p", "wide"), "aspect 'wide'; allowed: height:width"),
        (("240p", "1:0"), "aspect '1:0'"),
        (("240p", float("nan")), "aspect nan"),
        (("240p", -1), "aspect -1"),
    ],
)
def test_unknown_sizes(arguments: tuple[str, str | float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        sizes.size_of(*arguments)


@pytest.mark.parametrize("length", ["5s", "0", 0, -3, "x", "", "1.5"])
def test_unknown_lengths(length: str | int) -> None:
    with pytest.raises(UserError, match="allowed: a whole number of frames, or 1x, 2x"):
        sizes.frames_of(length)
