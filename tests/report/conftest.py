"""Finished run folders made up from discs on a gradient, written by the same code as real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toraeval.metrics.traj_error import TrajError
from toraeval.report.assemble import build
from toraeval.store.sealed import write_json
from toraeval.store.slot import RunStore, sample_id
from toraeval.store.tables.rows import read_rows, write_definitions, write_tables
from toraeval.types import Case, Tracks, Trajectories, Video

COLOURS = ((220, 60, 40), (40, 90, 220), (60, 190, 90))
PROMPT = "a <red> disc & a blue disc move over a grey background"


def target_of(case: str, frames: int, size: tuple[int, int]) -> np.ndarray:
    """Return one or two smooth paths that every model sees alike, at any length."""
    seed = sum(map(ord, case))
    rng = np.random.default_rng(seed)
    time = np.linspace(0, 1, frames)
    start = rng.uniform(0.25, 0.4, (1 + seed % 2, 1, 2))
    reach = rng.uniform(0.2, 0.45, (1 + seed % 2, 1, 2))
    bend = 0.08 * np.sin(2 * np.pi * time * rng.integers(1, 3))[None, :, None]
    return (start + reach * time[None, :, None] + bend * np.array([1.0, -1.0])) * np.array(size)


def seen_by(model: str, target: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return where the objects of a model's video are."""
    if model == "ground_truth":
        return target + 0.3 * np.sin(np.arange(target.shape[1]))[None, :, None]
    if model == "static":
        return np.repeat(target[:, :1], target.shape[1], axis=1)
    rng = np.random.default_rng(len(model) + target.shape[1])
    drift = np.cumsum(rng.normal(0.002, 0.004, target.shape), axis=1) * np.array(size)
    return target + drift - drift[:, :1]


def render(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    back = np.stack([90 + 60 * x / width, 110 + 50 * y / height, np.full(x.shape, 130.0)], axis=-1)
    frames = []
    for t in range(points.shape[1]):
        frame = back.copy()
        for n in range(points.shape[0]):
            frame[np.hypot(x - points[n, t, 0], y - points[n, t, 1]) < width / 14] = COLOURS[n % 3]
        frames.append(frame)
    return np.asarray(np.stack(frames), dtype=np.uint8)


def write_run(
    root: Path,
    model: str,
    frames: int,
    cases: tuple[str, ...] = ("line-000", "curve-001", "wave-002"),
    size: tuple[int, int] = (64, 48),
    *,
    fingerprint: str | None = None,
    failed: tuple[str, ...] = (),
    unscored: tuple[str, ...] = (),
    seeds: tuple[int, ...] = (0,),
    video: bool = True,
    key: str = "0123456789ab",
    suite: str = "test-v1",
    tracker: str = "lucas_kanade",
    seen: dict[str, str] | None = None,
    sha256: str = "s",
    tags: dict[str, dict[str, Any]] | None = None,
) -> Path:
    """Write one finished run folder and return it; `seen` names the model as which the tracker sees another."""
    store = RunStore(root / "runs" / suite / model / f"{frames}f-{size[0]}x{size[1]}-{key}")
    metric = TrajError()
    for order, case_id in enumerate(cases):
        for seed in seeds:
            slot = store.slot(sample_id(case_id, seed))
            facts = {
                "order": order,
                "sample": slot.folder.name,
                "case": case_id,
                "seed": seed,
                "model": model,
                "suite": suite,
                "frames": frames,
                "height": size[1],
                "width": size[0],
                "fps": 8.0,
                "tracker": tracker,
                "frames_generated": frames + 1,
                "frames_scored": frames,
                "length_mode": "cut",
                "video_sha256": sha256,
                "fingerprint": fingerprint or f"fp-{frames}",
                **{f"tag_{name}": value for name, value in (tags or {}).get(case_id, {}).items()},
            }
            if case_id in failed:
                slot.save_failure(facts, "ValueError: it broke", "Traceback")
                continue
            target = target_of(case_id, frames, size)
            points = seen_by((seen or {}).get(model, model), target, size) + 0.5 * seed
            visible = np.ones(target.shape[:2], dtype=bool)
            case = Case(
                case_id, suite, PROMPT, Trajectories(target, visible, size), frames, size[1], size[0], 8.0, 0
            )
            tracks = Tracks(points, visible)
            clip = Video.from_thwc(render(points, size), 8.0)
            preview = slot.save_preview(clip) if video else None
            meta = {"key": "k", "sha256": sha256, "prompt": PROMPT, "seconds": 1.25, "facts": facts}
            slot.save_video_meta({**meta, "preview": preview})
            slot.save_tracks(case, tracks, "k", sha256, 0.1)
            if case_id not in unscored:
                slot.save_scores({"traj_error": ("k", metric.score(case, tracks))}, facts, 0.01)
    record = {"model": model, "suite": suite, "frames": frames, "height": size[1], "width": size[0]}
    write_json(store.run_dir / "record.json", {"run": {**record, "tracker": tracker}, "command": "run <x>"})
    write_definitions(store, {"traj_error": metric.definition()})
    write_tables(store, read_rows(store, {"traj_error": metric.version}, None))
    return store.run_dir


@pytest.fixture(scope="session")
def make_run() -> Callable[..., Path]:
    return write_run


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three models at two lengths."""
    root = tmp_path_factory.mktemp("bench")
    return [
        write_run(root, model, frames) for frames in (6, 12) for model in ("tora", "static", "ground_truth")
    ]


@pytest.fixture(scope="session")
def built(bench: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of `bench`."""
    folder = tmp_path_factory.mktemp("report")
    build(bench, folder, sheets_per_length=1)
    return folder
