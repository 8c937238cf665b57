"""Files that are not weights are named as what they are; `fetch` and `dry_run` fail in one line where the run would."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toraeval import assets, trajectories
from toraeval.metrics.shared.networks import shipped, videomae
from toraeval.models.shared.weight_files import StateReader
from toraeval.models.tora.checkpoints import nano as checkpoint
from toraeval.trackers import shapes_tracker
from toraeval.types import MissingAsset, Trajectories, UserError

Cli = Callable[..., Any]
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935\nsize 12345\n"
PAGE = b"\xef\xbb\xbf\r\n <!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>"
KINDS = {
    "Git LFS pointer": POINTER,
    "HTML page": PAGE,
    "XML message": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "JSON message": b'{"error":"Repository not found"}',
    "git-annex pointer": b"/annex/objects/SHA256E-s1--0.pt\n",
}
READERS: dict[str, Callable[[Path], object]] = {
    "folder of weights": lambda file: StateReader(file, "tora", "python -m toraeval fetch x"),
    "tora": lambda file: checkpoint.load(file, "tora"),
    "metric networks": lambda file: shipped.load("video", file),
    "videomae": lambda file: videomae.load(file, "cpu"),
    "shapes_tracker": lambda file: shapes_tracker.load_network(file),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_weights_is_named(kind: str, tmp_path: Path) -> None:
    for suffix in (".safetensors", ".pth"):
        file = tmp_path / f"weights{suffix}"
        file.write_bytes(KINDS[kind])
        with pytest.raises(UserError, match=kind):
            StateReader(file, "tora", "python -m toraeval fetch x")


@pytest.mark.parametrize("name", READERS)
def test_every_reader_of_weights_names_a_pointer(name: str, tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(POINTER)
    with pytest.raises(UserError, match="is a Git LFS pointer") as caught:
        READERS[name](file)
    assert "python -m toraeval" in str(caught.value), "what gets the right file"


def test_weights_themselves_pass(tmp_path: Path) -> None:
    for start in (b"PK\x03\x04", b"\x80\x02}", b"\x10\x00\x00\x00\x00\x00\x00\x00{}"):
        (tmp_path / "file").write_bytes(start + bytes(100))
        assert assets.stand_in(tmp_path / "file") == ""
    assert assets.stand_in(tmp_path / "absent") == ""


@pytest.mark.parametrize("dry", ["true", "false"])
def test_a_pointer_stops_run_and_dry_run_alike(dry: str, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "page.pth").write_bytes(PAGE)
    ran = cli("run", "model.weights=page.pth", "limit=1", "frames=4", f"dry_run={dry}")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "page.pth is an HTML page" in ran.err


class HttpError(Exception):
    """What an HTTP library raises without a network; not an OSError."""


def test_fetch_without_a_network_is_one_line(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hub:
        class HfApi:
            def model_info(self, *given: object, **named: object) -> None:
                raise HttpError("[Errno -2] Name or service not known")

    monkeypatch.setenv("TORAEVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TORAEVAL_OFFLINE", raising=False)
    monkeypatch.setattr("toraeval.assets.snapshots.require", lambda *given: Hub)
    ran = cli("fetch", "model=tora", "size=xl2")
    assert (ran.code, ran.err.count("\n")) == (3, 1)
    assert "Name or service not known" in ran.err
    assert "try again: python -m toraeval fetch" in ran.err


def test_an_unpinned_file_that_is_a_page_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORAEVAL_CACHE", str(tmp_path))
    (tmp_path / assets.ASSETS["fvd_i3d"].filename).write_bytes(PAGE)  # type: ignore[union-attr]
    with pytest.raises(MissingAsset, match="HTML page"):
        assets.path("fvd_i3d")


@pytest.mark.parametrize("model", ["tora", "motionctrl", "dragnuwa", "static"])
def test_dry_run_refuses_a_case_without_the_first_frame_that_the_model_needs(
    model: str, cli: Cli, tmp_path: Path
) -> None:
    track = np.stack([np.linspace(10, 50, 8), np.full(8, 20.0)], axis=-1)[None]
    paths = Trajectories(track, np.ones((1, 8), bool), (64, 64))
    (tmp_path / "cases").mkdir()
    trajectories.write_native(
        tmp_path / "cases" / "a.json", [trajectories.NativeCase("a", paths, "a square")]
    )
    codes = []
    for dry in ("true", "false"):
        ran = cli(
            "run", f"model={model}", "suite=folder", "suite.path=cases", "frames=8", "height=64", "width=64",
            "metric=[traj_error]", f"dry_run={dry}",
        )  # fmt: skip
        codes.append(ran.code)
        assert "needs a first frame" in ran.err
    assert codes == [1, 1]


def test_dry_run_refuses_a_missing_clip_of_another_method(
    cli: Cli, tmp_path: Path, fake: tuple[str, ...]
) -> None:
    assert cli("run", "model=fake_model", *fake, "keep=lossless", "limit=1").code == 0
    (tmp_path / "clips").mkdir()
    video = next(tmp_path.glob("results/runs/*/fake_model/*/cases/*/video.mkv"))
    (tmp_path / "clips" / "alpha.mkv").write_bytes(video.read_bytes())
    ran = cli("run", "model=precomputed", "model.videos=clips", *fake, "dry_run=true")
    assert ran.code == 1
    assert "unknown video 'beta'" in ran.err
    assert "unknown video 'gamma'" in ran.err


def test_text_that_looks_like_an_interpolation_passes_through_a_dry_run(
    cli: Cli, fake: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "a${b").mkdir()
    assert cli("run", "model=fake_model", "model.bad=${x", *fake, "results=a${b", "dry_run=true").code == 0
    few = ("frames=[8]", *fake[:4], "limit=1")
    ran = cli("bench", "models=[fake_model]", "model_options.fake_model.bad=${x}", *few)
    assert ran.code == 0, ran.err
    kept = json.loads(next(tmp_path.glob("results/runs/*/fake_model/*/record.json")).read_text())
    assert kept["config"]["model"]["bad"] == "${x}"


def test_files_that_changed_since_the_last_command_of_a_process_are_read_again(
    cli: Cli, tmp_path: Path
) -> None:
    track = np.stack([np.linspace(10, 50, 8), np.full(8, 20.0)], axis=-1)[None]
    paths = Trajectories(track, np.ones((1, 8), bool), (64, 64))
    (tmp_path / "cases").mkdir()
    found = []
    for name in ("a", "b"):
        case = trajectories.NativeCase(name, paths, "a square")
        trajectories.write_native(tmp_path / "cases" / f"{name}.json", [case])
        ran = cli(
            "run", "model=ground_truth", "suite=folder", "suite.path=cases", "frames=8", "height=64", "width=64",
            "metric=[traj_error]", "dry_run=true",
        )  # fmt: skip
        found.append([case for case in "ab" if f"case {case}:" in ran.err])
    assert found == [["a"], ["a", "b"]]
