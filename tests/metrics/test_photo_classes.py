"""The classifier names what shipped photographs show, so its weights are read and its input is prepared rightly."""

import numpy as np
import pytest

from toraeval.metrics.shared.frame_features import FrameFeatures
from toraeval.suites.photos.files import photograph


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
