"""Published checkpoints: every layout gives the same network; what does not fit is named in one error."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from toraeval.models.shared.network.config import STDiTConfig, tiny
from toraeval.models.shared.network.stdit import STDiT3
from toraeval.models.tora.autoencoder.spatial import SpatialVAEConfig
from toraeval.models.tora.autoencoder.temporal import TemporalVAEConfig
from toraeval.models.tora.autoencoder.video import OpenSoraVAE, OpenSoraVAEConfig
from toraeval.models.tora.checkpoints.importers import load_stdit, load_vae, save_stdit
from toraeval.models.tora.network.model import ToraNetwork
from toraeval.types import MissingAsset, UserError

CONFIG = tiny()
State = dict[str, Tensor]
UPSTREAM = {
    "architectures": ["STDiT3"], "model_type": "STDiT3", "input_size": [None, None, None], "input_sq_size": 512,
    "in_channels": 4, "patch_size": [1, 2, 2], "hidden_size": 48, "depth": 2, "num_heads": 4, "mlp_ratio": 4.0,
    "class_dropout_prob": 0.1, "pred_sigma": True, "drop_path": 0.0, "caption_channels": 32, "model_max_length": 8,
    "qk_norm": True, "enable_flash_attn": True, "enable_layernorm_kernel": True, "enable_sequence_parallelism": False,
    "only_train_temporal": False, "freeze_y_embedder": True, "skip_y_embedder": False, "torch_dtype": "float32",
    "transformers_version": "4.36.2",
}  # fmt: skip


@pytest.fixture(scope="module")
def state() -> State:
    torch.manual_seed(0)
    return STDiT3(CONFIG).state_dict()


def sharded(folder: Path, state: State, suffix: str) -> Path:
    names = sorted(state)
    shards = {f"model-0000{i}-of-00002{suffix}": names[i - 1 :: 2] for i in (1, 2)}
    for file, keys in shards.items():
        part = {key: state[key].clone() for key in keys}
        if suffix == ".safetensors":
            save_file(part, folder / file)
        else:
            torch.save(part, folder / file)
    weight_map = {key: file for file, keys in shards.items() for key in keys}
    (folder / f"model{suffix}.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


def single(folder: Path, state: State) -> Path:
    save_file(state, folder / "model.safetensors")
    return folder / "model.safetensors"


def nested(folder: Path, content: Any, legacy: bool = False) -> Path:
    torch.save(content, folder / "w.pth", _use_new_zipfile_serialization=not legacy)
    return folder / "w.pth"


LAYOUTS: dict[str, Callable[[Path, State], Path]] = {
    "one safetensors file": single,
    "safetensors shards": lambda folder, state: sharded(folder, state, ".safetensors"),
    "pickle shards": lambda folder, state: sharded(folder, state, ".bin"),
    "index file": lambda folder, state: sharded(folder, state, ".bin") / "model.bin.index.json",
    "pickle": lambda folder, state: nested(folder, state),
    "pickle of old torch": lambda folder, state: nested(folder, state, legacy=True),
    "under module": lambda folder, state: nested(folder, {"module": state, "step": 3}),
    "under state_dict in ema": lambda folder, state: nested(folder, {"ema": {"state_dict": state}}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_network(layout: str, state: State, tmp_path: Path) -> None:
    model = load_stdit(LAYOUTS[layout](tmp_path, state), CONFIG)
    assert {name: value.tolist() for name, value in model.state_dict().items()} == {
        name: value.tolist() for name, value in state.items()
    }
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())


def test_published_folder_states_its_own_configuration(state: State, tmp_path: Path) -> None:
    single(tmp_path, state)
    (tmp_path / "config.json").write_text(json.dumps(UPSTREAM))
    assert load_stdit(tmp_path).config == STDiTConfig.from_upstream(
        {k: v for k, v in UPSTREAM.items() if hasattr(CONFIG, k)}
    )
    (tmp_path / "config.json").write_text(json.dumps({**UPSTREAM, "depht": 2}))
    with pytest.raises(UserError, match="depht"):
        load_stdit(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**UPSTREAM, "skip_y_embedder": True}))
    with pytest.raises(UserError, match="skip_y_embedder"):
        load_stdit(tmp_path)


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("wanted", [torch.bfloat16, torch.float32])
def test_precisions(stored: torch.dtype, wanted: torch.dtype, state: State, tmp_path: Path) -> None:
    halved = {name: value.to(stored) for name, value in state.items()}
    model = load_stdit(single(tmp_path, halved), CONFIG, dtype=wanted)
    for name, value in model.state_dict().items():
        assert value.dtype == wanted
        assert torch.equal(value, halved[name].to(wanted)), name


def refused(path: Path, kind: type[UserError] = UserError, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        load_stdit(path, **{"config": CONFIG, **options})
    message = str(caught.value)
    assert str(path) in message or str(path.parent) in message
    return message


def test_absent_files(state: State, tmp_path: Path) -> None:
    assert "fetch model=tora size=xl2" in refused(tmp_path / "none", MissingAsset)
    assert "holds no weights" in refused(tmp_path, MissingAsset)
    sharded(tmp_path, state, ".safetensors")
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    assert "lacks 1 of 2 weight shards: model-00002-of-00002.safetensors" in refused(tmp_path, MissingAsset)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("kept", [0, 7, 0.5, 0.99])
def test_truncated_files(suffix: str, kept: float, state: State, tmp_path: Path) -> None:
    file = single(tmp_path, state) if suffix == ".safetensors" else nested(tmp_path, state)
    content = file.read_bytes()
    file.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    assert "torch file" in refused(file) or "not a readable safetensors file" in refused(file)


class Payload:
    """Would make a folder when unpickled."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("plain", [True, False])
def test_code_in_a_pickle_is_not_run(plain: bool, state: State, tmp_path: Path) -> None:
    content = {**state, "t_block.1.bias": Payload(str(tmp_path / "ran"))}
    file = tmp_path / "evil.pth"
    if plain:
        file.write_bytes(pickle.dumps({"evil": content["t_block.1.bias"]}))
    else:
        torch.save(content, file)
    message = refused(file)
    assert "holds Python code" in message or "not a torch file of tensors alone" in message
    assert not (tmp_path / "ran").exists()


def test_keys_and_shapes_that_do_not_fit(state: State, tmp_path: Path) -> None:
    changed = dict(state)
    changed["extra.weight"] = changed.pop("t_block.1.bias")
    changed["x_embedder.proj.bias"] = torch.zeros(7)
    message = refused(single(tmp_path, changed))
    assert "1 key missing ['t_block.1.bias'], 1 unexpected ['extra.weight'], 1 of another shape" in message
    assert "x_embedder.proj.bias [7] instead of [48]" in message


def test_weights_must_be_finite(state: State, tmp_path: Path) -> None:
    spoilt = {**state, "t_block.1.bias": torch.full_like(state["t_block.1.bias"], float("nan"))}
    assert "t_block.1.bias holds NaN" in refused(single(tmp_path, spoilt))


def test_another_text_length_is_refused(state: State, tmp_path: Path) -> None:
    message = refused(single(tmp_path, state), config=tiny(model_max_length=12))
    assert "captions of 8 tokens" in message
    assert "model_max_length=8" in message


def test_ambiguous_contents(state: State, tmp_path: Path) -> None:
    doubled = {name: value * 2 for name, value in state.items()}
    file = nested(tmp_path, {"module": state, "ema": doubled})
    assert "several state dicts (module, ema)" in refused(file)
    assert "save the one you mean alone" in refused(file)
    save_file(state, tmp_path / "a.safetensors")
    save_file(state, tmp_path / "b.safetensors")
    assert "several weight files (a.safetensors, b.safetensors)" in refused(tmp_path)
    assert "holds no state dict" in refused(nested(tmp_path, {"step": 3}))


def test_bad_indices(state: State, tmp_path: Path) -> None:
    index = sharded(tmp_path, state, ".safetensors") / "model.safetensors.index.json"
    stated = json.loads(index.read_text())["weight_map"]
    index.write_text(json.dumps({"weight_map": {**stated, "ghost": "model-00001-of-00002.safetensors"}}))
    assert "no shard holds ['ghost']" in refused(tmp_path)
    index.write_text(json.dumps({"weight_map": {"a": "../model.safetensors"}}))
    assert "outside its folder" in refused(tmp_path)
    index.write_text("{")
    assert "not an index of weight shards" in refused(tmp_path)


def test_motion_parts_are_new_only_on_demand(state: State, tmp_path: Path) -> None:
    file = single(tmp_path, state)
    config = tiny(fuser="adaptive_norm")
    assert "motion=new starts them untrained" in refused(file, config=config)
    model = load_stdit(file, config, motion="new")
    assert isinstance(model, ToraNetwork)
    assert torch.equal(model.t_block[1].weight, state["t_block.1.weight"])
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    with pytest.raises(UserError, match="needs a configuration with a fuser"):
        load_stdit(file, CONFIG, motion="new")
    with pytest.raises(UserError, match="motion=old; allowed: stored, new"):
        load_stdit(file, config, motion="old")


def test_own_export_comes_back(tmp_path: Path) -> None:
    config = tiny(fuser="adaptive_norm")
    model = ToraNetwork(config)
    save_stdit(tmp_path / "out", model.state_dict(), config, {"steps": 3}, torch.float32)
    again = load_stdit(tmp_path / "out")
    assert isinstance(again, ToraNetwork)
    assert again.config == config
    assert all(
        torch.equal(a, b)
        for a, b in zip(again.state_dict().values(), model.state_dict().values(), strict=True)
    )
    with safe_open(tmp_path / "out" / "model.safetensors", "pt") as handle:
        assert json.loads(handle.metadata()["card"]) == {"steps": 3}
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == ["config.json", "model.safetensors"]
    assert "depth=3 (file: 2)" in refused(tmp_path / "out", config=tiny(fuser="adaptive_norm", depth=3))
    assert "motion=new would overwrite" in refused(tmp_path / "out", config=config, motion="new")


def test_export_needs_room(state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match=r"needs 0.00 GB, but .* has 0.00 GB free"):
        save_stdit(tmp_path / "out", state, CONFIG, {})
    assert not list((tmp_path / "out").iterdir())


def test_full_disk_while_writing(state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import safetensors.torch

    def full(_: State, file: str, **__: Any) -> None:
        Path(file).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(UserError, match=r"No space left on device.*free space"):
        save_stdit(tmp_path / "out", state, CONFIG, {})
    assert not list((tmp_path / "out").iterdir())


def test_autoencoder(tmp_path: Path) -> None:
    config = OpenSoraVAEConfig(
        spatial=SpatialVAEConfig(block_out_channels=(4, 4, 4, 4), layers_per_block=1, norm_num_groups=2),
        temporal=TemporalVAEConfig(filters=4, num_res_blocks=1, num_groups=2),
    )
    vae = OpenSoraVAE(config)
    save_file({k: v.clone() for k, v in vae.state_dict().items()}, tmp_path / "model.safetensors")
    again = load_vae(tmp_path, config, dtype=torch.float32)
    assert all(
        torch.equal(a, b) for a, b in zip(again.state_dict().values(), vae.state_dict().values(), strict=True)
    )
    with pytest.raises(UserError, match="does not fit this model"):
        load_vae(tmp_path)
