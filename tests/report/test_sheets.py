"""Contact sheets: which cases are shown, and that the paths are drawn."""

import numpy as np
import pytest
from PIL import Image

from toraeval.report.collect import collect
from toraeval.report.measures import worst_first
from toraeval.report.sheets import LABEL_PX, TILE_PX, TILES, spread, write_sheets


def test_cases_are_ranked_by_the_models_and_not_by_the_references(bench):
    (group,) = collect(bench)
    ranked = worst_first(group.at(12))
    assert len(ranked) == 3
    assert list(ranked.values()) == sorted(ranked.values(), reverse=True)
    tora = next(entry for entry in group.at(12) if entry.label == "tora")
    assert ranked == pytest.approx(dict(zip(tora.cases["case"], tora.cases["traj_error"], strict=True)))


def test_choice_runs_from_worst_to_best():
    ranked = [f"c{i}" for i in range(9)]
    assert spread(ranked, 3) == ["c0", "c4", "c8"]
    assert spread(ranked, 1) == ["c0"]
    assert spread(ranked, 0) == []
    assert spread(ranked, None) == ranked
    assert spread(ranked[:2], 3) == ["c0", "c1"]


def test_sheet_shows_eight_frames_of_every_model_with_paths(bench, tmp_path):
    (group,) = collect(bench)
    written = write_sheets(group, tmp_path, per_length=1)
    assert [(sheet.frames, sheet.rank, sheet.of) for sheet in written] == [(6, 1, 3), (12, 1, 3)]
    with Image.open(written[1].path) as picture:
        assert picture.width >= LABEL_PX + TILES * TILE_PX
        assert picture.height >= 3 * TILE_PX * 48 // 64
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
    orange = np.abs(pixels - [230, 159, 0]).sum(axis=1) < 40
    assert orange.sum() > 100
    assert written[0].prompt.startswith("a <red> disc")


def test_without_kept_videos_there_are_no_sheets(make_run, tmp_path):
    (group,) = collect([make_run(tmp_path, "tora", 6, video=False)])
    assert write_sheets(group, tmp_path / "samples") == []


def test_failed_samples_leave_their_row_out(make_run, tmp_path):
    cases = ("line-000", "wave-002")
    runs = [
        make_run(tmp_path, "tora", 6, cases, failed=("line-000",)),
        make_run(tmp_path, "static", 6, cases),
    ]
    (group,) = collect(runs)
    sheets = {sheet.case: sheet for sheet in write_sheets(group, tmp_path / "samples", per_length=None)}
    assert set(sheets) == {"line-000", "wave-002"}
    with Image.open(sheets["line-000"].path) as one, Image.open(sheets["wave-002"].path) as two:
        assert one.height < two.height
    assert np.isnan(sheets["line-000"].error)
