"""The order of models under several trackers."""

from __future__ import annotations

import pytest

from toraeval.__main__ import main
from toraeval.report.tracker_ranking import compare_trackers, under_tables
from toraeval.types import UserError

MODELS = ("tora", "motionctrl", "dragnuwa", "static", "ground_truth")
SWAPPED = {"tora": "static", "static": "tora"}


@pytest.fixture
def results(make_run, tmp_path):
    for key, tracker, seen in (("a" * 12, "lucas_kanade", None), ("b" * 12, "dis_flow", SWAPPED)):
        for model in MODELS:
            make_run(tmp_path, model, 6, key=key, tracker=tracker, seen=seen, video=False)
    return tmp_path


def test_ranks_and_tau_leave_the_reference_rows_out(results):
    (found,) = compare_trackers(results)
    assert list(found.means.columns) == ["dis_flow", "lucas_kanade"]
    assert set(found.means.index) == set(MODELS)
    assert len(found.cases) == 3
    # the second tracker sees a frozen clip in place of Tora's, which falls behind all that were worse before
    first = found.means["lucas_kanade"]
    overtaken = int((first[["motionctrl", "dragnuwa"]] > first["tora"]).sum())
    assert found.tau["dis_flow", "lucas_kanade"] == pytest.approx(1 - 2 * overtaken / 3)
    assert overtaken
    text = found.text()
    assert "3 models" in text
    assert "| ground_truth | 0." in text


def test_equal_trackers_agree(make_run, tmp_path):
    for key, tracker in (("a" * 12, "lucas_kanade"), ("b" * 12, "dis_flow")):
        for model in MODELS:
            make_run(tmp_path, model, 6, key=key, tracker=tracker, video=False)
    (found,) = compare_trackers(tmp_path)
    assert found.tau["dis_flow", "lucas_kanade"] == pytest.approx(1)


def test_other_videos_take_no_part(make_run, results):
    make_run(results, "tora", 6, key="c" * 12, tracker="third", video=False, sha256="other")
    make_run(results, "motionctrl", 6, key="c" * 12, tracker="third", video=False)
    (found,) = compare_trackers(results)
    assert list(found.means.columns) == ["dis_flow", "lucas_kanade"]
    assert any("tora under third: 3 other videos" in note for note in found.left_out)


def test_one_tracker_is_not_enough(make_run, tmp_path, capsys):
    make_run(tmp_path, "tora", 6, video=False)
    with pytest.raises(
        UserError,
        match=r"holds runs of lucas_kanade.*two models beside ground_truth and static, which are not ranked",
    ):
        compare_trackers(tmp_path)
    assert main(["compare-trackers", f"results={tmp_path}"]) == 2
    assert main(["compare-trackers", "here"]) == 2
    assert "here is not a run; allowed: folders like results/runs/SUITE/MODEL/RUN" in capsys.readouterr().err


def test_a_run_folder_names_its_suite_length_and_size(make_run, results, capsys):
    for key, tracker in (("d" * 12, "lucas_kanade"), ("e" * 12, "dis_flow")):
        for model in MODELS:
            folder = make_run(results, model, 9, key=key, tracker=tracker, video=False)
    assert [found.frames for found in compare_trackers(results)] == [6, 9]
    assert main(["compare-trackers", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "9 frames" in printed
    assert "6 frames" not in printed
    assert main(["compare-trackers", str(folder), f"results={results}"]) == 2
    assert main(["compare-trackers", str(folder.parent)]) == 2


def test_the_verb_prints_it(results, capsys):
    assert main(["compare-trackers", f"results={results}"]) == 0
    assert "Kendall's tau of the order under dis_flow and lucas_kanade" in capsys.readouterr().out


@pytest.mark.long
def test_it_stands_under_the_table_of_a_report(results, capsys):
    folders = [str(path.parent) for path in sorted(results.glob("runs/*/*/*/record.json"))]
    assert main(["report", *folders, f"out={results / 'report'}"]) == 0
    assert "Kendall's tau" in capsys.readouterr().out
    assert under_tables(results / "none") == ""
