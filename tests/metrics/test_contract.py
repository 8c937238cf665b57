"""What a metric gets from its declaration, and what one that takes over the names alone gets besides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.metrics.made_up import line, make_clip, make_tracks
from toraeval.metrics import Metric, SetMetric
from toraeval.metrics.fvd import FVD
from toraeval.run.parts import Builder
from toraeval.types import Score, UserError


class Bare:
    """No more than the three names that a metric needs."""

    name, version = "bare", "3"

    def score(self, case: Any, tracks: Any, video: Any) -> Score:
        return Score(self.name, self.version, {"bare": 1.0})


class Whole(Bare):
    name, direction, units, needs_video = "whole", "higher", "dB", True

    def fingerprint(self) -> dict[str, Any]:
        return {"metric": "whole", "scale": 2}

    def definition(self) -> dict[str, Any]:
        return {"metric": "whole", "main": ["whole_b"], "columns": {"whole_a": "first", "whole_b": "second"}}

    def pool(self, contributions: Any) -> Score:
        return Score(self.name, self.version, {"whole_b": float(len(contributions))})


class Declared(Metric):
    name, version, direction, units = "declared", "1", "lower", "px"
    formula = "a"
    details = {"frames": "at most {max_frames}"}
    columns = {"declared_BACKBONE": "the value", "declared_BACKBONE_x": "another"}
    backbones, keyed = ("one", "two"), ("backbone", "max_frames")

    def __init__(self, backbone: str = "one", max_frames: int = 4) -> None:
        self.take(backbone=backbone, max_frames=max_frames)

    def examine(self, case: Any, tracks: Any, video: Any) -> Any:
        return "nothing" if tracks is None else ({"declared_two": 1.0, "declared_two_x": np.nan}, {})


class Pooled(Declared):
    def pool(self, contributions: Any) -> Score:
        return Score(self.name, self.version)


def built(name: str) -> Metric:
    return Builder().build("metric", {"name": f"tests.metrics.test_contract:{name}"})


def test_a_class_with_three_names_gets_every_default():
    case, video = make_clip(line(4))
    metric = built("Bare")
    assert metric.score(case, None, video).values == {"bare": 1.0}
    assert metric.fingerprint() == {"metric": "bare", "version": "3"}
    assert metric.definition() == {"metric": "bare", "version": "3", "direction": "", "units": ""}
    assert (metric.needs_video, metric.of_set, metric.cache, metric.main_columns) == (
        False,
        False,
        None,
        ("bare",),
    )


def test_a_class_that_does_not_inherit_keeps_its_own_members():
    metric = built("Whole")
    assert (metric.needs_video, metric.of_set, metric.units, metric.direction) == (True, True, "dB", "higher")
    assert metric.fingerprint() == {"metric": "whole", "scale": 2}
    assert metric.main_columns == ("whole_b",)
    assert metric.pool({"a": {}}).values == {"whole_b": 1.0}


def test_a_metric_that_inherits_is_left_as_it_is():
    assert type(built("Declared")) is Declared
    assert type(built("Pooled")) is not Pooled  # no `SetMetric`, but it pools
    assert built("Pooled").of_set


def test_definition_and_key_derive_from_the_declaration():
    metric = Declared("two")
    assert metric.definition() == {
        "metric": "declared", "version": "1", "direction": "lower", "units": "px", "formula": "a",
        "frames": "at most 4", "columns": {"declared_two": "the value", "declared_two_x": "another"},
    }  # fmt: skip
    assert metric.fingerprint() == {"metric": "declared", "version": "1", "backbone": "two", "max_frames": 4}
    assert metric.main_columns == ("declared_two",)


def test_values_that_are_not_numbers_are_absent_and_reasons_are_skips():
    case, video = make_clip(line(4))
    found = Declared("two").score(case, make_tracks(case.trajectories.tracks_NT2), video)
    assert dict(found.values) == {"declared_two": 1.0}
    assert Declared().score(case, None, video).skipped == "nothing"


@pytest.mark.parametrize(
    ("options", "said"), [({"backbone": "three"}, "one, two"), ({"max_frames": 0}, "whole numbers >= 1")]
)
def test_options_that_cannot_be_are_refused(options, said):
    with pytest.raises(UserError, match=f"declared: .*allowed: {said}"):
        Declared(**options)


def test_a_set_metric_must_pool():
    class Without(SetMetric):
        name, version = "without", "1"

    with pytest.raises(TypeError, match="pool"):
        Without()


def test_keys_of_stored_scores_do_not_follow_the_modules():
    recipe = FVD(backbone="random").fingerprint()["recipe"]
    assert recipe["source"] == "the network of `shapes` with random weights, for tests"
    shapes, photo = (FVD(backbone=name).recipe.source for name in ("shapes", "efficientnet_lite0"))
    assert shapes.endswith("toraeval.metrics.networks.video_net")
    assert photo.endswith("toraeval.metrics.networks.efficientnet")
