"""Own clips: which paths belong to which, what lies beside them, what is not scored, and where results go."""

from __future__ import annotations

import json
import os
import shutil
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.fake_parts import FakeSuite, config, draw
from toraeval.cli.output import metrics_without_value, unscored_lines
from toraeval.cli.run import tables_and_page
from toraeval.cli.score import with_reference_metrics
from toraeval.config import default_metrics
from toraeval.inputs.pairing import gather_numbered, gather_objects, pair_names
from toraeval.run import pipeline
from toraeval.run.own_videos import plan_score
from toraeval.run.plan import plan_run
from toraeval.types import UserError, Video
from toraeval.video import write_lossless

SIDE, FRAMES = 64, 6


pytestmark = pytest.mark.usefixtures("fakes")


def track(row: float) -> np.ndarray:
    return np.stack([np.linspace(10, 40, FRAMES).round(), np.full(FRAMES, row)], axis=-1)


def clip(path: Path, row: float = 20.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_suffix(".mkv")
    write_lossless(Video.from_thwc(draw(track(row), SIDE), 8.0), made)
    return made.rename(path)


def paths(path: Path, row: float = 20.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, track(row)[None])
    return path


def plain(root: Path, **changes: Any) -> dict[str, Any]:
    options = {"videos": str(root / "v"), "trajectories": str(root / "t"), "label": None, "align": "resample"}
    made = {**config(root / "results"), **options, "canvas": "clip", **changes}
    for unused in ("model", "suite", "frames", "height", "width", "seeds", "samples", "floor"):
        made.pop(unused)
    return made


def score(root: Path, **changes: Any) -> pipeline.Report:
    return pipeline.run(plan_score(plain(root, **changes)), command="test")


def errors(report: pipeline.Report) -> dict[str, float]:
    return dict(zip(report.result.cases["case"], report.result.cases["traj_error"], strict=True))


@pytest.mark.parametrize(
    ("clips", "stems"),
    [
        (["video_1", "video_2", "video_10"], ["traj_01", "traj_02", "traj_10"]),
        (["0001", "0002"], ["1", "2"]),
        (["clip_00_512", "clip_01_512"], ["0", "1"]),
        (["Seed-3_prompt (2)", "Seed-4_prompt (2)"], ["p3", "p4"]),
        (["cat_cfg7.0", "cat_cfg7.5"], ["cat_cfg7.5", "cat_cfg7.0"]),
        (["Wan2.1", "Wan2.2"], ["Wan2.1", "Wan2.2"]),
        (["A", "b"], ["a", "B"]),
        ([unicodedata.normalize("NFC", "é"), "x"], ["x", unicodedata.normalize("NFD", "é")]),
    ],
)
def test_names_are_paired_whatever_their_order(clips: list[str], stems: list[str]) -> None:
    def key(name: str) -> Any:
        return unicodedata.normalize("NFC", name).casefold()

    for one in (stems, stems[::-1]):
        found = pair_names(clips, one).partner
        assert set(found) == set(clips)
        if {key(c) for c in clips} == {key(s) for s in stems}:
            assert all(key(a) == key(b) for a, b in found.items())
        else:
            assert [found[name] for name in clips] == stems


@pytest.mark.parametrize(
    ("clips", "stems"),
    [
        (["video_1", "video_2"], ["traj_0", "traj_1"]),  # counted from another number
        (["video_1", "video_2"], ["traj_1", "other_2"]),
        (["a", "b"], ["x", "y"]),
        (["a1", "a01"], ["b1", "b2"]),  # one number twice
    ],
)
def test_what_only_order_could_pair_stays_alone(clips: list[str], stems: list[str]) -> None:
    found = pair_names(clips, stems)
    assert not found.partner
    assert list(found.alone) == clips
    assert list(found.left_over) == stems


def test_the_handed_folders_score_a_tenth_of_a_pixel(tmp_path: Path, data_dir: Path) -> None:
    video = data_dir / "faults" / "video"
    for name in ("names_sort", "cfg"):
        made = plain(
            tmp_path / name,
            videos=str(video / name),
            trajectories=str(video / f"{name}_t"),
            canvas=None,
            tracker={"name": "lucas_kanade"},
        )
        found = errors(pipeline.run(plan_score(made), command="test"))
        assert len(found) >= 2
        assert max(found.values()) < 0.15


def test_a_file_named_like_one_clip_serves_that_clip_only(tmp_path: Path) -> None:
    for name in "abc":
        clip(tmp_path / "v" / f"{name}.mkv")
    plan = plan_score(plain(tmp_path, trajectories=str(paths(tmp_path / "t" / "a.npy"))))
    assert [case.id for _, case in plan.cases] == ["a"]
    assert "without paths, not scored: b, c" in plan.notes


def test_one_file_serves_all_if_asked_or_if_named_like_none(tmp_path: Path) -> None:
    for name in "ab":
        clip(tmp_path / "v" / f"{name}.mkv")
    for given in (f"all:{paths(tmp_path / 'a.npy')}", str(paths(tmp_path / "path.npy"))):
        plan = plan_score(plain(tmp_path, trajectories=given))
        assert [case.id for _, case in plan.cases] == ["a", "b"]
        assert any("these paths serve all 2 clips" in note for note in plan.notes)
        assert all("one set of paths" in case.tags["paths_by"] for _, case in plan.cases)


def test_several_files_per_clip_need_the_explicit_form(tmp_path: Path) -> None:
    clip(tmp_path / "v" / "walk.mkv")
    for number in (1, 2):
        paths(tmp_path / "t" / f"walk.obj{number}.npy", 10.0 * number)
    plan = plan_score(plain(tmp_path))
    assert plan.cases[0][1].trajectories.num_objects == 2
    shutil.rmtree(tmp_path / "t")
    paths(tmp_path / "t" / "walk.1.npy")
    with pytest.raises(UserError, match=r"walk\.1 may be the paths of a clip of that name.*walk\.obj1\.npy"):
        plan_score(plain(tmp_path))
    assert gather_objects(["cat_cfg7.0", "cat_cfg7.5"], ["cat_cfg7.0", "cat_cfg7.5"]).doubtful == {}


def test_what_is_in_the_folder_and_is_not_scored_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "v"
    clip(folder / "A.MKV")
    for name in (".DS_Store", "._A.mkv", "Thumbs.db", "desktop.ini"):
        (folder / name).write_bytes(b"\0\1")
    (folder / "__MACOSX").mkdir()
    clip(folder / "more" / "b.mkv")
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("hello")
    os.symlink(folder / "gone.mp4", folder / "link.mp4")
    (folder / "frames").mkdir()
    for t, frame in enumerate(draw(track(20.0), SIDE)):
        Image.fromarray(frame).save(folder / "frames" / f"{t:03d}.PNG")
    paths(tmp_path / "path.npy")
    plan = plan_score(plain(tmp_path, trajectories=str(tmp_path / "path.npy")))
    assert sorted(case.id for _, case in plan.cases) == ["A", "frames"]
    (said,) = (note for note in plan.notes if "also holds" in note)
    for words in (
        "more (folder with 1 video",
        "empty (folder without clips)",
        "notes.txt (not a video)",
        "link.mp4 (broken link)",
        "5 hidden files",
    ):
        assert words in said
    report = pipeline.run(plan, command="test")
    assert max(errors(report).values()) < 0.5
    assert plan.notes[0] in json.loads((report.result.run_dir / "record.json").read_text())["notes"]


def test_references_give_what_compares_clips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, row in (("a", 20.0), ("b", 30.0)):
        clip(tmp_path / "v" / f"{name}.mkv", row)
        clip(tmp_path / "real" / f"{name.upper()}.mkv", row)
        paths(tmp_path / "t" / f"{name}.npy", row)
    write_lossless(Video.from_thwc(np.zeros((3, 64, 64, 3), np.uint8), 8.0), tmp_path / "real" / "c.mkv")
    metrics = {name: {"name": name} for name in ("psnr", "ssim", "fvd")}
    report = score(tmp_path, references=str(tmp_path / "real"), metrics=metrics)
    rows = report.result.cases.set_index("case")
    assert rows["psnr"].tolist() == pytest.approx([100.0, 100.0], abs=60)
    assert rows["ssim"].tolist() == pytest.approx([1.0, 1.0])
    without = metrics_without_value(tables_and_page(report, str(tmp_path))[1], metrics)
    assert list(without) == ["fvd"]
    assert "frames" in without["fvd"] or "videos" in without["fvd"]
    shutil.copy(tmp_path / "real" / "c.mkv", tmp_path / "real" / "A.mkv")
    plan = plan_score(plain(tmp_path, references=str(tmp_path / "real"), metrics=metrics))
    assert any("A.mkv has 3 frames of 64x64, the clip 6 of 64x64" in note for note in plan.notes)


def test_references_choose_their_metrics_unless_some_were_chosen() -> None:
    default = {name: {"name": name} for name in default_metrics("score")}
    assert {"fvd", "lpips", "ssim", "psnr"} <= set(
        with_reference_metrics({"references": "x", "metrics": default})["metrics"]
    )
    chosen = {"references": "x", "metrics": {"traj_error": {"name": "traj_error"}}}
    assert with_reference_metrics(chosen) is chosen
    assert with_reference_metrics({"references": None, "metrics": default})["metrics"] is default


def test_other_paths_or_another_folder_of_the_same_name_is_another_run(tmp_path: Path) -> None:
    clip(tmp_path / "v" / "a.mkv")
    clip(tmp_path / "other" / "v" / "a.mkv")
    one, two = paths(tmp_path / "t1" / "a.npy"), paths(tmp_path / "t2" / "a.npy", 25.0)
    plans = [
        plan_score(plain(tmp_path, trajectories=str(one))),
        plan_score(plain(tmp_path, trajectories=str(two))),
        plan_score(plain(tmp_path, trajectories=str(one), videos=str(tmp_path / "other" / "v"))),
    ]
    assert len({plan.run_dir for plan in plans}) == 3
    assert plans[0].fingerprint != plans[1].fingerprint
    assert plans[0].fingerprint == plans[2].fingerprint
    renamed = shutil.copytree(tmp_path / "t1", tmp_path / "t3")
    assert plan_score(plain(tmp_path, trajectories=str(renamed))).run_dir == plans[0].run_dir


def test_unscored_clips_are_counted_and_nothing_scored_is_exit_1(tmp_path: Path, data_dir: Path) -> None:
    video = data_dir / "faults" / "video"
    made = plain(tmp_path, videos=str(video / "n1.mp4"), trajectories=str(video / "path.json"), canvas=None)
    report = pipeline.run(plan_score(made), command="test")
    assert report.exit_code == 1
    (line,) = unscored_lines(report)
    assert line.startswith("0 scored, 1 unscored: n1 (")


@pytest.mark.parametrize("label", ["../../out", "/abs", "..", "a/b", "con\nfig", "x" * 300])
def test_a_label_never_leaves_the_results_folder(tmp_path: Path, label: str) -> None:
    clip(tmp_path / "v" / "a.mkv")
    paths(tmp_path / "t" / "a.npy")
    report = score(tmp_path, label=label)
    assert report.result.run_dir.resolve().is_relative_to((tmp_path / "results").resolve())
    assert report.result.cases["model"].tolist() == [label]


def test_a_case_id_that_is_no_folder_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = FakeSuite.cases

    def cases(self: Any, *size: Any) -> Any:
        return [replace(case, id=f"../{case.id}") for case in ours(self, *size)]

    monkeypatch.setattr(FakeSuite, "cases", cases)
    with pytest.raises(UserError, match=r"case id '\.\./"):
        plan_run({**config(tmp_path), "frames": 11})


def test_numbers_of_names_are_no_objects_in_a_suite_folder() -> None:
    def found(*stems: str, others: tuple[str, ...] = ()) -> dict[str, list[int]]:
        return {n: [i for i, _ in members] for n, members in gather_numbered(stems, others).items()}

    assert found("cat_cfg7.0", "cat_cfg7.5") == {"cat_cfg7.0": [0], "cat_cfg7.5": [0]}
    assert found("Wan2.1") == {"Wan2.1": [0]}
    assert found("fox.1", "fox.2") == {"fox": [1, 2]}
    assert found("fox.obj2", "fox.obj1", "owl") == {"fox": [1, 2], "owl": [0]}
    assert found("m.1", "m.2", others=("m.1", "m.2")) == {"m.1": [0], "m.2": [0]}


@pytest.mark.parametrize("label", ["ground_truth", "static"])
def test_own_clips_do_not_stand_as_reference_rows(tmp_path: Path, label: str) -> None:
    clip(tmp_path / "v" / "a.mkv")
    paths(tmp_path / "t" / "a.npy")
    with pytest.raises(UserError, match="a name of the reference rows"):
        plan_score(plain(tmp_path, label=label))
