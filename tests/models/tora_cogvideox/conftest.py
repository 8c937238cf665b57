"""Recorded numbers, and a network, an autoencoder and a text encoder small enough for tests, also as files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.parity_data import read_arrays
from toraeval.models.tora_cogvideox.autoencoder import VideoAutoencoder
from toraeval.models.tora_cogvideox.config import TransformerConfig, published_5b
from toraeval.models.tora_cogvideox.sat import PREFIX, source_of
from toraeval.models.tora_cogvideox.transformer import ToraCogVideoXTransformer

DATA = Path(__file__).parents[2] / "data" / "tora"


class Recorded:
    """Arrays of one file as tensors, and its JSON strings as objects."""

    def __init__(self, name: str) -> None:
        self.arrays = read_arrays(DATA / f"{name}.npz")

    def __getitem__(self, key: str) -> Tensor:
        return torch.from_numpy(np.asarray(self.arrays[key]))

    def __contains__(self, key: str) -> bool:
        return key in self.arrays

    def json(self, key: str) -> dict[str, Any]:
        return dict(json.loads(str(self.arrays[key])))

    def config(self) -> TransformerConfig:
        notes = ("learnable_pos_embed_param_present", "learnable_pos_embed_is_used")
        return TransformerConfig.from_json({k: v for k, v in self.json("config").items() if k not in notes})

    def state(self) -> dict[str, Tensor]:
        return {key[3:]: self[key] for key in self.arrays if key.startswith("sd/")}


@pytest.fixture(scope="session")
def recorded() -> Callable[[str], Recorded]:
    return Recorded


@pytest.fixture(scope="session")
def published() -> Callable[[str], dict[str, tuple[int, ...]]]:
    """Names and shapes of the released 5B networks, and their parameter count under an empty name; built once."""

    @cache
    def shapes(variant: str) -> dict[str, tuple[int, ...]]:
        with torch.device("meta"):
            model = ToraCogVideoXTransformer(published_5b(variant))
        parameters = sum(p.numel() for p in model.parameters())
        return {"": (parameters,), **{name: tuple(v.shape) for name, v in model.state_dict().items()}}

    return shapes


def tiny_config(**changes: Any) -> TransformerConfig:
    base = TransformerConfig(
        num_attention_heads=2, attention_head_dim=16, time_embed_dim=24, text_embed_dim=32, num_layers=2,
        sample_width=6, sample_height=4, sample_frames=9, max_text_seq_length=12, traj_channels=8,
    )  # fmt: skip
    return replace(base, **changes)


def build_tiny(seed: int = 0, **changes: Any) -> ToraCogVideoXTransformer:
    """A network without a zero in it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = ToraCogVideoXTransformer(tiny_config(**changes))
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
            elif tensor.is_floating_point():
                tensor.normal_(std=0.3 if tensor.ndim == 1 else tensor[0].numel() ** -0.5)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def tiny() -> Callable[..., ToraCogVideoXTransformer]:
    return build_tiny


@pytest.fixture(scope="session")
def tiny_vae() -> VideoAutoencoder:
    diffusers = pytest.importorskip("diffusers")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = diffusers.AutoencoderKLCogVideoX(
            block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=4, scaling_factor=0.7,
            sample_height=32, sample_width=48,
        )  # fmt: skip
    return VideoAutoencoder(vae.eval().requires_grad_(False))


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory, tiny_vae: VideoAutoencoder) -> Path:
    """Folder with vae/, text_encoder/ and tokenizer/ as diffusers lays them out."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("parts")
    tiny_vae.vae.save_pretrained(folder / "vae")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        t5 = transformers.T5EncoderModel(
            transformers.T5Config(vocab_size=40, d_model=32, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
        )
    t5.save_pretrained(folder / "text_encoder")
    letters = [(letter, -3.0) for letter in "abcdefghijklmnopqrstuvwxyz-"]
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *letters]
    transformers.T5Tokenizer(vocab=vocabulary, extra_ids=0).save_pretrained(folder / "tokenizer")
    return folder


Writer = Callable[[Path, ToraCogVideoXTransformer], Path]


def write_diffusers(folder: Path, model: ToraCogVideoXTransformer) -> Path:
    """Two shards with an index; the class name in the configuration is one that does not exist here."""
    inner = folder / "transformer"
    inner.mkdir(parents=True)
    state = model.state_dict()
    names = sorted(state)
    halves = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, own in halves.items():
        save_file({name: state[name].contiguous() for name in own}, str(inner / file))
    index = {"weight_map": {name: file for file, own in halves.items() for name in own}}
    (inner / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    write_config(inner, model.config, _class_name="ToraTransformer3DModel", _diffusers_version="0.32.0")
    return folder


def write_split(folder: Path, model: ToraCogVideoXTransformer) -> Path:
    state = model.state_dict()
    for part in ("fuser", "traj_extractor"):
        (folder / part).mkdir(parents=True)
        own = {k.removeprefix(f"{part}."): v for k, v in state.items() if k.startswith(f"{part}.")}
        save_file(own, str(folder / part / f"{part}.safetensors"))
    (folder / "transformer").mkdir()
    stock = {k: v for k, v in state.items() if not k.startswith(("fuser.", "traj_extractor."))}
    save_file(stock, str(folder / "transformer" / "diffusion_pytorch_model.safetensors"))
    write_config(folder / "transformer", model.config, _class_name="CogVideoXTransformer3DModel")
    return folder


def sat_state(model: ToraCogVideoXTransformer) -> dict[str, Tensor]:
    """The network's weights as sat lays them out, tables and text encoder included, which have to be ignored."""
    parts: dict[str, dict[int, Tensor]] = {}
    plain: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        source = source_of(name)
        if not source.parts:
            plain[PREFIX + source.name] = value
            continue
        for part, chunk in zip(source.parts, value.chunk(len(source.parts)), strict=True):
            parts.setdefault(PREFIX + source.name, {})[part] = chunk
    joined = {name: torch.cat([chunks[i] for i in sorted(chunks)]) for name, chunks in parts.items()}
    tables = {f"{PREFIX}mixins.pos_embed.freqs_sin": torch.zeros(3), "conditioner.t5.weight": torch.zeros(2)}
    return plain | joined | tables


def write_sat(folder: Path, model: ToraCogVideoXTransformer) -> Path:
    folder.mkdir(parents=True)
    torch.save({"module": sat_state(model)}, folder / "mp_rank_00_model_states.pt")
    write_config(folder, model.config)
    return folder


def write_config(folder: Path, config: TransformerConfig, **notes: str) -> None:
    (folder / "config.json").write_text(json.dumps({**asdict(config), **notes}))


@pytest.fixture(scope="session")
def write() -> Mapping[str, Writer]:
    return {"diffusers": write_diffusers, "split": write_split, "sat": write_sat}


@pytest.fixture
def inputs() -> dict[str, Tensor]:
    """Latents (1, 3, 16, 4, 6), caption features, timestep and trajectory latents."""
    draw = torch.Generator().manual_seed(3)
    return {
        "latents": torch.randn(1, 3, 16, 4, 6, generator=draw),
        "text": torch.randn(1, 12, 32, generator=draw),
        "timestep": torch.tensor([700]),
        "flow": torch.randn(1, 3, 16, 4, 6, generator=draw),
    }
