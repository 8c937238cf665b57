"""The three layouts of published weights give the same network; what does not fit is named."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from toraeval.models.tora_cogvideox import checkpoint
from toraeval.models.tora_cogvideox.checkpoint import (
    find_checkpoint,
    load_transformer,
    read_config,
    weight_files,
)
from toraeval.models.tora_cogvideox.config import TransformerConfig, published_5b, with_sat_norms
from toraeval.models.tora_cogvideox.sat import PREFIX
from toraeval.models.tora_cogvideox.transformer import ToraCogVideoXTransformer
from toraeval.types import MissingAsset, UserError

pytest.importorskip("diffusers")
Tiny = Callable[..., ToraCogVideoXTransformer]
Write = Mapping[str, Callable[[Path, ToraCogVideoXTransformer], Path]]
FORMATS = ["diffusers", "split", "sat"]


@pytest.mark.parametrize("format", FORMATS)
def test_every_layout_gives_the_same_weights(tiny: Tiny, write: Write, tmp_path: Path, format: str) -> None:
    model = tiny()
    path = write[format](tmp_path / "weights", model)
    assert find_checkpoint(path).format == format
    loaded = load_transformer(path, format=format)
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    state = model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in loaded.state_dict().items())
    # sat's epsilons, whatever the file beside it says
    block = loaded.transformer_blocks[0]
    eps = [norm.eps for norm in (block.norm1.norm, block.norm2.norm, loaded.norm_final, loaded.norm_out.norm)]
    assert eps == [1e-5, 1e-5, 1e-5, 1e-6 if format == "sat" else 1e-5]


@pytest.mark.parametrize("format", FORMATS)
def test_files_are_named_for_hashing(tiny: Tiny, write: Write, tmp_path: Path, format: str) -> None:
    files = weight_files(find_checkpoint(write[format](tmp_path / "weights", tiny())))
    assert [file.name for file in files] == {
        "diffusers": ["a.safetensors", "b.safetensors", "config.json"],
        "split": [
            "diffusion_pytorch_model.safetensors", "fuser.safetensors", "traj_extractor.safetensors", "config.json",
        ],
        "sat": ["mp_rank_00_model_states.pt", "config.json"],
    }[format]  # fmt: skip


def test_parts_and_files_can_be_named_directly(tiny: Tiny, write: Write, tmp_path: Path) -> None:
    model = tiny()
    inner = load_transformer(write["diffusers"](tmp_path / "d", model) / "transformer")
    file = load_transformer(write["sat"](tmp_path / "s", model) / "mp_rank_00_model_states.pt")
    folder = write["split"](tmp_path / "p", model)
    for part in ("fuser", "traj_extractor"):
        (folder / part / f"{part}.safetensors").rename(folder / f"{part}.safetensors")
        (folder / part).rmdir()
    for loaded in (inner, file, load_transformer(folder)):
        assert torch.equal(loaded.proj_out.weight, model.proj_out.weight)
        assert torch.equal(loaded.fuser[1].flow_cond_norm.bias, model.fuser[1].flow_cond_norm.bias)


def test_half_precision_keeps_integers(tiny: Tiny, write: Write, tmp_path: Path) -> None:
    loaded = load_transformer(write["diffusers"](tmp_path / "w", tiny()), dtype=torch.bfloat16)
    types = {name.rpartition(".")[2]: value.dtype for name, value in loaded.state_dict().items()}
    assert types["weight"] == types["running_var"] == torch.bfloat16
    assert types["num_batches_tracked"] == torch.int64


@pytest.mark.parametrize(
    ("format", "asked", "used"),
    [("diffusers", "auto", True), ("diffusers", "off", False), ("sat", "auto", False), ("sat", "on", True)],
)
def test_learned_positions_are_off_for_sat_unless_asked_for(
    tiny: Tiny, write: Write, tmp_path: Path, format: str, asked: str, used: bool
) -> None:
    model = tiny(in_channels=32, use_learned_positional_embeddings=True)
    path = write[format](tmp_path / "w", model)
    loaded = load_transformer(path, "i2v", learned_positions=asked)
    assert loaded.learned_positions is used
    table = model.patch_embed.pos_embedding.float()  # diffusers computes its initial table in float64
    assert torch.equal(loaded.patch_embed.pos_embedding, table)


def test_sine_positions_are_restored(tiny: Tiny, write: Write, tmp_path: Path) -> None:
    model = tiny(use_rotary_positional_embeddings=False)
    loaded = load_transformer(write["split"](tmp_path / "w", model))
    assert torch.equal(loaded.patch_embed.pos_embedding, model.patch_embed.pos_embedding)


def test_a_sat_file_alone_is_the_published_network(tiny: Tiny, write: Write, tmp_path: Path) -> None:
    folder = write["sat"](tmp_path / "w", tiny())
    (folder / "config.json").unlink()
    assert read_config(find_checkpoint(folder)) == with_sat_norms(published_5b())
    with pytest.raises(UserError, match=r"keys missing .* unexpected .* of another shape"):
        load_transformer(folder, config=tiny(num_layers=1, traj_channels=4).config)


def test_what_is_not_there_is_an_error_with_its_command(tmp_path: Path) -> None:
    with pytest.raises(MissingAsset, match="run: python -m toraeval fetch model=tora_cogvideox"):
        find_checkpoint(tmp_path / "absent")
    with pytest.raises(UserError, match="is none of: a diffusers folder"):
        find_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "sat"}, "laid out as format=diffusers, not sat"),
        ({"format": "zip"}, "format=zip; allowed: auto, diffusers, sat, split"),
        ({"variant": "i2v"}, "in_channels=16, which is the other variant; choose variant=t2v"),
        ({"variant": "v2v"}, "variant=v2v; allowed: t2v, i2v"),
        ({"learned_positions": "yes"}, "learned_positions=yes; allowed: auto, on, off"),
        ({"learned_positions": "on"}, "hold no learned positions"),
    ],
)
def test_options_that_do_not_fit(
    tiny: Tiny, write: Write, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    path = write["diffusers"](tmp_path / "w", tiny())
    with pytest.raises(UserError, match=message):
        load_transformer(path, **options)


def test_missing_and_unexpected_tensors_are_named(tiny: Tiny, write: Write, tmp_path: Path) -> None:
    folder = write["split"](tmp_path / "w", tiny())
    file = folder / "fuser" / "fuser.safetensors"
    state = load_file(str(file))
    state["7.flow_gamma_spatial.bias"] = state.pop("0.flow_gamma_spatial.bias")
    save_file(state, str(file))
    with pytest.raises(
        UserError, match=r"1 key missing \['fuser\.0\.flow_gamma_spatial\.bias'\], 1 unexpected"
    ):
        load_transformer(folder)
    file.unlink()
    with pytest.raises(MissingAsset, match="fuser holds no weights"):
        load_transformer(folder)


def test_sat_tensors_are_compared_under_their_own_names(tiny: Tiny, write: Write, tmp_path: Path) -> None:
    folder = write["sat"](tmp_path / "w", tiny())
    file = folder / "mp_rank_00_model_states.pt"
    state = torch.load(file, weights_only=True)["module"]
    qkv = f"{PREFIX}transformer.layers.0.attention.query_key_value.bias"
    state[f"{PREFIX}strange"], state[qkv] = torch.zeros(1), torch.zeros(95)
    torch.save({"module": state}, file)
    with pytest.raises(
        UserError, match=r"1 unexpected \['model\.diffusion_model\.strange'\], 3 of another shape"
    ):
        load_transformer(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"strange": 1}', r"unknown option\(s\) strange; known: activation_fn"),
        ("{", "not a readable JSON object"),
        ('{"patch_size_t": 2}', "patch_size_t=2 belongs to CogVideoX 1.5"),
        ('{"attention_head_dim": 24}', "attention_head_dim=24; allowed: multiples of 16"),
        (
            '{"use_learned_positional_embeddings": true, "use_rotary_positional_embeddings": false}',
            "learned positions come with rotary ones",
        ),
    ],
)
def test_a_configuration_of_another_network(
    tiny: Tiny, write: Write, tmp_path: Path, content: str, message: str
) -> None:
    folder = write["diffusers"](tmp_path / "w", tiny())
    (folder / "transformer" / "config.json").write_text(content)
    with pytest.raises(UserError, match=message):
        load_transformer(folder)


def test_older_configurations_may_lack_fields(tmp_path: Path) -> None:
    stored = published_5b().backbone_options()
    for name in ("ofs_embed_dim", "patch_bias", "patch_size_t"):
        del stored[name]
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"_class_name": "ToraTransformer3DModel", **stored}))
    assert TransformerConfig.from_json(checkpoint.read_json(file)) == published_5b()
