"""The way from options to exported weights on the test size, and the options that are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from tests.training.conftest import train_command
from toraeval.models.tora.checkpoints.importers import load_stdit
from toraeval.models.tora.network.model import ToraNetwork
from toraeval.training.engine import log
from toraeval.training.engine.distributed import checkpoints
from toraeval.types import MissingAsset, UserError

OPTIONS: dict[str, Any] = {
    "size": "tiny",
    "start": "random",
    "vae": "random",
    "text_encoder": "random",
    "precision": "fp32",
    "clips": 4,
    "buckets": {"32x48": {5: [0.5, 2]}, "48x32": {1: [1.0, 1]}},
    "stage_steps": [2, 1],
    "warmup_steps": 2,
    "lr": 1e-3,
    "save_every": 100,
    "seed": 3,
}


@pytest.mark.long
@pytest.mark.timeout(300)
def test_from_options_to_weights_that_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    options = {**OPTIONS, "folder": str(folder)}
    assert train_command(options) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert f"weights: {folder / 'weights'}" in said.err
    rows = log.read_rows(folder / "log.csv")
    assert [row["stage"] for row in rows] == ["dense", "dense", "sparse"]
    assert {row["size"] for row in rows} <= {"2x5x32x48", "1x1x48x32"}

    model = load_stdit(folder / "weights")
    assert isinstance(model, ToraNetwork)
    torch.manual_seed(3)
    started = ToraNetwork(model.config).state_dict()
    moved = {n for n, v in model.state_dict().items() if not torch.equal(v, started[n])}
    assert moved
    assert all(name.startswith(("traj_extractor.", "fuser.")) for name in moved)
    with safe_open(str(folder / "weights" / "model.safetensors"), "pt") as file:
        card = json.loads(file.metadata()["card"])
    assert card["start"] == {"weights": "random", "motion": "new"}
    assert (card["autoencoder"]["vae"], card["captions"]["text_encoder"]) == ("random", "random")
    assert (card["steps"], card["recipe"]["trainable"]) == (3, "motion")
    assert str(tmp_path) not in json.dumps(card)

    # a longer last stage resumes, from the exported state and to the weights of one long run
    assert train_command({**options, "stage_steps": [2, 2]}) == 0
    at_once = {**options, "stage_steps": [2, 2], "folder": str(tmp_path / "at_once")}
    assert train_command(at_once) == 0
    both = [load_stdit(Path(f) / "weights").state_dict() for f in (folder, tmp_path / "at_once")]
    assert [name for name in both[0] if not torch.equal(both[0][name], both[1][name])] == []
    with pytest.raises(UserError, match=r"recipe differs .*lr was 0.001, is 0.01.*; give the same options"):
        train_command({**options, "lr": 1e-2})


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("compression", ["key_frame", "vae"])
def test_cached_latents_change_nothing(tmp_path: Path, compression: str) -> None:
    found = []
    for name, cache in (("a", "cache"), ("b", "cache"), ("c", None)):
        options = {
            **OPTIONS,
            "folder": str(tmp_path / name),
            "compression": compression,
            "stage_steps": [1, 1],
        }
        train_command({**options, "cache": str(tmp_path / cache) if cache else None})
        found.append(load_stdit(tmp_path / name / "weights").state_dict())
    assert list((tmp_path / "cache").glob("*.safetensors"))
    for other in found[1:]:
        assert [name for name in other if not torch.equal(other[name], found[0][name])] == []


@pytest.mark.timeout(300)
def test_plain_transformer_weights_start_with_new_motion_parts(tmp_path: Path) -> None:
    from toraeval.models.shared.network.config import tiny
    from toraeval.models.shared.network.stdit import STDiT3
    from toraeval.models.tora.checkpoints.importers import save_stdit

    torch.manual_seed(9)
    bare = STDiT3(tiny())
    save_stdit(tmp_path / "dit", bare.state_dict(), tiny(), {}, torch.float32)
    options = {
        **OPTIONS,
        "folder": str(tmp_path / "run"),
        "start": str(tmp_path / "dit"),
        "stage_steps": [1, 0],
    }
    train_command({**options, "buckets": {"32x32": {5: [1.0, 1]}}})
    trained = load_stdit(tmp_path / "run" / "weights").state_dict()
    assert all(torch.equal(trained[name], value) for name, value in bare.state_dict().items())
    assert json.loads((tmp_path / "run" / "run.json").read_text())["start"]["motion"] == "new"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"minutes": 3.0}, UserError, "minutes=3.0 belongs to model=tora, .*; got model=tora size=tiny"),
        ({"workers": 4}, UserError, "workers=4 belongs to model=tora, "),
        ({"precision": "fp16"}, UserError, "precision=fp16; allowed: bf16, fp32"),
        ({"fuser": "none"}, UserError, "fuser=none; allowed: adaptive_norm, cross_attention, extra_channel"),
        ({"trainable": "some"}, UserError, "trainable=some; allowed: motion, all"),
        ({"stage_steps": [0, 0]}, UserError, r"stage_steps=\[0, 0\]; allowed: .*at least one step"),
        ({"stage_steps": [5]}, UserError, r"stage_steps=\[5\].*two numbers each"),
        ({"lr": float("nan")}, UserError, "lr=nan; allowed: 0 to 1"),
        ({"clip": 0.0}, UserError, "clip=0.0; allowed: more than 0"),
        ({"save_every": 0}, UserError, "save_every=0; allowed: at least 1"),
        ({"frame_masks": {"image_haed": 0.5}}, UserError, "image_haed"),
        ({"buckets": {"32x32": {5: [1.0, 26]}}}, UserError, "clips 1 to 25"),
        ({"data": "nowhere"}, UserError, "nowhere: no such folder of videos"),
        ({"data": "nowhere", "cut": {"skip": 3}}, UserError, "unknown option of cut 'skip'"),
        ({"cache": "c", "posterior": "sample"}, UserError, "posterior=mode"),
        ({"clips": 0}, UserError, "clips=0; allowed: at least 1"),
        ({"start": None}, MissingAsset, "start= is missing; .*fetch model=tora size=xl2"),
        ({"vae": None}, MissingAsset, "vae= is missing"),
        ({"start": "nowhere"}, MissingAsset, "nowhere"),
        ({"vae": "nowhere"}, MissingAsset, "nowhere"),
        ({"text_encoder": "nowhere"}, MissingAsset, "nowhere"),
    ],
)
def test_options_that_cannot_work_are_refused(
    options: dict[str, Any], error: type[UserError], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message) as caught:
        train_command({**OPTIONS, "folder": str(tmp_path / "run"), **options})
    assert "\n" not in str(caught.value)
    assert checkpoints(tmp_path / "run" / "checkpoints") == []


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    from toraeval.store import lock

    with lock.hold(tmp_path), pytest.raises(UserError, match=r"another run is working in .*folder=PATH"):
        train_command({**OPTIONS, "folder": str(tmp_path)})
