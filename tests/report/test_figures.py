"""Styles of the curves, and a figure that depends on its data only."""

import numpy as np
import pytest
from PIL import Image

from toraeval.report.collect import collect
from toraeval.report.figures import LABEL_GAP, draw_error_over_time, spread_out, styles
from toraeval.report.findings import error_over_time


def test_curves_differ_in_colour_and_in_line_or_marker():
    drawn = styles(["ground_truth", *(f"m{i}" for i in range(8)), "static"])
    assert len({style.colour for style in drawn.values()}) == 10
    assert len({(str(style.dashes), style.marker) for style in drawn.values()}) == 10
    assert "floor" in drawn["ground_truth"].label


def test_figure_has_a_panel_per_length_and_no_changing_metadata(bench, tmp_path):
    (group,) = collect(bench)
    curves = error_over_time(group)
    for name in ("a.png", "b.png"):
        draw_error_over_time(curves, group, {}, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width > 900
        assert "Software" not in picture.info
        assert not any("ime" in key for key in picture.info)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.png", "b.png"]


def test_floor_is_drawn_as_a_line_without_a_ground_truth_run(make_run, tmp_path):
    (group,) = collect([make_run(tmp_path, "tora", 6)])
    curves = error_over_time(group)
    draw_error_over_time(curves, group, {}, tmp_path / "without.png")
    draw_error_over_time(curves, group, {6: 0.5}, tmp_path / "with.png")
    assert (tmp_path / "without.png").read_bytes() != (tmp_path / "with.png").read_bytes()


@pytest.mark.parametrize("heights", [[0.1, 0.1, 0.1], [0.95, 0.97, 0.99, 0.99], [0.2, 0.5, 0.9], [0.5]])
def test_labels_at_the_ends_never_overlap_nor_leave_the_panel(heights):
    placed = spread_out(heights)
    assert (np.diff(placed) >= LABEL_GAP - 1e-9).all()
    assert max(placed) <= 1.0
    if heights == [0.2, 0.5, 0.9]:
        assert placed == heights
