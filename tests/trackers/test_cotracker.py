"""CoTracker3's adapter: loading against a tiny stand-in, and the real repository where a checkout is named."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from toraeval.trackers.cotracker import CoTracker3Offline, CoTracker3Online
from toraeval.trackers.shared import cotracker_hub
from toraeval.types import MissingAsset, UserError, Video

DATA = Path(__file__).parents[1] / "data" / "cotracker"
TOLERANCE = 1e-3  # pixels; with random weights, exchanged red and blue move a point by 0.011
CHECKOUT = os.environ.get("TORAEVAL_COTRACKER_REPO")

HUBCONF = """
import torch

torch.manual_seed(0)  # as upstream does on import


class Model(torch.nn.Module):
    window_len = 16

    def __init__(self):
        super().__init__()
        self.speed = torch.nn.Parameter(torch.rand(2))

    def forward(self, num_frames, fmaps_chunk_size=200):
        self.chunk = fmaps_chunk_size
        return torch.arange(num_frames)[:, None] * self.speed


class Offline(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.model = Model()

    def forward(self, video, queries=None):
        assert video.dtype == torch.float32 and video.max() > 1 and queries.dtype == torch.float32
        moved = self.model.forward(video.shape[1])
        tracks = queries[:, None, :, 1:] + moved[None, :, None]
        return tracks, torch.ones(tracks.shape[:3], dtype=torch.bool)


class Online(torch.nn.Module):
    step = 8

    def __init__(self):
        super().__init__()
        self.model = Model()

    def forward(self, video_chunk, is_first_step=False, queries=None, add_support_grid=False):
        assert video_chunk.shape[1] <= 16
        if is_first_step:
            self.queries, self.seen, self.grid = queries, 0, add_support_grid
            return None, None
        assert add_support_grid == self.grid
        self.seen = video_chunk.shape[1] if self.seen == 0 else self.seen - 8 + video_chunk.shape[1]
        tracks = self.queries[:, None, :, 1:] + self.model.forward(self.seen)[None, :, None]
        return tracks, torch.ones(tracks.shape[:3], dtype=torch.bool)


def cotracker3_offline(pretrained=True):
    assert not pretrained
    return Offline()


def cotracker3_online(pretrained=True):
    assert not pretrained
    return Online()
"""


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "co-tracker"
    folder.mkdir()
    (folder / "hubconf.py").write_text(HUBCONF)
    return folder


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "weights.pth"
    torch.save({"model": {"speed": torch.tensor([2.0, -1.0])}}, path)
    return path


@pytest.fixture(autouse=True)
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORAEVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORAEVAL_OFFLINE", "1")
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))


def clip(frames: int) -> Video:
    rng = np.random.default_rng(0)
    return Video.from_thwc(rng.integers(0, 256, (frames, 20, 30, 3), dtype=np.uint8), 8.0)


QUERIES = np.array([[3.0, 4.0], [20.5, 10.0]])


@pytest.mark.parametrize(
    ("kind", "frames"), [(CoTracker3Offline, 1), (CoTracker3Offline, 12), (CoTracker3Online, 21)]
)
def test_tracks_with_the_checkpoint(kind: type, frames: int, repo: Path, checkpoint: Path) -> None:
    tracks = kind(source="local", repo_dir=str(repo), checkpoint=str(checkpoint)).track(clip(frames), QUERIES)
    expected = QUERIES[:, None] + np.arange(frames)[:, None] * np.array([2.0, -1.0])
    np.testing.assert_array_equal(tracks.tracks_NT2, expected)
    assert tracks.visible_NT.shape == (2, frames)
    assert tracks.info["licence"].startswith("code CC BY-NC")
    assert tracks.info["weights_sha256"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()


def test_a_second_clip_starts_afresh(repo: Path, checkpoint: Path) -> None:
    tracker = CoTracker3Online(
        source="local", repo_dir=str(repo), checkpoint=str(checkpoint), support_grid=True
    )
    assert tracker.track(clip(17), QUERIES).tracks_NT2.shape[1] == 17
    assert tracker.track(clip(9), QUERIES).tracks_NT2.shape[1] == 9


def test_random_state_survives_loading_and_tracking(repo: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    CoTracker3Offline(source="local", repo_dir=str(repo), weights="random").track(clip(4), QUERIES)
    assert torch.equal(torch.rand(3), expected)


def test_feature_maps_are_chunked(repo: Path) -> None:
    tracker = CoTracker3Offline(source="local", repo_dir=str(repo), weights="random", chunk_frames=5)
    tracker.track(clip(4), QUERIES)
    assert tracker._predictor.model.chunk == 5


def test_fingerprint_names_what_changes_tracks(repo: Path, checkpoint: Path) -> None:
    options = {"source": "local", "repo_dir": str(repo), "checkpoint": str(checkpoint)}
    one = CoTracker3Offline(**options).fingerprint()
    assert one == CoTracker3Offline(**options, chunk_frames=3).fingerprint()
    assert one["code"].startswith("sha256:")
    assert CoTracker3Online(**options).fingerprint()["visibility_rule"] != one["visibility_rule"]
    torch.save({"speed": torch.zeros(2)}, checkpoint)
    assert CoTracker3Offline(**options).fingerprint()["weights_sha256"] != one["weights_sha256"]
    (repo / "hubconf.py").write_text(HUBCONF + "\n")
    assert CoTracker3Offline(**options).fingerprint()["code"] != one["code"]


def test_wrong_hash_is_refused(repo: Path, checkpoint: Path) -> None:
    tracker = CoTracker3Offline(
        source="local", repo_dir=str(repo), checkpoint=str(checkpoint), sha256="00" * 32
    )
    with pytest.raises(
        UserError, match=r"has SHA-256 [0-9a-f]{64}, expected 0{64}; run: python -m toraeval fetch"
    ):
        tracker.track(clip(4), QUERIES)


def test_missing_weights_name_the_command(repo: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingAsset, match="python -m toraeval fetch cotracker3_online"):
        CoTracker3Online(source="local", repo_dir=str(repo)).track(clip(12), QUERIES)
    absent = CoTracker3Offline(source="local", repo_dir=str(repo), checkpoint=str(tmp_path / "no.pth"))
    with pytest.raises(
        MissingAsset, match=r"no\.pth is absent; pass tracker\.checkpoint=FILE or run: python -m"
    ):
        absent.fingerprint()


@pytest.mark.parametrize("content", ["pickle", "keys", "bytes"])
def test_other_files_are_not_a_checkpoint(content: str, repo: Path, checkpoint: Path) -> None:
    if content == "pickle":
        torch.save({"model": Path("/")}, checkpoint)  # an object that weights_only refuses
    elif content == "keys":
        torch.save({"other": torch.zeros(2)}, checkpoint)
    else:
        checkpoint.write_bytes(b"no weights at all")
    tracker = CoTracker3Offline(source="local", repo_dir=str(repo), checkpoint=str(checkpoint))
    with pytest.raises(UserError, match="is not a checkpoint of this model") as error:
        tracker.track(clip(4), QUERIES)
    assert "\n" not in str(error.value)


def test_offline_without_code_names_the_checkout() -> None:
    with pytest.raises(
        MissingAsset, match=r"TORAEVAL_OFFLINE forbids .* tracker\.source=local tracker\.repo_dir=DIR"
    ):
        CoTracker3Offline(weights="random").track(clip(4), QUERIES)


def test_offline_with_cached_code_checks_it(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "hub" / f"facebookresearch_co-tracker_{cotracker_hub.REVISION}"
    folder.parent.mkdir()
    repo.rename(folder)
    tracker = CoTracker3Offline(weights="random")
    with pytest.raises(UserError, match=r"has code hash [0-9a-f]+, expected"):
        tracker.track(clip(4), QUERIES)
    monkeypatch.setattr(cotracker_hub, "CODE_SHA256", cotracker_hub.code_hash(folder))
    assert tracker.track(clip(4), QUERIES).info["code"] == cotracker_hub.REVISION


def test_a_failed_download_names_the_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(repo: str, name: str, **options: object) -> None:
        asked.append((repo, name, options["pretrained"]))
        raise OSError("name or service not known")

    monkeypatch.delenv("TORAEVAL_OFFLINE")
    monkeypatch.setattr(torch.hub, "load", load)
    with pytest.raises(MissingAsset, match=r"could not be downloaded \(name or .* tracker\.repo_dir=DIR"):
        CoTracker3Offline(weights="random").track(clip(4), QUERIES)
    assert asked == [(f"facebookresearch/co-tracker:{cotracker_hub.REVISION}", "cotracker3_offline", False)]


@pytest.mark.parametrize("folder", [None, "nowhere"])
def test_local_without_code(folder: str | None) -> None:
    with pytest.raises(MissingAsset, match=r"holds no hubconf\.py; pass tracker\.repo_dir=DIR"):
        CoTracker3Offline(source="local", repo_dir=folder, weights="random").fingerprint()


def test_wrong_options_and_clips(repo: Path) -> None:
    with pytest.raises(UserError, match=r"source=hub; allowed: github, local"):
        CoTracker3Offline(source="hub")
    with pytest.raises(UserError, match=r"weights=none; allowed"):
        CoTracker3Offline(weights="none")
    with pytest.raises(UserError, match=r"chunk_frames=0 must be at least 1"):
        CoTracker3Offline(chunk_frames=0)
    with pytest.raises(UserError, match=r"8 frames are too few; at least 9"):
        CoTracker3Online(source="local", repo_dir=str(repo), weights="random").track(clip(8), QUERIES)
    with pytest.raises(UserError, match=r"query 0 at \[30\.0, 4\.0\] lies outside the 30x20 frame"):
        CoTracker3Offline(source="local", repo_dir=str(repo), weights="random").track(clip(4), [[30.0, 4.0]])


@pytest.mark.weights
@pytest.mark.timeout(3600)
@pytest.mark.skipif(
    not CHECKOUT, reason="set TORAEVAL_COTRACKER_REPO to a checkout of facebookresearch/co-tracker"
)
@pytest.mark.parametrize(
    ("kind", "weights_sha256"),
    [
        (CoTracker3Offline, "8eb83b09e9a5c98fa0d2c81821b9b98c25a4394a8615ecebb9f6729cacc91f7a"),
        (CoTracker3Online, "c013d4c1567c3ff6d0fecbfced3eab64c762fe4b1391f5cdcdc12e8c78bd9d59"),
    ],
)
def test_real_repository_with_random_weights(kind: type, weights_sha256: str) -> None:
    golden = np.load(DATA / f"{kind.name.removeprefix('cotracker3_')}_random.npz")
    torch.manual_seed(7)
    expected_draw = torch.rand(3)
    torch.manual_seed(7)
    tracker = kind(source="local", repo_dir=CHECKOUT, weights="random")
    # one stored point starts later than frame 0; points influence each other by far less than the tolerance
    points = golden["start_frame_n"] == 0
    queries = golden["queries_n2"][points]
    tracks = tracker.track(Video.from_thwc(golden["video_thwc"], 8.0), queries)
    assert torch.equal(torch.rand(3), expected_draw)
    state = tracker._predictor.model.state_dict()
    digest = hashlib.sha256()
    for key in sorted(state):
        digest.update(state[key].to(torch.float32).contiguous().numpy().tobytes())
    if digest.hexdigest() != weights_sha256:
        pytest.skip("this torch draws other random weights than the stored numbers were made with")
    assert tracks.info["code"] == cotracker_hub.REVISION
    recorded = golden["tracks_tn2"][:, points].transpose(1, 0, 2)
    np.testing.assert_allclose(tracks.tracks_NT2, recorded, rtol=0, atol=TOLERANCE)
    swapped = tracker.track(Video.from_thwc(golden["video_thwc"][..., ::-1], 8.0), queries)
    assert np.abs(swapped.tracks_NT2 - recorded).max() > 5 * TOLERANCE  # red and blue exchanged would be seen
    np.testing.assert_array_equal(tracks.visible_NT.T, golden["visible_tn"][:, points])
    if kind is CoTracker3Offline:
        np.testing.assert_allclose(tracks.tracks_NT2[:, 0], queries, atol=1e-4)
    assert sys.modules["cotracker"].__file__ is not None
