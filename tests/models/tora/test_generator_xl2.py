"""The full sizes of the generator on tiny folders of weights: conditions, sizes, lengths, options, records."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models.tora import full_size
from tests.models.tora.full_size import make_case
from toraeval.models.tora.conditions.t5 import T5Captions
from toraeval.models.tora.generator import Tora
from toraeval.types import MissingAsset, UserError, Video

Folders = dict[str, str]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Weights of all three networks, laid out as the published ones."""
    root = tmp_path_factory.mktemp("weights")
    made = {
        "weights": full_size.write_dit(root / "dit"),
        "vae": full_size.write_vae(root / "vae"),
        "text_encoder": full_size.write_t5(root / "t5"),
    }
    return {name: str(path) for name, path in made.items()}


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORAEVAL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def tora(folders: Folders) -> Tora:
    return tiny(folders)


def tiny(folders: Folders, **options: Any) -> Tora:
    return Tora(**{"size": "tiny", "steps": 1, "precision": "fp32", "device": "cpu", **folders, **options})


def test_any_case_gives_a_clip_and_says_how(tora: Tora) -> None:
    video = tora.generate(make_case(16, 40, 50, count=2, camera=2), 0)
    assert video.frames_TCHW.shape == (16, 3, 40, 50)
    assert video.frames_TCHW.std() > 1
    assert video.fps == 24.0
    facts = {
        "requested": 16, "generated": 16, "length_mode": "exact", "seams": [], "generated_size": [48, 40],
        "resize": "pillow bicubic", "condition": "text", "trajectories": 4, "motion_weights": "stored",
        "prompt": "a red ball moves left aesthetic score: 6.5.", "prompt_tokens": [8], "prompt_tokens_limit": 8,
        "precision": "fp32", "device": "cpu",
    }  # fmt: skip
    assert facts.items() <= video.info.items()
    json.dumps(dict(video.info))


@pytest.mark.parametrize(("pictures", "kind"), [(0, "text"), (1, "first_frame"), (2, "first_last_frame")])
def test_given_frames_set_the_condition(tora: Tora, pictures: int, kind: str) -> None:
    assert tora.generate(make_case(9, pictures=pictures), 0).info["condition"] == kind


@pytest.mark.parametrize("count", [1, 16])
def test_one_to_sixteen_trajectories(tora: Tora, count: int) -> None:
    assert tora.generate(make_case(5, count=count), 0).info["trajectories"] == count


def test_a_prompt_may_hold_a_mask_strategy(tora: Tora) -> None:
    case = make_case(17, pictures=2, prompt='a red ball{"mask_strategy": "0,1,0,-1,1,0.5"}')
    video = tora.generate(case, 0)
    assert video.info["condition"] == "mask strategy 0,1,0,-1,1,0.5"
    assert video.info["prompt"] == "a red ball aesthetic score: 6.5."


BASE = make_case(9, pictures=2)


@pytest.fixture(scope="module")
def base_video(tora: Tora) -> Video:
    return tora.generate(BASE, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "other"},
        {"prompt": "the sea"},
        {"trajectories": make_case(9, count=2).trajectories},
        {"camera": make_case(9, count=3).trajectories},
        {"first_frame_HWC": BASE.last_frame_HWC},
        {"last_frame_HWC": None},
        {"first_frame_HWC": None, "last_frame_HWC": None},
        {"fps": 8.0},
    ],
)
def test_everything_that_is_given_changes_the_pixels(
    tora: Tora, base_video: Video, change: dict[str, Any]
) -> None:
    assert not np.array_equal(tora.generate(replace(BASE, **change), 0).frames_TCHW, base_video.frames_TCHW)


def test_the_seed_decides(tora: Tora, base_video: Video) -> None:
    assert np.array_equal(tora.generate(BASE, 0).frames_TCHW, base_video.frames_TCHW)
    assert not np.array_equal(tora.generate(BASE, 1).frames_TCHW, base_video.frames_TCHW)


# the tiny encoder takes 8 tokens, so the prompt is short and has no score
SHORT = make_case(5, pictures=1, prompt="the sea")


@pytest.fixture(scope="module")
def plain(folders: Folders) -> Tora:
    return tiny(folders, aesthetic=0)


@pytest.fixture(scope="module")
def plain_video(plain: Tora) -> Video:
    return plain.generate(SHORT, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 2},
        {"guidance": 3.0},
        {"precision": "bf16"},
        {"condition": "text"},
        {"aesthetic": 6.5},
        {"motion_score": 5.0},
        {"camera_motion": "pan left"},
        {"posterior": "sample"},
    ],
)
def test_options_change_pixels_and_fingerprint(
    folders: Folders, plain: Tora, plain_video: Video, change: dict[str, Any]
) -> None:
    other = tiny(folders, **{"aesthetic": 0, **change})
    assert other.fingerprint() != plain.fingerprint()
    assert not np.array_equal(other.generate(SHORT, 0).frames_TCHW, plain_video.frames_TCHW)


def test_the_fingerprint_names_all_options_but_places(
    folders: Folders, plain: Tora, plain_video: Video
) -> None:
    for change in ({"tiling": 8}, {"align": 5}, {"loop_frames": 34}, {"clean_prompt": False}):
        assert tiny(folders, **{"aesthetic": 0, **change}).fingerprint() != plain.fingerprint(), change
    elsewhere = tiny(folders, aesthetic=0, offload=True)
    assert elsewhere.fingerprint() == plain.fingerprint()
    assert np.array_equal(elsewhere.generate(SHORT, 0).frames_TCHW, plain_video.frames_TCHW)
    json.dumps(plain.fingerprint())


def test_long_videos_are_made_in_loops(folders: Folders) -> None:
    model = tiny(folders, loop_frames=34)
    case = make_case(60, pictures=2, prompt="|0|a red ball|1|the sea|9|never")
    video = model.generate(case, 0)
    assert video.num_frames == 60
    assert video.info["length_mode"] == "autoregressive"
    assert video.info["seams"] == [34, 51]
    texts = ("a red ball", "the sea", "the sea")
    assert video.info["prompt"] == "|".join(f"{text} aesthetic score: 6.5." for text in texts)
    tracks = case.trajectories.tracks_NT2[:, :34]
    first = replace(
        case,
        frames=34,
        last_frame_HWC=None,
        prompt="a red ball",
        trajectories=replace(
            case.trajectories, tracks_NT2=tracks, visible_NT=case.trajectories.visible_NT[:, :34]
        ),
    )
    assert np.array_equal(model.generate(first, 0).frames_TCHW, video.frames_TCHW[:34])


def test_weights_without_motion_parts_say_so(folders: Folders, tmp_path: Path) -> None:
    plain = {**folders, "weights": str(full_size.write_dit(tmp_path / "plain", fuser="none"))}
    model = tiny(plain)
    with pytest.warns(
        UserWarning, match="no trajectory extractor and fusers, so trajectories have no effect"
    ):
        video = model.generate(make_case(5), 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other = model.generate(make_case(5, count=3), 0)
    assert np.array_equal(video.frames_TCHW, other.frames_TCHW)
    assert video.info["motion_weights"] == "untrained"
    assert model.fingerprint()["motion_weights"] == "untrained"
    assert tiny(folders).fingerprint()["motion_weights"] == "stored"


def test_random_weights_are_named(folders: Folders) -> None:
    options = {**folders, "weights": "random", "text_encoder": "random"}
    model = tiny(options)
    video = model.generate(make_case(5), 0)
    assert np.array_equal(video.frames_TCHW, tiny(options).generate(make_case(5), 0).frames_TCHW)
    assert video.info["motion_weights"] == "random"
    facts = {"weights_sha256": "random", "motion_weights": "random", "text_encoder": "random"}
    assert facts.items() <= model.fingerprint().items()


def test_absent_weights_end_in_the_command_that_fetches_them(folders: Folders) -> None:
    every = r"all parts at once: python -m toraeval fetch model=tora size=xl2; or model\."
    for options in ({}, {"weights": "random"}, {"weights": "random", "vae": "random"}):
        with pytest.raises(MissingAsset, match=every):
            Tora(size="xl2", device="cpu", **options)
    with pytest.raises(MissingAsset, match=r"nothing is published for size=tiny; give model\.vae=PATH"):
        tiny({**folders, "vae": ""})
    for part in ("weights", "vae", "text_encoder"):
        with pytest.raises(MissingAsset):
            tiny({**folders, part: "/nowhere/at-all"}).fingerprint()


def test_weights_of_another_size_are_refused(folders: Folders) -> None:
    with pytest.raises(UserError, match="configuration asked for differ: depth=28"):
        tiny({**folders, "size": "xl2"}).prepare()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"condition": "last_frame"},
            "condition=last_frame; allowed: auto, text, first_frame, first_last_frame",
        ),
        ({"device": "tpu"}, "device=tpu; allowed: auto, cpu, cuda, cuda:N"),
        ({"device": "cuda:77"}, r"device=cuda:77, but torch sees \d GPU"),
        ({"aesthetic": -1.0}, "aesthetic=-1.0; allowed: 0"),
        ({"aesthetic": float("nan")}, "aesthetic=nan"),
        ({"motion_score": -1.0}, "motion_score=-1.0; allowed: at least 0"),
        ({"posterior": "mean"}, "posterior=mean; allowed: mode, sample"),
        ({"tiling": 2}, "tiling=2; allowed: 0"),
        ({"align": 0}, "align=0; allowed: at least 1"),
        ({"loop_frames": 17}, "loop_frames=17; allowed: multiples of 17 from 34"),
        ({"loop_frames": 50}, "loop_frames=50"),
        ({"steps": 0}, "steps=0; allowed: 1 to 1000"),
        ({"guidance": float("inf")}, "guidance=inf"),
    ],
)
def test_options_out_of_range(folders: Folders, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        tiny(folders, **options)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (make_case(5, count=17), "17 trajectories, camera paths included; allowed: 1 to 16"),
        (make_case(5, count=9, camera=8), "17 trajectories"),
        (make_case(5, prompt='x{"reference_path": "a.png"}'), "the prompt names reference_path 'a.png'"),
        (make_case(5, prompt='x{"mask_strategy": "0"}'), r"reference 0 is not given; got 0 reference\(s\)"),
        (make_case(4, pictures=1), "the given frames fill all 1 latent frames of 4 frames, nothing is left"),
        (make_case(1), "frames=1; allowed: 2 to 1024"),
        (make_case(5, 8, 48), "size 48x8; allowed: sides from 16 to 4096 pixels"),
    ],
)
def test_cases_that_do_not_fit(tora: Tora, case: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        tora.generate(case, 0)


def test_a_condition_without_its_frames(folders: Folders) -> None:
    message = r"condition=first_last_frame needs 2 given frame\(s\), the case has 1; allowed: condition=auto, or text"
    with pytest.raises(UserError, match=message):
        tiny(folders, condition="first_last_frame").generate(make_case(5, pictures=1), 0)


def test_the_text_encoder_is_loaded_once_for_all_cases(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORAEVAL_CACHE", str(tmp_path))
    loads, load = [], T5Captions._load

    def counted(self: T5Captions) -> Any:
        if self._encoder is None:
            loads.append(self.path)
        return load(self)

    monkeypatch.setattr(T5Captions, "_load", counted)
    model = tiny(folders)
    prompts = ("the sea", "a ball moves", 'the sea{"reference_path": "a.png"}', "the sea|1|never")
    cases = [make_case(5, prompt=prompt) for prompt in prompts]
    model.prepare_cases(cases)
    assert len(loads) == 1
    assert model.parts.text_encoder()._encoder is None  # given back before the network is loaded
    for case in (cases[0], cases[1]):
        model.generate(case, 0)
    assert len(loads) == 1
    with pytest.raises(UserError, match="reference_path"):
        model.generate(cases[2], 0)
