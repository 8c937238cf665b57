"""A picture is shown to the model and comes back to the same place, whatever the fit."""

from __future__ import annotations

import numpy as np
import pytest

from baselines.dragnuwa.framing import FITS, framing
from toraeval.types import UserError

SEEN = (576, 320)


def picture(width: int, height: int, x: float, y: float, half: int = 12) -> np.ndarray:
    made = np.zeros((height, width, 3), np.uint8)
    made[int(y) - half : int(y) + half, int(x) - half : int(x) + half] = 255
    return made


def centre(picture_HWC: np.ndarray) -> np.ndarray:
    """Centre of mass in pixels whose centres are whole numbers."""
    mass = picture_HWC[..., 0].astype(float)
    ys, xs = np.mgrid[: mass.shape[0], : mass.shape[1]]
    return np.array([(mass * xs).sum(), (mass * ys).sum()]) / mass.sum()


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("source", [(512, 512), (720, 480), (640, 256), (576, 320)])
def test_points_go_where_the_picture_goes_and_back(fit: str, source: tuple[int, int]) -> None:
    width, height = source
    frame = framing(fit, source, SEEN)
    first = picture(width, height, width * 0.55, height * 0.45)
    shown = frame.show(first)
    assert shown.shape == (320, 576, 3)
    np.testing.assert_allclose(centre(shown), frame.points(centre(first)[None])[0], atol=0.1)
    back = frame.bring_back(shown[None], first)
    assert back.shape == (1, height, width, 3)
    np.testing.assert_allclose(centre(back[0]), centre(first), atol=0.1)


def test_cover_crops_and_pad_keeps_everything() -> None:
    cover, pad = framing("cover", (512, 512), SEEN), framing("pad", (512, 512), SEEN)
    assert (cover.scaled, cover.offset) == ((576, 576), (0, 128))
    assert (pad.scaled, pad.offset) == ((320, 320), (-128, 0))
    white = np.full((512, 512, 3), 255, np.uint8)
    assert (pad.show(white)[:, :128] == 0).all()
    assert (pad.show(white)[:, 128:448] == 255).all()
    assert (cover.show(white) == 255).all()


def test_what_is_not_seen_stays_the_first_frame() -> None:
    first = np.full((512, 512, 3), 90, np.uint8)
    back = framing("cover", (512, 512), SEEN).bring_back(np.full((2, 320, 576, 3), 200, np.uint8), first)
    assert (back[:, :110] == 90).all()
    assert (back[:, 402:] == 90).all()
    assert (back[:, 118:394] == 200).all()


def test_its_own_size_is_left_alone_and_words_are_checked() -> None:
    frames = np.zeros((2, 320, 576, 3), np.uint8)
    assert framing("cover", SEEN, SEEN).bring_back(frames, frames[0]) is frames
    with pytest.raises(UserError, match="fit=crop; allowed: cover, pad, stretch"):
        framing("crop", SEEN, SEEN)
