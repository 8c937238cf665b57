"""suite=photos brings metrics and models that fit photographs; options of metrics not asked for are no metrics."""

from __future__ import annotations

import pytest

from toraeval.__main__ import main
from toraeval.cli import overrides


@pytest.mark.parametrize("words", [["suite=photos"], ["preset=photos"]])
def test_the_suite_brings_its_preset(words):
    cfg = overrides.check("bench", words, multirun=False).configs[0]
    assert cfg.suite.name == "photos"
    assert cfg.metrics.fvd.backbone == cfg.metrics.lpips.backbone == "efficientnet_lite0"
    assert {"fid", "class_kept"} <= set(cfg.metrics)
    assert "clipsim" not in cfg.metrics
    assert cfg.limit == 16
    assert {"ground_truth", "static", "cut_and_drag", "tora"} <= set(cfg.models)


def test_what_is_given_wins_over_the_preset_and_it_is_said_that_it_was_chosen():
    found = overrides.check(
        "bench", ["suite=photos", "limit=3", "metrics.lpips.max_frames=2"], multirun=False
    )
    assert found.configs[0].limit == 3
    assert found.configs[0].metrics.lpips.max_frames == 2
    assert any("preset=photos comes with the suite" in note for note in found.notes)
    named = overrides.check("run", ["suite=photos", "preset=embedded", "model=static"], multirun=False)
    assert named.configs[0].metrics.lpips.backbone == "shapes"
    assert not named.notes


def test_suite_shapes_keeps_its_defaults():
    cfg = overrides.check("bench", [], multirun=False).configs[0]
    assert cfg.suite.name == "shapes"
    assert cfg.metrics.fvd.backbone == "efficientnet_lite0"  # its temporal part sees a frozen video
    assert "fid" not in cfg.metrics
    assert "cut_and_drag" not in cfg.models


def test_a_preset_may_hold_options_of_metrics_that_are_not_asked_for(tmp_path, capsys):
    words = [
        "suite=photos",
        "model=static",
        "metric=traj_error",
        "limit=1",
        "height=64",
        "width=64",
        "workers=1",
    ]
    assert main(["run", *words, f"results={tmp_path}"]) == 0
    assert "static" in capsys.readouterr().out
