"""Windows: which frames each one makes, what it is given, and where the seams are."""

from __future__ import annotations

import numpy as np
import pytest

from toraeval.models.shared.nano.pipeline import Window, make_windows, plan_windows, seams
from toraeval.types import ByteArray, FloatArray, UserError


@pytest.mark.parametrize("mode", ["autoregressive", "direct"])
@pytest.mark.parametrize("frames", [2, 16, 17])
def test_up_to_17_frames_both_modes_are_one_window(mode: str, frames: int) -> None:
    assert plan_windows(frames, mode) == [Window(0, 0, 17, 1)]


@pytest.mark.parametrize(
    ("frames", "overlap", "starts", "seen"),
    [
        (64, 1, [0, 16, 32, 48], [17, 33, 49]),
        (65, 1, [0, 16, 32, 48], [17, 33, 49]),
        (66, 1, [0, 16, 32, 48, 64], [17, 33, 49, 65]),
        (64, 5, [0, 12, 24, 36, 48], [17, 29, 41, 53]),
        (33, 9, [0, 8, 16], [17, 25]),
    ],
)
def test_autoregressive_plan(frames: int, overlap: int, starts: list[int], seen: list[int]) -> None:
    plan = plan_windows(frames, "autoregressive", overlap)
    assert [w.start for w in plan] == starts
    assert [w.known for w in plan] == [1] + [overlap] * (len(plan) - 1)
    assert {w.frames for w in plan} == {17}
    assert seams(plan) == seen


def test_128_frames() -> None:
    assert len(plan_windows(128)) == 8
    assert plan_windows(128, "direct") == [Window(0, 0, 129, 1)]


@pytest.mark.parametrize(("mode", "overlap"), [("loop", 1), ("autoregressive", 0), ("autoregressive", 4)])
def test_unknown_modes_and_overlaps_are_refused(mode: str, overlap: int) -> None:
    with pytest.raises(UserError, match="allowed: "):
        plan_windows(64, mode, overlap)


@pytest.mark.parametrize("overlap", [1, 5, 9])
def test_windows_join_without_loss_or_repetition(overlap: int) -> None:
    """A stub that writes each frame's number, read off its paths, into its pixels and checks what it is given."""
    frames, seen = 64, []
    numbers = np.arange(frames, dtype=np.float64)
    tracks = np.stack([numbers, numbers], -1)[None]

    def make(window: Window, given: ByteArray, part: FloatArray) -> ByteArray:
        seen.append(window.index)
        assert given.shape == (window.known, 2, 2, 3)
        assert part.shape == (1, 17, 2)
        np.testing.assert_array_equal(given[:, 0, 0, 0], part[0, : window.known, 0])
        out = np.empty((17, 2, 2, 3), np.uint8)
        out[:] = part[0, :, 0].astype(np.uint8)[:, None, None, None]
        out[: window.known] = 255  # what the autoencoder makes of given frames must not reach the clip
        return out

    plan = plan_windows(frames, "autoregressive", overlap)
    clip = make_windows(plan, np.zeros((2, 2, 3), np.uint8), tracks, make)
    assert len(clip) == plan[-1].start + 17
    np.testing.assert_array_equal(clip[:frames, 0, 0, 0], np.arange(frames))
    assert (clip[frames:] == frames - 1).all()  # beyond the clip's end the paths rest
    assert seen == list(range(len(plan)))
