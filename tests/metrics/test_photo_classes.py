"""The classifier names what shipped photographs show, so its weights are read and its input is prepared rightly."""

import os
from pathlib import Path

import numpy as np
import pytest

from toraeval.metrics.shared.frame_features import FrameFeatures
from toraeval.suites.photos.files import photograph
from toraeval.video import read_video

REAL_VIDEOS = os.environ.get("TORAEVAL_REAL_VIDEOS")


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("cat", {281, 282, 285}),  # tabby, tiger cat, Egyptian cat
        ("coffee", {967, 968, 504}),  # espresso, cup, coffee mug
    ],
)
def test_shipped_photographs_are_recognised(name, classes):
    network = FrameFeatures()
    frames = np.ascontiguousarray(photograph(name).transpose(2, 0, 1)[None])
    chances = network.probabilities(network(frames))[0]
    assert int(chances.argmax()) in classes
    assert chances.sum() == pytest.approx(1)


@pytest.mark.skipif(not REAL_VIDEOS, reason="set TORAEVAL_REAL_VIDEOS to the folder of real clips")
@pytest.mark.parametrize(("name", "answer"), [("bear", 294), ("cat", 283), ("paragliding", 701)])
def test_real_clips_get_the_answers_of_the_published_network(name, answer):
    network = FrameFeatures()
    video = read_video(Path(str(REAL_VIDEOS)) / f"{name}.mp4")
    chances = network.probabilities(network(video.frames_TCHW[:1]))[0]
    assert int(chances.argmax()) == answer
