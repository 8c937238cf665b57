"""What the drivers of Wan-Move, ATI, LTX and Wan-Fun ask of the authors' classes, over stand-ins for them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from baselines.ati import driver as ati
from baselines.ltx_motion_track import driver as ltx
from baselines.wan_fun_control import driver as wan_fun
from baselines.wan_move import driver as wan_move

DRIVERS = {"Wan-Move": wan_move, "ATI": ati, "LTX-2.3": ltx, "Wan-Fun": wan_fun}
Install = Callable[[str], ModuleType]


@pytest.fixture(autouse=True)
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put an empty module, with its packages, where an import finds it."""

    def put(name: str) -> ModuleType:
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            whole = ".".join(parts[:end])
            if whole not in sys.modules or not hasattr(sys.modules[whole], "stand_in"):
                module = ModuleType(whole)
                module.__path__ = []
                module.stand_in = True  # type: ignore[attr-defined]
                monkeypatch.setitem(sys.modules, whole, module)
                if end > 1:
                    setattr(sys.modules[".".join(parts[: end - 1])], parts[end - 1], module)
        return sys.modules[name]

    return put


def job(folder: Path, **arrays: np.ndarray) -> dict[str, Any]:
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return {"folder": str(folder), "prompt": "a bear", "seed": 5, "fps": 24}


class Wan:
    """In place of `WanMove` and `WanATI`."""

    def __init__(self, **given: Any) -> None:
        self.given, self.calls = given, []

    def generate(self, *args: Any, **words: Any) -> torch.Tensor:
        self.calls.append((args, words, float(torch.rand(())), float(np.random.rand())))
        video = torch.full((3, 81, 32, 48), -2.0)
        video[1, 3, 5, 7] = 1.0
        return video


def wan_package(install: Install, task: str, name: str) -> None:
    config = SimpleNamespace(sample_neg_prompt="blur", sample_fps=16, param_dtype=None)
    install("wan.configs").WAN_CONFIGS = {task: config}  # type: ignore[attr-defined]
    setattr(sys.modules["wan"], name, Wan)


def test_wan_move_is_asked_as_its_script_asks_and_its_shuffling_is_seeded(
    install: Install, tmp_path: Path
) -> None:
    wan_package(install, "wan-move-i2v", "WanMove")
    settings = {"checkout": str(tmp_path), "checkpoint": "W", "steps": 7, "guidance": 4.0, "shift": 3.0}
    settings |= {"dtype": "fp16", "offload": True, "t5_cpu": False}
    loaded, facts = wan_move.load(settings)
    model = loaded[0]
    assert (model.given["checkpoint_dir"], model.given["t5_cpu"]) == ("W", False)
    assert model.given["config"].param_dtype == torch.float16
    assert (facts["negative_prompt"], facts["fps"]) == ("blur", 16)
    first = np.zeros((32, 48, 3), np.uint8)
    tracks, visible = np.zeros((1, 81, 2, 2), np.float32), np.ones((1, 81, 2), bool)
    asked = job(tmp_path, first_frame=first, tracks=tracks, visibility=visible)
    frames = wan_move.make(loaded, asked)
    wan_move.make(loaded, asked)
    (args, words, drawn, also), (_, _, again, too) = model.calls
    assert (drawn, also) == (again, too)
    assert args[0] == "a bear"
    assert args[1].size == (48, 32)
    assert (args[2].shape, args[3].dtype) == ((1, 81, 2, 2), np.bool_)
    expected = {"frame_num": 81, "shift": 3.0, "sample_solver": "unipc", "sampling_steps": 7}
    assert words == {**expected, "guide_scale": 4.0, "seed": 5, "offload_model": True, "eval_bench": True}
    assert (frames.shape, frames.dtype) == ((81, 32, 48, 3), np.float32)
    assert frames[3, 5, 7].tolist() == [0, 1, 0]


def test_ati_gets_its_own_tracks_and_an_area_that_keeps_the_size(install: Install, tmp_path: Path) -> None:
    wan_package(install, "ati-14B", "WanATI")
    install("wan.utils.motion").process_tracks = lambda samples, size: (samples.shape, size)  # type: ignore[attr-defined]
    settings = {"checkout": str(tmp_path), "checkpoint": "W", "steps": 7, "guidance": 4.0, "shift": 5.0}
    loaded, _ = ati.load({**settings, "offload": False, "t5_cpu": True})
    asked = job(
        tmp_path,
        first_frame=np.zeros((32, 48, 3), np.uint8),
        samples=np.zeros((2, 121, 1, 3), np.float32),
    )
    assert ati.make(loaded, asked).shape == (81, 32, 48, 3)
    ((args, words, _, _),) = loaded[0].calls
    assert args[2] == ((2, 121, 1, 3), (48, 32))
    assert (words["seed"], words["frame_num"], words["shift"], words["offload_model"]) == (5, 81, 5.0, False)
    for height, width in ((480, 832), (832, 480), (624, 624), (32, 48), (464, 832)):
        area = height * width * (1 + ati.ROUNDING)
        for side, shape in ((height, height / width), (width, width / height)):
            assert round(np.sqrt(area * shape) // 8 // 2 * 2) * 8 == side  # as the program computes it


def test_ltx_reads_its_command_line_and_takes_the_guide_as_pixels(install: Install, tmp_path: Path) -> None:
    words: list[str] = []
    calls: list[dict[str, Any]] = []

    class Pipeline:
        reference_downscale_factor, reference_temporal_scale_factor = 2, 1

        def __init__(self, **given: Any) -> None:
            self.given = given

        def __call__(self, **given: Any) -> Any:
            calls.append(given)
            path, strength = given["video_conditioning"][0]
            frames = list(utils.decode_video_by_frame(path=path, frame_cap=9, device="cpu"))
            assert (len(frames), frames[0].shape, frames[0].dtype) == (9, (1, 32, 64, 3), torch.uint8)
            assert strength == 1.0
            chunk = torch.full((9, 64, 128, 3), 1.5)
            return iter([chunk[:4], chunk[4:]]), None, None

    class Parser:
        def parse_args(self) -> SimpleNamespace:
            words.extend(sys.argv)
            names = ("model_paths", "spatial_upsampler_path", "quantization", "offload_mode")
            return SimpleNamespace(lora=["L"], **dict.fromkeys(names, "x"))

    module, utils = install("ltx_pipelines.ic_lora"), install("ltx_pipelines.iclora_utils")
    module.ICLoraPipeline = Pipeline  # type: ignore[attr-defined]
    module.resolve_cli_params = lambda distilled: None  # type: ignore[attr-defined]
    module.default_2_stage_distilled_arg_parser = lambda params: Parser()  # type: ignore[attr-defined]
    install("ltx_pipelines.utils.args").ImageConditioningInput = lambda *given: given  # type: ignore[attr-defined]
    weights = tmp_path / "weights"
    settings = {"checkpoint": str(weights), "offload": "cpu", "quantization": "fp8-cast"}
    settings |= {"guide_strength": 0.5}
    with pytest.raises(FileNotFoundError, match="distilled"):
        ltx.load(settings)
    (weights / ltx.GEMMA).mkdir(parents=True)
    for name in (ltx.CHECKPOINT, ltx.UPSAMPLER, ltx.LORA):
        (weights / name).touch()
    before = list(sys.argv)
    loaded, facts = ltx.load(settings)
    assert sys.argv == before
    assert facts["reference_downscale_factor"] == 2
    assert words[-4:] == ["--offload", "cpu", "--quantization", "fp8-cast"]
    assert loaded[0].given["loras"] == ("L",)
    asked = job(
        tmp_path,
        first_frame=np.zeros((64, 128, 3), np.uint8),
        guide=np.zeros((9, 32, 64, 3), np.uint8),
    )
    frames = ltx.make(loaded, asked)
    assert (frames.shape, frames.dtype, frames.min()) == ((9, 64, 128, 3), np.uint8, 255)
    with pytest.raises(RuntimeError, match="NaN"):
        ltx._bytes(torch.tensor([0.5, float("nan")]))
    (asked_of,) = calls
    assert (asked_of["num_frames"], asked_of["height"], asked_of["width"]) == (9, 64, 128)
    assert (asked_of["seed"], asked_of["frame_rate"]) == (5, 24.0)
    assert asked_of["conditioning_attention_strength"] == 0.5
    assert asked_of["images"] == [(str(tmp_path / "first_frame.png"), 0, 1.0)]
    assert (tmp_path / "first_frame.png").exists()


def test_ltx_guide_frames_start_and_end_as_asked(tmp_path: Path) -> None:
    video = np.arange(5, dtype=np.uint8).repeat(12).reshape(5, 2, 2, 3)
    np.save(tmp_path / "guide.npy", video)
    path = str(tmp_path / "guide.npy")
    assert [int(f[0, 0, 0, 0]) for f in ltx.frames_of(path, "cpu", 1, 2)] == [1, 2]
    assert len(list(ltx.frames_of(path, "cpu"))) == 5


class Parts:
    """In place of the networks and the pipeline of VideoX-Fun; remembers what was asked of it."""

    log: ClassVar[list[tuple[str, Any]]] = []

    def __init__(self, **given: Any) -> None:
        self.given = given
        self.freqs = torch.zeros(1)
        self.transformer = given.get("transformer")

    @classmethod
    def from_pretrained(cls, place: str, **given: Any) -> Parts:
        cls.log.append((place, given))
        return cls(**given)

    def to(self, *_: Any, **words: Any) -> Parts:
        self.log.append(("to", words))
        return self

    def eval(self) -> Parts:
        return self

    def enable_model_cpu_offload(self, device: str) -> None:
        self.log.append(("offload", device))

    def enable_teacache(self, *given: Any, **words: Any) -> None:
        self.log.append(("teacache", (given, words)))
        self.teacache = SimpleNamespace(reset=lambda: self.log.append(("reset", None)))

    def __call__(self, prompt: str, **words: Any) -> SimpleNamespace:
        self.log.append((prompt, words))
        frames, height, width = words["num_frames"], words["height"], words["width"]
        return SimpleNamespace(videos=torch.full((1, 3, frames, height, width), 0.5))


class Seeded:
    """In place of a generator on a GPU."""

    def __init__(self, device: str) -> None:
        assert device == "cuda"

    def manual_seed(self, seed: int) -> int:
        return seed


@pytest.fixture
def videox(install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    Parts.log.clear()
    names = ("AutoencoderKLWan", "AutoTokenizer", "CLIPModel", "WanT5EncoderModel", "WanTransformer3DModel")
    for name in names:
        setattr(install("videox_fun.models"), name, Parts)
    install("videox_fun.pipeline").WanFunControlPipeline = Parts  # type: ignore[attr-defined]
    install("videox_fun.models.cache_utils").get_teacache_coefficients = str  # type: ignore[attr-defined]
    install("videox_fun.utils.fp8_optimization").replace_parameters_by_name = None  # type: ignore[attr-defined]
    install("videox_fun.utils.utils").filter_kwargs = lambda _, words: words  # type: ignore[attr-defined]
    diffusers = ModuleType("diffusers")
    diffusers.FlowMatchEulerDiscreteScheduler = Parts  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "diffusers", diffusers)
    monkeypatch.setattr(torch, "Generator", Seeded)
    (tmp_path / wan_fun.CONFIG).parent.mkdir(parents=True)
    (tmp_path / wan_fun.CONFIG).write_text(
        "transformer_additional_kwargs: {transformer_subpath: ./}\nvae_kwargs: {vae_subpath: V.pth}\n"
        "text_encoder_kwargs: {text_encoder_subpath: T.pth, tokenizer_subpath: google/umt5-xxl}\n"
        "scheduler_kwargs: {shift: 5.0}\nimage_encoder_kwargs: {image_encoder_subpath: C.pth}\n"
    )
    (tmp_path / wan_fun.SCRIPT).parent.mkdir(parents=True)
    (tmp_path / wan_fun.SCRIPT).write_text(
        'import os\nprompt = "p"\nnegative_prompt     = "blur"\nraise SystemExit\n'
    )
    return tmp_path


def test_wan_fun_is_asked_as_its_script_asks(videox: Path) -> None:
    settings = {"checkout": str(videox), "checkpoint": "W", "steps": 7, "guidance": 6.0}
    loaded, facts = wan_fun.load({**settings, "memory": "model_cpu_offload", "teacache": 0.1})
    assert facts["negative_prompt"] == "blur"
    log = dict(Parts.log)
    assert {"W/V.pth", "W/T.pth", "W/google/umt5-xxl", "W/C.pth", "W/./"} <= set(log)
    assert log["offload"] == "cuda"
    assert log["teacache"][0] == ("Wan2.1-Fun-V1.1-1.3B-Control", 7, 0.1)
    first = np.full((32, 48, 3), 255, np.uint8)
    asked = job(videox, first_frame=first, control=np.full((5, 32, 48, 3), 51, np.uint8))
    frames = wan_fun.make(loaded, asked)
    assert (frames.shape, frames.dtype) == ((5, 32, 48, 3), np.float32)
    assert [name for name, _ in Parts.log][-2:] == ["reset", "a bear"]
    words = dict(Parts.log)["a bear"]
    assert (words["num_frames"], words["height"], words["width"]) == (5, 32, 48)
    assert (words["guidance_scale"], words["num_inference_steps"], words["generator"]) == (6.0, 7, 5)
    assert words["control_video"].shape == (1, 3, 5, 32, 48)
    torch.testing.assert_close(words["control_video"].max(), torch.tensor(0.2))
    assert words["start_image"].shape == (1, 3, 1, 32, 48)
    assert words["clip_image"].size == (48, 32)
    assert "shift" not in words  # its sampler takes that of the configuration


def test_wan_fun_without_a_first_frame_and_without_the_step_cache(videox: Path) -> None:
    settings = {"checkout": str(videox), "checkpoint": "W", "steps": 7, "guidance": 6.0}
    loaded, _ = wan_fun.load({**settings, "memory": "model_full_load", "teacache": 0.0})
    assert "teacache" not in dict(Parts.log)
    wan_fun.make(loaded, job(videox, control=np.zeros((5, 32, 48, 3), np.uint8)))
    words = dict(Parts.log)["a bear"]
    assert words["start_image"] is None
    assert words["clip_image"] is None
    with pytest.raises(RuntimeError, match="assigns no shift"):
        wan_fun.written(str(videox / wan_fun.SCRIPT), "shift")


@pytest.mark.parametrize("name", DRIVERS)
def test_a_machine_without_gpu_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match=f"{name} needs a CUDA GPU"):
        DRIVERS[name].load({"checkout": "."})  # type: ignore[attr-defined]
