"""What the wrapper sends to DragNUWA window by window, and what its driver does with the two forks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from baselines.dragnuwa import driver
from baselines.dragnuwa.generator import DragNUWAOptions
from baselines.dragnuwa.upstream import UpstreamDragNUWA, drag_map
from tests.fake_parts import FakeSuite
from toraeval.types import Case, UserError, Video

CHECKOUTS = {"bensonbs": "TORAEVAL_DRAGNUWA", "comfyui": "TORAEVAL_DRAGNUWA_COMFYUI"}


class Echo:
    """Stands in for the child: frame k of a window is the given first frame, plus 1 per frame."""

    what = "model dragnuwa size=upstream"

    def __init__(self) -> None:
        self.jobs: list[tuple[str, dict[str, np.ndarray], int]] = []
        self.session = self

    def start(self) -> dict[str, Any]:
        return {"torch": "2"}

    def make(self, job: str, arrays: dict[str, np.ndarray], shape: tuple[int, ...], seed: int) -> np.ndarray:
        self.jobs.append((job, arrays, seed))
        steps = np.arange(shape[0], dtype=np.uint8)[:, None, None, None]
        return arrays["first_frame"][None] + steps


def generate(case: Case, seed: int = 0, **options: Any) -> tuple[Video, Echo]:
    model = UpstreamDragNUWA(DragNUWAOptions(**options))
    echo = Echo()
    model.runner = echo  # type: ignore[assignment]
    model.check(case.frames, case.height, case.width)
    return model.generate(case, seed), echo


def case_of(frames: int) -> Case:
    """A straight path on DragNUWA's own canvas, 3 px right and 1 px down per frame, from a black first frame."""
    case = FakeSuite().cases(frames, 64, 64)[0]
    t = np.arange(frames, dtype=float)
    tracks = np.stack([20.25 + 3 * t, 30.5 + t], axis=-1)[None]
    paths = replace(case.trajectories, tracks_NT2=tracks, canvas=(576, 320))
    first = np.zeros((320, 576, 3), np.uint8)
    return replace(case, trajectories=paths, width=576, height=320, first_frame_HWC=first)


def test_one_window_is_cut_and_its_drags_are_the_steps_of_the_path() -> None:
    video, echo = generate(case_of(12))
    assert (video.info["length_mode"], video.info["generated"], video.info["windows"]) == ("cut", 14, 1)
    assert video.thwc[:, 0, 0, 0].tolist() == list(range(12))
    drag = echo.jobs[0][1]["drag"]
    assert drag.shape == (13, 320, 576, 2)
    for t in range(11):
        assert drag[t, 30 + t, 20 + 3 * t].tolist() == [3.0, 1.0]
    assert not drag[11:].any()  # beyond the requested length the object stays
    assert np.count_nonzero(drag.any(-1)) == 11


def test_windows_start_where_the_last_one_ended() -> None:
    video, echo = generate(case_of(30))
    assert [job for job, _, _ in echo.jobs] == [f"case alpha window {k} of 3" for k in (1, 2, 3)]
    assert video.thwc[:, 0, 0, 0].tolist() == list(range(30))
    info = video.info
    assert (info["length_mode"], info["generated"], info["windows"], info["seams"]) == (
        "autoregressive",
        40,
        3,
        [14, 27],
    )
    for number, (_, arrays, _) in enumerate(echo.jobs):
        assert (arrays["first_frame"] == 13 * number).all()
        assert arrays["drag"][0, 30 + 13 * number, 20 + 39 * number].tolist() == [3.0, 1.0]
    assert len({seed for _, _, seed in echo.jobs}) == 3
    again, other = generate(case_of(30))[1], generate(case_of(30), seed=1)[1]
    assert [seed for *_, seed in again.jobs] == [seed for *_, seed in echo.jobs]
    assert {seed for *_, seed in other.jobs}.isdisjoint(seed for *_, seed in echo.jobs)


def test_stretch_brings_the_whole_path_into_one_window() -> None:
    video, echo = generate(case_of(27), frame_policy="stretch")
    drag = echo.jobs[0][1]["drag"]
    for t in range(13):
        np.testing.assert_allclose(drag[t, 30 + 2 * t, 20 + 6 * t], [6.0, 2.0], atol=1e-5)
    assert video.thwc[:, 0, 0, 0].tolist() == [round(t / 2) for t in range(27)]
    assert video.info["length_mode"] == "repeated"
    assert generate(case_of(14), frame_policy="stretch")[0].info["length_mode"] == "exact"
    with pytest.raises(UserError, match=r"frames=29 with frame_policy=stretch; allowed: up to 28"):
        generate(case_of(29), frame_policy="stretch")


def test_steps_outside_are_left_out_and_counted() -> None:
    path = np.stack([np.linspace(-5, 60, 14), np.full(14, 10.0)], axis=-1)[None]
    drag, outside = drag_map(path)
    assert outside == 1
    assert np.count_nonzero(drag.any(-1)) == 12


def test_a_start_that_the_model_does_not_see_is_refused_with_the_way_out() -> None:
    case = FakeSuite().cases(14, 64, 64)[0]
    hidden = replace(case.trajectories, tracks_NT2=case.trajectories.tracks_NT2 * [1, 0] + [0, 3])
    case = replace(case, trajectories=hidden)
    with pytest.raises(UserError, match=r"object 0 starts outside .* 64x64 .*fit=cover; use model.fit=pad"):
        generate(case)
    video, _ = generate(case, fit="pad")
    assert (video.height, video.width, video.info["seen_from"]) == (64, 64, [-128, 0])
    with pytest.raises(UserError, match="needs a first frame"):
        generate(replace(case, first_frame_HWC=None))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fit": "crop"}, "fit=crop; allowed: cover, pad, stretch"),
        ({"frame_policy": "loop"}, "frame_policy=loop; allowed: windows, stretch"),
        ({"motion_bucket": 0}, "motion_bucket=0; allowed: 1 to 255"),
    ],
)
def test_options_outside_their_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        UpstreamDragNUWA(DragNUWAOptions(**options))


# --- the driver, over stand-ins for the two forks -----------------------------------------------------------

DRAG = """
import torch

class Guider:
    min_scale, max_scale, num_frames, scale = 1.0, 2.5, 14, None

class Sampler:
    num_steps, guider = 25, Guider()

class Args:
    fps = 4

class Net:
    sampler, args, num_frames = Sampler(), Args(), 14

class Drag:
    def __init__(self, device, model_path, cfg_path, height, width, model_length):
        self.drag_nuwa_net, self.loaded = Net(), WEIGHTS(model_path)

    def forward_sample(self, drag, picture, bucket):
        self.given = (drag, picture, bucket)
        frames = torch.full((1, 14, 3, 320, 576), -3.0) + 0 * torch.rand(())
        frames[0, 2, 1, 5, 7] = float(torch.rand(()))
        return {"logits_imgs": frames}
"""


def write_demo(folder: Path) -> None:
    (folder / "utils.py").write_text("def file2data(path): return 'pickle ' + path\n")
    page = "with gr.Blocks() as demo:\n    demo.launch()\n"
    demo = f"import gradio as gr\nfrom utils import *\n{DRAG}\n{page}"
    (folder / "DragNUWA_demo.py").write_text(demo.replace("WEIGHTS(model_path)", "file2data(model_path)"))


def write_node(folder: Path) -> None:
    (folder / "__init__.py").write_text("raise RuntimeError('ComfyUI is not here')\n")
    (folder / "part.py").write_text("def read(path): return 'any ' + path\n")
    node = f"import folder_paths\nfrom .part import read\n{DRAG}"
    (folder / "nodes.py").write_text(node.replace("WEIGHTS(model_path)", "read(model_path)"))


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(torch.Tensor, "cuda", lambda self: self)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("fork", "write", "loaded"),
    [("bensonbs", write_demo, "pickle w.pth"), ("comfyui", write_node, "any w.pth")],
)
def test_driver_uses_the_fork_as_it_is(
    gpu: None, tmp_path: Path, fork: str, write: Callable[[Path], None], loaded: str
) -> None:
    write(tmp_path)
    settings = {"fork": fork, "checkout": str(tmp_path), "checkpoint": "w.pth", "steps": 3, "guidance": 2.0}
    (model, _), facts = driver.load({**settings, "motion_bucket": 9})
    assert (model.loaded, facts["fps_id"], facts["frames"]) == (loaded, 4, 14)
    sampler = model.drag_nuwa_net.sampler
    assert sampler.num_steps == 3
    np.testing.assert_allclose(sampler.guider.scale[0], np.linspace(1, 2, 14), rtol=1e-6)
    drag = np.random.default_rng(0).random((13, 320, 576, 2), np.float32)
    np.save(tmp_path / "drag.npy", drag)
    np.save(tmp_path / "first_frame.npy", np.full((320, 576, 3), [0, 255, 51], np.uint8))
    made = [
        driver.make((model, {"motion_bucket": 9}), {"folder": str(tmp_path), "seed": 4}) for _ in range(2)
    ]
    np.testing.assert_array_equal(*made)
    given_drag, picture, bucket = model.given
    assert (tuple(given_drag.shape), bucket) == ((1, 13, 320, 576, 2), 9)
    np.testing.assert_array_equal(given_drag[0], drag)
    np.testing.assert_allclose(picture[0, :, 0, 0], [-1, 1, -0.6], atol=1e-6)
    assert (made[0].shape, made[0].dtype, made[0][0, 0, 0, 0]) == ((14, 320, 576, 3), np.float32, 0.0)
    assert 0.5 <= made[0][2, 5, 7, 1] <= 1


def test_half_precision_copy_can_be_read_by_the_demo(gpu: None, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    write_demo(tmp_path)
    save_file({"a": torch.ones(2, dtype=torch.float16)}, tmp_path / "w.safetensors")
    model = driver.drag_of_demo(str(tmp_path), str(tmp_path / "w.safetensors"))(
        "cuda", str(tmp_path / "w.safetensors"), "", 320, 576, 14
    )
    assert model.loaded["a"].tolist() == [1.0, 1.0]


# --- the forks themselves -----------------------------------------------------------------------------------


@pytest.mark.weights
@pytest.mark.parametrize("fork", CHECKOUTS)
def test_drags_equal_those_of_the_checkout(tmp_path: Path, fork: str) -> None:
    if CHECKOUTS[fork] not in os.environ:
        pytest.skip(f"set {CHECKOUTS[fork]} to a checkout of the fork {fork}")
    from toraeval.geometry import dragnuwa_path

    path = [[25.0, 25.0], [128.0, 90.0], [130.0, 140.0], [400.0, 120.0]]
    code = Path(__file__).with_name("checkout_drags.py")
    points, drags = str(tmp_path / "points.npy"), str(tmp_path / "drags.npy")
    where = [str(Path(driver.__file__).parent), fork, os.environ[CHECKOUTS[fork]]]
    command = [sys.executable, str(code), *where, str(path), points, drags]
    done = subprocess.run(command, cwd=where[2], timeout=55, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    ours = dragnuwa_path(np.array(path))
    np.testing.assert_allclose(ours, np.load(points), rtol=0, atol=1e-9)
    np.testing.assert_allclose(drag_map(ours[None])[0], np.load(drags), rtol=0, atol=1e-4)
