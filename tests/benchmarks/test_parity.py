"""Every recording in the test data against our modules, and what the command makes of differences."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import parity
from benchmarks.parity_data import Recording, Row, difference
from toraeval.types import UserError

DATA = Path(__file__).parents[1] / "data"
RECORDINGS = [path for name in ("open_sora", "tora") for path in parity.find(DATA / name)]


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_recordings_are_reproduced(path: Path) -> None:
    if path.name.startswith(("tora_", "pipeline", "scheduler")):
        pytest.importorskip("diffusers")
    rows, _ = parity.compare(path)
    assert rows
    assert [row for row in rows if not row.ok] == []


def test_every_kind_of_recording_is_here() -> None:
    names = [path.name for path in RECORDINGS]
    for known in (*parity.ARRAYS, *parity.TABLES):
        assert any(name.startswith(known) for name in names), known


@pytest.mark.parametrize(
    "name", ["open_sora/embeddings_a", "tora/motionctrl_flow_a", "tora/traj_extractor_tiny_a"]
)
def test_a_changed_recording_is_found(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    source = Recording(DATA / f"{name}.npz")
    changed = {
        k: v + np.float32(1e-3) if k.endswith(("/out", "flow_sub8", "feature1")) else v
        for k, v in source.arrays.items()
    }
    np.savez(tmp_path / Path(name).with_suffix(".npz").name, **changed)
    (path,) = parity.find(tmp_path)
    rows, _ = parity.compare(path)
    assert any(not row.ok for row in rows)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["parity", *arguments])
    return parity.main()


def test_command_lists_files_and_fails_on_what_it_cannot_compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "latent_sizes.json").write_bytes((DATA / "open_sora" / "latent_sizes.json").read_bytes())
    assert run(monkeypatch, str(tmp_path), "--all") == 0
    assert capsys.readouterr().out.count("latent_sizes.json") == 2
    np.savez(tmp_path / "mgf_b.npz", config='{"flow_in_channel": 8}')
    np.savez(tmp_path / "unknown_a.npz", x=np.zeros(1))
    assert run(monkeypatch, str(tmp_path)) == 1
    printed = capsys.readouterr().out
    assert "failed: KeyError: 'out_channels'" in printed
    assert "no check for unknown_a.npz; known beginnings: stdit3_tiny" in printed


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no recordings"):
        parity.find(tmp_path)


def test_differences() -> None:
    nan = float("nan")
    assert difference(torch.tensor([nan, 1.0]), np.array([nan, 1.5])) == 0.5
    assert np.isnan(difference(torch.tensor([nan]), np.array([0.0])))
    assert not Row("x", nan, 1.0).ok
    assert difference(torch.zeros(2), torch.zeros(3)) == float("inf")
