"""Importers of public benchmarks: axis order, pixel centres, visibility, scaling rules, and what is missing."""

from __future__ import annotations

import json
import pickle
import time

import numpy as np
import pytest
from PIL import Image

from tests.suites import layouts
from toraeval import registry
from toraeval.__main__ import main
from toraeval.suites.shared.run_lengths import decode
from toraeval.types import UserError

FRAMES, SIZE = 11, (64, 40)
PATH = layouts.tracks(3, FRAMES)


def cases(name, path, frames=FRAMES, size=SIZE, **options):
    return registry.build("suite", {"name": name, "path": str(path), **options}).cases(
        frames, size[1], size[0]
    )


def test_movebench(tmp_path):
    root = layouts.movebench(tmp_path, 2, FRAMES, SIZE)
    found = cases("movebench", root)
    assert [case.id for case in found] == ["clip_0000", "clip_0001"]
    assert [case.seed for case in found] == [0, 1]
    assert found[0].prompt == "a caption, with commas, of clip_0000"
    np.testing.assert_allclose(found[0].trajectories.tracks_NT2, PATH[:1])
    assert found[0].first_frame_HWC.shape == (40, 64, 3)
    assert found[0].reference().video.num_frames == FRAMES
    assert cases("movebench", root, tracks="multi")[0].trajectories.num_objects == 3


def test_half_the_frames_fall_on_frames_of_the_real_clip_and_others_do_not(tmp_path):
    root = layouts.movebench(tmp_path, 1, FRAMES, SIZE)
    (half,) = cases("movebench", root, frames=6)
    np.testing.assert_array_equal(half.reference().video.thwc, layouts.pictures(FRAMES, SIZE)[::2])
    assert cases("movebench", root, frames=7)[0].reference is None


def test_another_size_moves_paths_with_the_picture(tmp_path):
    root = layouts.movebench(tmp_path, 1, FRAMES, SIZE, with_video=False)
    (case,) = cases(
        "movebench", root, size=(108, 80)
    )  # scaled by 2 to 128x80, 10 pixels cropped on either side
    x, y = 2 * (PATH[0, :, 0] + 0.5) - 0.5 - 10, 2 * (PATH[0, :, 1] + 0.5) - 0.5
    np.testing.assert_allclose(case.trajectories.tracks_NT2[0], np.stack([x, y], -1))
    assert case.first_frame_HWC.shape == (80, 108, 3)


def test_a_crop_that_removes_every_start_names_the_size_of_the_protocol(tmp_path):
    root = layouts.movebench(tmp_path, 1, FRAMES, SIZE, with_video=False)
    with pytest.raises(UserError, match=r"frames=81 height=480 width=832"):
        cases("movebench", root, size=(20, 40))


def test_mc_bench_paths_are_its_monotone_cubic_at_16_moments(tmp_path):
    found = cases("mc_bench", layouts.mc_bench(tmp_path, SIZE), frames=16)
    assert [case.id for case in found] == ["object_control_case", "Fine_grained_control_case"]
    first = found[0].trajectories
    np.testing.assert_allclose(first.tracks_NT2[0, [0, -1]], [[6, 8], [14, 10]])
    np.testing.assert_allclose(first.tracks_NT2[1], [[20, 20]] * 16)
    assert found[0].reference is None


def test_davis_centroids_masks_and_years(tmp_path):
    (case,) = cases("davis", layouts.davis(tmp_path / "17", FRAMES, SIZE))
    np.testing.assert_allclose(
        case.trajectories.tracks_NT2, np.floor(PATH[:2]), atol=0.8
    )  # they overlap a little
    assert case.reference().masks().shape == (2, FRAMES, 40, 64)
    (binary,) = cases("davis", layouts.davis(tmp_path / "16", FRAMES, SIZE, 2016), year=2016)
    assert binary.trajectories.num_objects == 1


@pytest.mark.parametrize("maps", ["masks", "boxs"])
def test_magicdata_colours_are_objects(maps, tmp_path):
    (case,) = cases("magicdata", layouts.magicdata(tmp_path, FRAMES, SIZE), maps=maps)
    assert case.prompt == "a thing, moving"
    np.testing.assert_allclose(case.trajectories.tracks_NT2, np.floor(PATH[:2]), atol=0.8)
    assert case.reference().masks()[0, 0].sum() in (25, 24, 23, 22, 21)


@pytest.mark.parametrize("jpeg", [False, True])
def test_tapvid_queries_begin_where_a_point_is_first_seen(jpeg, tmp_path):
    path = layouts.tapvid(tmp_path / "tapvid_davis.pkl", FRAMES, SIZE, jpeg)
    built = registry.build("suite", {"name": "tapvid", "path": str(path)})
    assert [clip.name for clip in built.clips] == ["horse.f0", "horse.f4"]
    at_start = built.case(built.clips[0], FRAMES, 40, 64)
    np.testing.assert_allclose(at_start.trajectories.tracks_NT2, PATH[:1], atol=1e-4)
    late = built.case(built.clips[1], FRAMES - 4, 40, 64)
    np.testing.assert_allclose(late.trajectories.tracks_NT2, PATH[1:2, 4:], atol=1e-4)
    assert late.first_frame_HWC.shape == (40, 64, 3)
    assert late.reference().video.num_frames == FRAMES - 4


def test_the_scaling_rule_of_tapvid_is_an_option_and_part_of_the_fingerprint(tmp_path):
    path = layouts.tapvid(tmp_path / "a.pkl", FRAMES, SIZE)
    suites = [
        registry.build("suite", {"name": "tapvid", "path": str(path), "scale": scale})
        for scale in ("tapnet", "cotracker")
    ]
    tapnet, cotracker = (
        suite.case(suite.clips[0], FRAMES, 40, 64).trajectories.tracks_NT2 for suite in suites
    )
    fraction = (PATH[:1] + 0.5) / SIZE
    np.testing.assert_allclose(cotracker, fraction * (np.array(SIZE) - 1), atol=1e-4)
    assert np.abs(tapnet - cotracker).max() > 0.1
    assert suites[0].fingerprint() != suites[1].fingerprint()


def test_strided_queries_take_every_point_seen_in_that_frame(tmp_path):
    path = layouts.tapvid(tmp_path / "a.pkl", FRAMES, SIZE)
    built = registry.build("suite", {"name": "tapvid", "path": str(path), "query": "strided"})
    assert [clip.tags["query_frame"] for clip in built.clips] == [0, 5]
    assert built.case(built.clips[1], 6, 40, 64).trajectories.num_objects == 2


def test_kubric_visibility_is_true_where_hidden_and_points_are_spread(tmp_path):
    root = layouts.kubric(tmp_path, FRAMES, SIZE)
    (case,) = cases("kubric", root)
    assert case.trajectories.visible_NT[0].tolist() == [True, True, False] + [True] * (FRAMES - 3)
    (two,) = cases("kubric", root, points=2)
    np.testing.assert_allclose(two.trajectories.tracks_NT2, PATH[[0, 2]], atol=1e-4)


def test_flexbench_takes_the_middle_track_of_every_segment(tmp_path):
    root = layouts.flexbench(tmp_path, FRAMES, SIZE)
    with pytest.raises(UserError, match=r"second: unaligned.*allow_missing=true"):
        cases("flexbench", root)
    (case,) = cases("flexbench", root, allow_missing=True)
    np.testing.assert_allclose(case.trajectories.tracks_NT2, PATH[:2], atol=1e-6)
    assert case.prompt == "a thing moves"
    layouts.video(
        root / "real" / "a.mp4", FRAMES + 9, SIZE
    )  # the authors take as many frames as there are tracks
    assert cases("flexbench", root, allow_missing=True)[0].reference().video.num_frames == FRAMES


def test_the_flexbench_fixture_is_whole(data_dir):
    first, second = cases("flexbench", data_dir / "flexbench", 9, (48, 32))
    assert [first.prompt, second.prompt] == ["a thing moves", "another thing moves"]
    np.testing.assert_allclose(first.trajectories.tracks_NT2, layouts.tracks(2, 9), atol=1e-6)
    assert first.reference().video.num_frames == 9


def test_compressed_run_lengths_are_those_of_plain_ones(tmp_path):
    # "04" at 48 + value: runs 0, 4 and so on; made by hand from the layout: 5 bits a character, little end first
    plain = decode(tmp_path, {"size": [2, 20], "counts": [3, 35, 2]})
    # 3 -> "3"; 35 = 3 + 1*32 -> 48+3+32, 48+1; third stands as it is: 2 -> "2"
    packed = decode(tmp_path, {"size": [2, 20], "counts": bytes([51, 83, 49, 50])})
    np.testing.assert_array_equal(plain, packed)
    assert plain.sum() == 35
    # from the fourth on differences to the run two before: 2 - 35 = -33 and 0
    longer = decode(tmp_path, {"size": [1, 42], "counts": [3, 35, 2, 2]})
    again = decode(tmp_path, {"size": [1, 42], "counts": bytes([51, 83, 49, 50, 48 + 31 + 32, 48 + 30])})
    np.testing.assert_array_equal(longer, again)


@pytest.mark.parametrize(
    "mask",
    [
        {"size": [2, 2], "counts": [1, 2]},
        {"size": [2], "counts": [4]},
        {"size": [2, 2], "counts": b"\x00"},
        {"size": [2, 2], "counts": 7},
        {"size": [2, 2], "counts": bytes([83])},
        {"size": [10**6, 10**6], "counts": [10**12]},
    ],
)
def test_wrong_run_lengths_are_one_line(mask, tmp_path):
    with pytest.raises(UserError):
        decode(tmp_path, mask)


def test_what_is_missing_is_named_and_can_be_left_out(tmp_path):
    root = layouts.movebench(tmp_path, 3, FRAMES, SIZE, with_video=False)
    (root / "en" / "first_frame" / "clip_0001.jpg").unlink()
    with pytest.raises(
        UserError, match=r"clip_0001: en/first_frame/clip_0001.jpg is missing.*validate suite=movebench"
    ):
        cases("movebench", root)
    found = registry.build("suite", {"name": "movebench", "path": str(root), "allow_missing": True})
    assert [clip.name for clip in found.clips] == ["clip_0000", "clip_0002"]
    assert found.fingerprint()["left_out"] == ["clip_0001"]
    assert "clip_0001 is left out" in found.notes[0]


@pytest.mark.parametrize(
    "name", ["movebench", "mc_bench", "magicdata", "davis", "tapvid", "kubric", "flexbench"]
)
def test_another_folder_says_what_is_expected(name, tmp_path):
    with pytest.raises(UserError, match=r"expected there|is missing"):
        cases(name, tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        cases(name, tmp_path / "none")


@pytest.mark.parametrize("name", ["kubric", "davis", "movebench", "mc_bench", "magicdata"])
def test_a_file_instead_of_a_folder_says_what_is_expected(name, tmp_path):
    file = tmp_path / "a.npy"
    file.write_bytes(b"")
    with pytest.raises(UserError, match=r"expected there|is missing"):
        cases(name, file)


def test_where_nothing_is_complete_the_reason_is_said(tmp_path):
    root = layouts.movebench(tmp_path, 2, FRAMES, SIZE, with_video=False)
    (root / "en" / "first_frame" / "clip_0000.jpg").unlink()
    (root / "en" / "first_frame" / "clip_0001.jpg").unlink()
    with pytest.raises(
        UserError, match=r"none of 2 .*clip_0000: en/first_frame/clip_0000.jpg is missing, and 1"
    ):
        cases("movebench", root, allow_missing=True)


def test_a_name_that_stands_twice_far_apart_is_one_case(tmp_path):
    root = layouts.movebench(tmp_path, 6, FRAMES, SIZE, with_video=False)
    listing = root / "en" / "single_track.txt"
    listing.write_text(listing.read_text() + "other/clip_0000.mp4,again\n")
    with pytest.raises(UserError, match="clip_0000 again: another case has this name"):
        cases("movebench", root)
    assert len(cases("movebench", root, allow_missing=True)) == 6


def test_paths_of_one_moment_are_no_paths(tmp_path):
    root = layouts.movebench(tmp_path, 1, 1, SIZE, with_video=False)
    with pytest.raises(UserError, match="1 moment; allowed: 2 or more"):
        cases("movebench", root)


def test_a_drag_in_the_corner_of_the_picture_is_in_pixels(tmp_path):
    root = layouts.mc_bench(tmp_path, SIZE)
    file = root / "object_control" / "case" / "meta_data_new.json"
    file.write_text('{"traj_key_points": [[[0, 0]], [[1, 1]]]}')
    found = cases("mc_bench", root, frames=16, kind="object_control")[0].trajectories
    np.testing.assert_array_equal(found.tracks_NT2, np.repeat([[[0.0, 0.0]], [[1.0, 1.0]]], 16, axis=1))
    file.write_text('{"traj_key_points": [[[0.1, 0.2], [0.5, 0.9]]]}')
    with pytest.raises(UserError, match="look like fractions"):
        cases("mc_bench", root, frames=16, kind="object_control")


def test_two_captions_of_one_video_are_refused(tmp_path):
    root = layouts.magicdata(tmp_path, FRAMES, SIZE)
    (root / "MagicData.csv").write_text("video,caption\nclip.mp4,one\nclip.mp4,two\n")
    with pytest.raises(UserError, match=r"MagicData.csv:3: another caption of clip: two; the first one: one"):
        cases("magicdata", root)


def test_maps_that_were_compressed_with_loss_are_refused(tmp_path):
    root = layouts.magicdata(tmp_path, FRAMES, SIZE)
    noise = np.random.default_rng(0).integers(1, 255, (SIZE[1], SIZE[0], 3)).astype(np.uint8)
    Image.fromarray(noise).save(root / "masks" / "clip" / "annotated_frame_00000.png")
    with pytest.raises(UserError, match=r"colours in the first map; expected: one flat colour per object"):
        cases("magicdata", root)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"occluded": np.full((3, FRAMES), 0.5)}, "wrong occluded"),
        ({"occluded": np.ones((3, FRAMES), bool)}, "none of 3 points is asked for"),
        ({"video": [b"xx"] * FRAMES}, r"not a readable picture \(2 bytes\)"),
        ({"video": layouts.pictures(FRAMES, SIZE)[..., 0]}, r"uint8 \(40, 64\); expected: uint8 \(H,W,3\)"),
        ({"video": layouts.pictures(5, SIZE)}, "does not fit a video of 5 frames"),
    ],
)
def test_a_wrong_item_of_tapvid_is_named(change, told, tmp_path):
    path = layouts.tapvid(tmp_path / "a.pkl", FRAMES, SIZE)
    good = pickle.loads(path.read_bytes())["horse"]
    path.write_bytes(pickle.dumps({"horse": good, "dog": {**good, **change}}))
    with pytest.raises(UserError, match=f"dog: .*{told}"):
        cases("tapvid", path)


def test_labels_of_kinetics_without_videos_say_what_is_needed(tmp_path):
    (tmp_path / "tapvid_kinetics.csv").write_text("clip,0.1,0.2,0\n")
    with pytest.raises(UserError, match=r"\.csv; allowed: \.pkl.*generate_tapvid"):
        cases("tapvid", tmp_path / "tapvid_kinetics.csv")


def test_a_folder_of_pickles_is_read_whatever_the_case_of_their_suffix(tmp_path):
    layouts.tapvid(tmp_path / "A.PKL", FRAMES, SIZE)
    layouts.tapvid(tmp_path / "b.pickle", FRAMES, SIZE)
    found = registry.build("suite", {"name": "tapvid", "path": str(tmp_path)})
    assert [clip.name for clip in found.clips] == ["A_horse.f0", "A_horse.f4", "b_horse.f0", "b_horse.f4"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"validation_video": "../../a.mp4"}, "expected: a file below"),
        ({"validation_video": None}, "validation_video: None"),
        ({"validation_prompt": None}, "validation_prompt: None; expected: text"),
    ],
)
def test_a_wrong_entry_of_flexbench_is_named(change, told, tmp_path):
    root = layouts.flexbench(tmp_path, FRAMES, SIZE)
    listing = root / "flexbench.json"
    groups = json.loads(listing.read_text())
    groups[0]["validations"] = [{**groups[0]["validations"][0], **change}]
    listing.write_text(json.dumps(groups))
    with pytest.raises(UserError, match=f"first: .*{told}"):
        cases("flexbench", root)


def test_a_hostile_pickle_runs_nothing(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    with pytest.raises(UserError):
        cases("tapvid", path)
    assert not (tmp_path / "ran").exists()


def test_many_cases_hold_no_pictures(tmp_path):
    root = layouts.movebench(tmp_path, 60, 81, SIZE, with_video=False)
    start = time.process_time()
    found = cases("movebench", root, frames=81)
    assert len(found) == 60
    assert all("first_frame_HWC" not in vars(case) for case in found)
    assert not found[0].trajectories.visible_NT[0, -1]  # it leaves the picture, whatever the file calls it
    assert time.process_time() - start < 3  # a thousand in five seconds is the aim; processors differ


def test_what_is_left_out_is_printed_and_kept(tmp_path, capsys):
    root = layouts.movebench(tmp_path / "data", 2, FRAMES, SIZE)
    (root / "en" / "first_frame" / "clip_0001.jpg").unlink()
    arguments = ["run", "model=static", "suite=movebench", f"suite.path={root}", "suite.allow_missing=true"]
    size = [f"frames={FRAMES}", f"height={SIZE[1]}", f"width={SIZE[0]}", "metric=traj_error", "floor=false"]
    assert main([*arguments, *size, f"results={tmp_path / 'results'}"]) == 0
    assert "clip_0001 is left out" in capsys.readouterr().out
    (record,) = (tmp_path / "results").glob("runs/*/*/*/record.json")
    assert "clip_0001 is left out" in record.read_text()


def test_tapvid_clips_keep_their_length_and_are_squeezed(tmp_path):
    path = layouts.tapvid(tmp_path / "a.pkl", FRAMES, SIZE)
    built = registry.build("suite", {"name": "tapvid", "path": str(path)})
    first, late = built.cases(16, 32, 32)
    assert (first.frames, late.frames) == (FRAMES, FRAMES - 4)
    x, y = ((PATH[0] + 0.5) * (32 / SIZE[0], 32 / SIZE[1]) - 0.5).T
    np.testing.assert_allclose(first.trajectories.tracks_NT2[0], np.stack([x, y], -1), atol=1e-4)
    assert first.first_frame_HWC.shape == (32, 32, 3)
    assert late.reference().video.frames_TCHW.shape == (FRAMES - 4, 3, 32, 32)
    assert "7 to 11 frames, not frames=16" in built.notes[-1]


def test_a_case_that_a_crop_empties_can_be_left_out(tmp_path):
    root = layouts.movebench(tmp_path, 2, FRAMES, SIZE, with_video=False)
    moved = np.load(root / "en" / "track" / "single" / "clip_0001_tracks.npy") + np.array([20, 0], np.float32)
    np.save(root / "en" / "track" / "single" / "clip_0001_tracks.npy", moved)
    built = registry.build("suite", {"name": "movebench", "path": str(root), "allow_missing": True})
    (kept,) = built.cases(FRAMES, 40, 20)
    assert kept.id == "clip_0001"
    assert "clip_0000 is left out" in built.notes[0]
    assert built.fingerprint()["left_out"] == ["clip_0000"]


def test_suffixes_of_pictures_and_clips_may_be_in_capitals(tmp_path):
    root = layouts.movebench(tmp_path, 1, FRAMES, SIZE)
    for file in ((root / "en" / "first_frame" / "clip_0000.jpg"), (root / "en" / "video" / "clip_0000.mp4")):
        file.rename(file.with_suffix(file.suffix.upper()))
    (case,) = cases("movebench", root)
    assert case.first_frame_HWC.shape == (40, 64, 3)
    assert case.reference().video.num_frames == FRAMES


def test_a_clip_longer_than_its_paths_is_refused(tmp_path):
    root = layouts.movebench(tmp_path, 1, FRAMES, SIZE)
    layouts.video(root / "en" / "video" / "clip_0000.mp4", FRAMES + 2, SIZE)
    (case,) = cases("movebench", root)
    with pytest.raises(UserError, match="its video has 13 frames and its paths 11"):
        case.reference()
