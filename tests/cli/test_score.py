from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fake_parts import draw
from toraeval.types import Video
from toraeval.video import write_lossless

pytestmark = pytest.mark.timeout(300)  # whole runs on a busy machine

Cli = Callable[..., Any]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    track = np.stack([np.linspace(10, 40, 6).round(), np.full(6, 20.0)], axis=-1)
    write_lossless(Video.from_thwc(draw(track), 10.0), tmp_path / "clip.mkv")
    np.savez(tmp_path / "clip.npz", tracks=track[None])
    return tmp_path / "clip.mkv"


def test_one_video_and_one_path(cli: Cli, clip: Path) -> None:
    ran = cli("score", "videos=clip.mkv", "trajectories=clip.npz", "tracker=fake_tracker", "label=mine")
    assert ran.code == 0, ran.err
    assert "| mine" in ran.out
    assert "1 case: 1 computed" in ran.out
    again = cli("score", "videos=clip.mkv", "trajectories=clip.npz", "tracker=fake_tracker", "label=mine")
    assert "nothing to do: 1 of 1 case cached" in again.out


def test_missing_arguments(cli: Cli) -> None:
    ran = cli("score", "videos=clip.mkv")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "trajectories is missing" in ran.err


def test_a_single_truncated_video_is_a_failed_case_and_one_line(cli: Cli, clip: Path) -> None:
    whole = clip.read_bytes()
    clip.write_bytes(whole[: len(whole) // 2])
    ran = cli("score", "videos=clip.mkv", "trajectories=clip.npz", "tracker=fake_tracker", "canvas=[64,64]")
    assert ran.code == 1
    assert "Traceback" not in ran.err + ran.out
    assert "clip.mkv" in ran.err


@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "unwanted"),
    [((), "toraeval.models.tora"), (("metric=[traj_error,flicker]",), ("toraeval.models.tora", "torch"))],
)
def test_no_model_code_is_imported(
    clip: Path, options: tuple[str, ...], unwanted: str | tuple[str, ...]
) -> None:
    script = (
        "import sys; from toraeval.__main__ import main\n"
        f"code = main(['score', 'videos=clip.mkv', 'trajectories=clip.npz', *{options!r}])\n"
        "assert code == 0, code\n"
        f"print(sorted(m for m in sys.modules if m.startswith({unwanted!r})))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=clip.parent, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "[]"
