"""The whole report from run folders."""

import numpy as np
import pandas as pd
import pytest

from toraeval.report.assemble import build
from toraeval.report.collect import collect
from toraeval.store.sealed import read_json, write_arrays, write_json

# The first test pays for the imports of SciPy and matplotlib, which crawl on a busy machine.
pytestmark = pytest.mark.timeout(180)


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_report_has_every_file_and_names_them(built, bench):
    assert set(contents(built)) >= {
        "table1.csv",
        "table1.md",
        "table1.definition.json",
        "error_over_time.csv",
        "error_over_time.png",
    }
    assert len(list((built / "samples").glob("*.webp"))) == 2


def test_equal_runs_give_equal_bytes_in_any_order(built, bench, tmp_path):
    written = build(reversed(bench), tmp_path, sheets_per_length=1)
    assert contents(tmp_path) == contents(built)
    assert sorted(str(path.relative_to(tmp_path)) for path in written) == sorted(contents(tmp_path))


def test_incomparable_groups_get_folders_of_their_own(make_run, tmp_path):
    runs = [make_run(tmp_path, "tora", 6), make_run(tmp_path, "tora", 6, size=(32, 32))]
    build(runs, tmp_path / "out", sheets_per_length=0)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "test-v1-lucas_kanade-32x32",
        "test-v1-lucas_kanade-64x48",
        "resolutions.csv",
        "resolutions.png",
    }


@pytest.mark.parametrize("failed", [("line-000", "curve-001", "wave-002")])
def test_report_of_a_run_that_failed_everywhere_is_still_written(make_run, tmp_path, failed):
    build([make_run(tmp_path, "tora", 6, failed=failed)], tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "table1.csv",
        "table1.md",
        "table1.definition.json",
        "metrics.csv",
        "ratios.csv",
        "error_over_time.csv",
        "by_case.csv",
    }


def test_clips_of_their_own_length_and_size_are_reported_over_shares_of_the_clip(make_run, tmp_path):
    run = make_run(tmp_path, "precomputed", 6)
    record = read_json(run / "record.json")
    record["run"] |= {"frames": 0, "height": 0, "width": 0}
    write_json(run / "record.json", record)
    build([run], tmp_path / "out", sheets_per_length=1)
    curves = pd.read_csv(tmp_path / "out" / "error_over_time.csv")
    assert curves["frame"].isna().all()
    assert curves["time"].max() == 1.0
    assert "each clip's own size" in (tmp_path / "out" / "table1.md").read_text()
    (group,) = collect([run])
    assert (group.name, group.size) == ("test-v1-lucas_kanade-own-size", "each clip's own size")
    assert len(list((tmp_path / "out" / "samples").glob("*.webp"))) == 1


def test_pictures_are_drawn_again_only_when_they_would_differ(make_run, tmp_path):
    run = make_run(tmp_path, "tora", 6)
    build([run], tmp_path / "out", sheets_per_length=None)
    pictures = sorted(path for path in (tmp_path / "out").rglob("*") if path.suffix in (".png", ".webp"))
    assert len(pictures) == 4
    before = {path: path.stat().st_mtime_ns for path in pictures}
    build([run], tmp_path / "out", sheets_per_length=None)
    assert {path: path.stat().st_mtime_ns for path in pictures} == before

    with np.load(run / "cases" / "line-000" / "tracks.npz") as stored:
        arrays = dict(stored)
    arrays["tracks_NT2"] = arrays["tracks_NT2"] + 3.0
    write_arrays(run / "cases" / "line-000" / "tracks.npz", arrays)
    build([run], tmp_path / "out", sheets_per_length=None)
    changed = [path.name for path in pictures if path.stat().st_mtime_ns != before[path]]
    assert changed == ["line-000_006f.webp"]


def test_sheets_of_a_former_ranking_go_and_pictures_of_others_stay(bench, tmp_path):
    import shutil

    build(bench, tmp_path, sheets_per_length=1)
    samples = tmp_path / "samples"
    current = {path.name for path in samples.glob("*.webp")}
    shutil.copy(next(samples.glob("*.webp")), samples / "former_016f.webp")
    (samples / "mine.webp").write_bytes(b"not drawn by a report")
    build(bench, tmp_path, sheets_per_length=1)
    assert {path.name for path in samples.glob("*.webp")} == current | {"mine.webp"}
