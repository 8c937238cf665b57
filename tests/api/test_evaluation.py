"""`toraeval.evaluate` and `toraeval.track` on files and arrays; the numbers are those of `score`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import toraeval
from tests.cli.conftest import cli
from tests.fake_parts import draw
from toraeval.types import Trajectories, UserError, Video
from toraeval.video import write_lossless

__all__ = ["cli"]

TRACK = np.stack([np.linspace(12, 44, 16), np.linspace(20, 30, 16)], axis=-1)
FRAMES = draw(TRACK)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    clip, path = tmp_path / "box.mkv", tmp_path / "box.npz"
    write_lossless(Video.from_thwc(FRAMES, 8.0), clip)
    np.savez(path, tracks=(TRACK[None, :9] + 3))
    return clip, path


def test_a_file_gets_the_numbers_of_score(
    files: tuple[Path, Path], cli: Callable[..., Any], tmp_path: Path
) -> None:
    clip, path = files
    for align in ("resample", "cut"):
        found = toraeval.evaluate(clip, path, align=align)
        ran = cli("score", f"videos={clip}", f"trajectories={path}", f"align={align}", f"results={align}")
        assert ran.code == 0, ran.err
        (table,) = (tmp_path / align).rglob("cases.csv")
        row = pd.read_csv(table).iloc[0]
        assert len(found.values) > 20
        for column, value in found.values.items():
            assert value == pytest.approx(row[column], rel=1e-12), column
        assert len(found.error_T) == (16 if align == "resample" else 9)
        assert np.nanmean(found.error_T) == pytest.approx(found["traj_error"])


def test_arrays_of_every_kind_give_the_same(files: tuple[Path, Path]) -> None:
    expected = toraeval.evaluate(files[0], TRACK, metrics="traj_error").values
    channels_first = FRAMES.transpose(0, 3, 1, 2).copy()
    paths = Trajectories(TRACK[None], np.ones((1, 16), dtype=bool), (64, 64))
    for video, path in (
        (FRAMES, paths),
        (channels_first, TRACK[None].tolist()),
        (torch.from_numpy(channels_first), torch.from_numpy(TRACK)),
    ):
        assert toraeval.evaluate(video, path, metrics=["traj_error"]).values == expected
    followed = toraeval.track(torch.from_numpy(channels_first), torch.tensor([12.0, 20.0]))
    error = toraeval.metrics.traj_error(followed.tracks_NT2, TRACK, (64, 64))
    assert error == expected["traj_error"]
    assert followed.tracks_NT2.shape == (1, 16, 2)


def test_a_reference_adds_what_compares_and_the_text_names_all() -> None:
    found = toraeval.evaluate(
        FRAMES, TRACK, reference=FRAMES, metrics=["traj_error", "ssim", "psnr", "clipsim"]
    )
    assert found["ssim"] == pytest.approx(1)
    text = repr(found).splitlines()
    assert text[0] == "ClipScores: 1 path, 16 frames of 64x64"
    assert text[1].split()[0] == "traj_error"
    assert text[1].endswith(" px")
    assert any("clipsim" in line and "skipped: the case has no prompt" in line for line in text)
    with pytest.raises(UserError, match="clipsim has no value: the case has no prompt"):
        _ = found["clipsim"]
    with pytest.raises(UserError, match="Did you mean 'traj_error'"):
        _ = found["traj_eror"]
    named = toraeval.evaluate(FRAMES, TRACK, prompt="a white square", metrics={"clipsim": {"max_frames": 2}})
    assert list(named.main) == ["clipsim_shapes"]


@pytest.mark.parametrize(
    ("video", "path", "options", "words"),
    [
        (FRAMES / 255, TRACK, {}, "frames of type float64; allowed: uint8 RGB"),
        (FRAMES[..., 0], TRACK, {}, r"shape \(16, 64, 64\); allowed: uint8 RGB"),
        (FRAMES, TRACK[0], {}, r"path: an array of shape \(2,\); allowed: \(N, T, 2\)"),
        (FRAMES, "absent.json", {}, "absent.json"),
        (FRAMES, TRACK, {"metrics": "fvd"}, "fvd belongs to a set of clips"),
        (FRAMES, TRACK, {"metrics": "traj_eror"}, "Did you mean 'traj_error'"),
        (FRAMES, TRACK, {"tracker": "lucas"}, "unknown tracker 'lucas'"),
        (FRAMES, TRACK, {"align": "stretch"}, "unknown value of align 'stretch'"),
        (FRAMES, TRACK, {"reference": FRAMES[:, :32], "metrics": "ssim"}, "ssim: case clip has a video of"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    video: Any, path: Any, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError, match=words) as caught:
        toraeval.evaluate(video, path, **options)
    assert "\n" not in str(caught.value)


def test_a_point_outside_the_picture_is_not_tracked() -> None:
    with pytest.raises(UserError, match="query 0 at"):
        toraeval.track(FRAMES, (80, 3))
