"""What the wrapper sends to MotionCtrl, what its driver does with it, and the flow against the authors' own code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from baselines.motionctrl import driver
from baselines.motionctrl.generator import MotionCtrlOptions
from baselines.motionctrl.upstream import UpstreamMotionCtrl, flow
from baselines.process.clip_files import resized
from benchmarks.parity_data import allowance, read_arrays
from toraeval.types import MissingAsset, UserError

CHECKOUT = "TORAEVAL_MOTIONCTRL"


def recorded(data_dir: Path) -> dict[str, np.ndarray]:
    return read_arrays(data_dir / "tora" / "motionctrl_flow_a.npz")


def test_flow_equals_the_authors(data_dir: Path) -> None:
    known = recorded(data_dir)
    names = sorted({key.split("/")[0] for key in known if "/" in key})
    assert len(names) == 4
    for name in names:
        ours = flow(known[f"{name}/points256"][None] + 0.5)  # whole pixels are taken by truncation
        assert ours.shape == (16, 256, 256, 2)
        np.testing.assert_allclose(ours[:, ::16, ::16], known[f"{name}/flow_sub"], rtol=0, atol=1e-6)
        sums = known[f"{name}/flow_sum"]
        np.testing.assert_allclose(ours.sum((1, 2), dtype=float), sums, rtol=0, atol=1e-4 + allowance(sums))


@pytest.mark.weights
@pytest.mark.parametrize("name", ["horizon_1", "swaying_3"])
def test_flow_of_the_checkout(data_dir: Path, tmp_path: Path, name: str) -> None:
    if CHECKOUT not in os.environ:
        pytest.skip(f"set {CHECKOUT} to a checkout of TencentARC/MotionCtrl")
    code = (
        "import sys, numpy as np; sys.path.insert(0, '.')\n"
        "from gradio_utils.traj_utils import get_flow\n"
        "np.save(sys.argv[1], get_flow(np.load(sys.argv[2]).tolist()))\n"
    )
    points = recorded(data_dir)[f"{name}/points256"]
    place = str(tmp_path / "map.npy")
    np.save(place, points.astype(np.int64))
    command = [sys.executable, "-c", code, place, place]
    subprocess.run(command, cwd=os.environ[CHECKOUT], check=True, timeout=50)
    theirs = np.load(place)
    np.testing.assert_allclose(flow(points[None].astype(float)), theirs, rtol=0, atol=1e-6)


def test_other_lengths_are_refused_with_the_reason() -> None:
    model = UpstreamMotionCtrl(MotionCtrlOptions())
    model.check(16, 512, 512)
    for frames in (14, 17, 64):
        with pytest.raises(UserError, match=rf"frames={frames}; allowed: 16. .*takes no first frame"):
            model.check(frames, 512, 512)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eta": 1.5}, "eta=1.5"),
        ({"cond_t": -1}, "cond_t=-1"),
        ({"steps": 0}, "steps=0; allowed: 1 to 1000"),
        ({"guidance": 0.5}, "guidance=0.5; allowed: at least 1"),
        ({"gpu": -1}, "gpu=-1"),
        ({"case_timeout_s": 0.0}, "case_timeout_s=0.0; allowed: more than 0"),
    ],
)
def test_options_outside_their_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        UpstreamMotionCtrl(MotionCtrlOptions(**options))


def test_published_options_are_the_default_and_stand_in_the_settings() -> None:
    settings = UpstreamMotionCtrl(MotionCtrlOptions()).runner.settings
    assert settings == {"steps": 50, "guidance": 7.5, "eta": 1.0, "cond_t": 800}
    assert UpstreamMotionCtrl(MotionCtrlOptions(steps=5)).runner.settings["steps"] == 5


def test_nothing_installed_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORAEVAL_CACHE", str(tmp_path))
    model = UpstreamMotionCtrl(MotionCtrlOptions())
    with pytest.raises(
        MissingAsset, match=r"motionctrl_checkout is not a checkout.*fetch model=motionctrl size=upstream"
    ):
        model.fingerprint()
    (absent,) = model.requirements()
    assert absent.command == "python -m toraeval fetch model=motionctrl size=upstream"


def test_frames_are_resized_without_shifting() -> None:
    frames = np.zeros((1, 256, 256, 3), np.uint8)
    frames[0, 64:128, 128:192] = 200
    for width, height in ((512, 512), (128, 128), (320, 192)):
        mass = resized(frames, width, height)[0, ..., 0].astype(float)
        ys, xs = np.mgrid[:height, :width] + 0.5
        assert mass.shape == (height, width)
        assert (mass * xs).sum() / mass.sum() / width == pytest.approx(160 / 256, abs=1e-3)
        assert (mass * ys).sum() / mass.sum() / height == pytest.approx(96 / 256, abs=1e-3)
    assert resized(frames, 256, 256) is frames


# --- the driver, over a stand-in for the checkout -----------------------------------------------------------

SCRIPT = """
import torch
post_prompt, DEFAULT_NEGATIVE_PROMPT = "best quality", "blur"
calls = []

class Model(torch.nn.Module):
    channels, temporal_length = 4, 16

def instantiate_from_config(config):
    assert config["target"] == "motionctrl.motionctrl.MotionCtrl"
    return Model()

def load_model_checkpoint(model, path):
    model.loaded = path
    return model

def motionctrl_sample(model, prompts, shape, trajs=None, **options):
    calls.append((list(prompts), list(shape), tuple(trajs.shape), options, float(torch.rand(()))))
    video = torch.full((1, 1, 3, 16, 256, 256), -2.0)
    video[0, 0, 1, 3, 5, 7] = 1.0
    return video
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "main/evaluation").mkdir(parents=True)
    (tmp_path / "main/evaluation/motionctrl_inference.py").write_text(SCRIPT)
    (tmp_path / "configs/inference").mkdir(parents=True)
    (tmp_path / driver.CONFIG).write_text("model:\n  target: motionctrl.motionctrl.MotionCtrl\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    lightning = ModuleType("pytorch_lightning")
    lightning.seed_everything = torch.manual_seed  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pytorch_lightning", lightning)
    for name in ("main", "main.evaluation", "main.evaluation.motionctrl_inference"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(torch.Tensor, "cuda", lambda self: self)
    monkeypatch.setattr(torch.nn.Module, "cuda", lambda self: self)
    return tmp_path


def test_driver_calls_the_upstream_sampler_as_its_script_does(checkout: Path) -> None:
    settings = {
        "checkout": str(checkout),
        "checkpoint": "w.pth",
        "steps": 7,
        "guidance": 3.0,
        "eta": 0.5,
        "cond_t": 600,
    }
    loaded, facts = driver.load(settings)
    assert (facts["prompt_suffix"], facts["negative_prompt"], facts["frames"]) == (
        ", best quality",
        "blur",
        16,
    )
    assert loaded[1].loaded == "w.pth"
    map_THW2 = np.zeros((16, 256, 256, 2), np.float32)
    np.save(checkout / "flow.npy", map_THW2)
    job = {"folder": str(checkout), "prompt": "a rose", "seed": 5}
    frames = driver.make(loaded, job)
    driver.make(loaded, job)
    first, second = loaded[0].calls
    assert first == second  # the seed decides
    assert first[:3] == (["a rose"], [1, 4, 16, 32, 32], (1, 2, 16, 256, 256))
    expected = {
        "n_samples": 1,
        "unconditional_guidance_scale": 3.0,
        "ddim_steps": 7,
        "ddim_eta": 0.5,
        "cond_T": 600,
    }
    assert first[3] == expected
    assert (frames.shape, frames.dtype) == ((16, 256, 256, 3), np.float32)
    assert frames[3, 5, 7].tolist() == [0, 1, 0]


def test_driver_refuses_a_machine_without_gpu(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="needs a CUDA GPU"):
        driver.load({"checkout": str(checkout)})
