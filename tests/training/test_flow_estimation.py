"""Flow estimators on known motion, the cache, and flow files beside a video."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from toraeval import optional
from toraeval.optional import MissingDependency
from toraeval.training.data import flow_estimation
from toraeval.training.data.flow_estimation import DIS, RAFT, FlowCache, build_estimator, given_flow
from toraeval.types import MissingAsset, UserError, Video


def moving_texture(frames: int = 3, size: int = 96, step: tuple[int, int] = (3, -2)) -> np.ndarray:
    """A smooth random texture that moves by `step` (x, y) pixels per frame."""
    noise = np.random.default_rng(0).integers(0, 255, (size, size, 3)).astype(np.uint8)
    texture = cv2.GaussianBlur(noise, (0, 0), 2.0, borderType=cv2.BORDER_WRAP)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    return np.stack([np.roll(texture, (step[1] * t, step[0] * t), (0, 1)) for t in range(frames)])


class Counting:
    """An estimator that counts its calls."""

    name, version = "counting", "1"

    def __init__(self) -> None:
        self.calls = 0

    def estimate(self, frames_THWC: np.ndarray) -> np.ndarray:
        self.calls += 1
        t, h, w, _ = frames_THWC.shape
        return np.full((t - 1, h, w, 2), 1 / 3, np.float32)


def video(frames: np.ndarray) -> Video:
    return Video.from_thwc(frames, 8.0)


@pytest.mark.parametrize("step", [(3, -2), (-4, 1)])
def test_dis_finds_a_known_shift(step: tuple[int, int]) -> None:
    flow = build_estimator("dis").estimate(moving_texture(step=step))
    assert flow.shape == (2, 96, 96, 2)
    assert flow.dtype == np.float32
    inside = flow[:, 16:-16, 16:-16].reshape(-1, 2)
    np.testing.assert_allclose(np.median(inside, axis=0), step, atol=0.3)


def test_dis_pairs_do_not_depend_on_each_other() -> None:
    frames, estimator = moving_texture(4), DIS()
    together = estimator.estimate(frames)
    assert np.array_equal(estimator.estimate(frames[2:])[0], together[2])


def test_cache_estimates_once_and_returns_the_same_numbers(tmp_path: Path) -> None:
    estimator = Counting()
    cache, frames = FlowCache(estimator, tmp_path), moving_texture()
    first, second = cache.flow(video(frames)), cache.flow(video(frames))
    assert estimator.calls == 1
    assert np.array_equal(first, second)
    assert first.dtype == np.float32
    assert np.array_equal(first, FlowCache(estimator).flow(video(frames)))  # float16 without a cache too
    cache.flow(video(frames[:, 1:]))
    assert estimator.calls == 3
    assert len(list((tmp_path / "counting-1").rglob("*.npy"))) == 2
    assert not list(tmp_path.rglob(".tmp-*"))
    assert cache.fingerprint() == {"flow": "counting", "flow_version": "1", "flow_dtype": "float16"}


def test_another_version_has_its_own_place(tmp_path: Path) -> None:
    one, two = Counting(), Counting()
    two.version = "2"
    for estimator in (one, two):
        FlowCache(estimator, tmp_path).flow(video(moving_texture()))
    assert (one.calls, two.calls) == (1, 1)


@pytest.mark.parametrize("content", [b"", b"no numpy file", "shape"])
def test_a_damaged_cache_is_named(tmp_path: Path, content: bytes | str) -> None:
    cache = FlowCache(Counting(), tmp_path)
    cache.flow(video(moving_texture()))
    (file,) = tmp_path.rglob("*.npy")
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        np.save(file, np.zeros((1, 2, 3, 2), np.float16))
    with pytest.raises(UserError, match=rf"{file.name}: .*delete it and run the command again"):
        cache.flow(video(moving_texture()))


def test_an_unwritable_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / "counting-1").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        FlowCache(Counting(), tmp_path).flow(video(moving_texture()))


def test_single_frames_have_no_flow() -> None:
    with pytest.raises(UserError, match="allowed: at least 2 frames"):
        FlowCache(Counting()).flow(video(moving_texture(1)))


class FakeRAFT(nn.Module):
    """The call of torchvision's network: two refinements, of which the second says what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, before: Tensor, after: Tensor) -> list[Tensor]:
        assert before.min() >= -1
        assert before.max() <= 1
        assert len(before) <= 2
        flow = torch.stack([before.mean(1), after.mean(1)], 1) * self.gain
        return [flow * 0, flow]


@pytest.fixture
def torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with the one function that is used."""
    package, models, flow = (
        ModuleType(n) for n in ("torchvision", "torchvision.models", "torchvision.models.optical_flow")
    )
    flow.raft_large = lambda weights, progress: FakeRAFT()  # type: ignore[attr-defined]
    package.models, models.optical_flow = models, flow  # type: ignore[attr-defined]
    for module in (package, models, flow):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    optional.probe.cache_clear()
    yield
    optional.probe.cache_clear()


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "raft.pth"
    torch.save({"gain": torch.ones(1)}, path)
    monkeypatch.setattr(flow_estimation, "RAFT_HASH", hashlib.sha256(path.read_bytes()).hexdigest()[:8])
    return path


@pytest.mark.usefixtures("torchvision")
def test_raft_gets_all_pairs_in_batches_and_gives_its_last_refinement(weights: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (6, 128, 136, 3), dtype=np.uint8)
    flow = build_estimator("raft", weights=weights).estimate(frames)
    grey = frames.mean(-1) / 127.5 - 1
    np.testing.assert_allclose(flow, np.stack([grey[:-1], grey[1:]], -1), atol=1e-6)


@pytest.mark.usefixtures("torchvision")
def test_raft_refuses_sizes_and_files_that_do_not_fit(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="130x128; allowed: sides divisible by 8"):
        RAFT(weights).estimate(np.zeros((2, 128, 130, 3), np.uint8))
    with pytest.raises(MissingAsset, match=r"curl -LO https://download\.pytorch\.org"):
        RAFT(tmp_path / "absent.pth")
    weights.write_bytes(b"another")
    with pytest.raises(UserError, match="SHA-256 "):
        RAFT(weights)


def test_raft_without_torchvision_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    optional.probe.cache_clear()
    with pytest.raises(MissingDependency, match="flow estimator raft needs the package torchvision"):
        build_estimator("raft")
    optional.probe.cache_clear()


FLOW = np.random.default_rng(0).normal(0, 3, (2, 6, 8, 2)).astype(np.float32)


def write_flo(path: Path, flow: np.ndarray) -> None:
    """Middlebury's format."""
    header = np.array([202021.25], "<f4").tobytes() + np.array(flow.shape[1::-1], "<i4").tobytes()
    path.write_bytes(header + flow.astype("<f4").tobytes())


@pytest.mark.parametrize("kind", ["npy", "npz", "flo", "folder"])
def test_flow_beside_the_video(tmp_path: Path, kind: str) -> None:
    expected = FLOW
    if kind == "npy":
        np.save(tmp_path / "a.npy", FLOW)
    elif kind == "npz":
        np.savez(tmp_path / "a.npz", flow=FLOW)
    elif kind == "flo":
        write_flo(tmp_path / "a.flo", FLOW[0])
        expected = FLOW[:1]
    else:
        (tmp_path / "a_flow").mkdir()
        for t, frame in enumerate(FLOW):
            write_flo(tmp_path / "a_flow" / f"{t:04d}.flo", frame)
    assert np.array_equal(given_flow(tmp_path / "a.mp4"), expected)


def test_absent_and_damaged_flow_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no flow beside it; allowed: a\.npy"):
        given_flow(tmp_path / "a.mp4")
    for name in ("a.flo", "a.npz", "a.npy"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(UserError, match=rf"{name}: not a flow file"):
            given_flow(tmp_path / "a.mp4")
    np.savez(tmp_path / "b.npz", motion=FLOW)
    with pytest.raises(UserError, match=r"b\.npz: not a flow file"):
        given_flow(tmp_path / "b.mp4")


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UserError, match="Did you mean 'raft'"):
        build_estimator("raft2")
    with pytest.raises(UserError, match="ultrafast, fast, medium"):
        build_estimator("dis", preset="slow")
    with pytest.raises(UserError, match="at least 16x16"):
        DIS().estimate(np.zeros((2, 8, 64, 3), np.uint8))
