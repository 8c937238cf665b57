"""Open-Sora v1.2.0: transformer and autoencoders."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import torch
from diffusers import AutoencoderKL

from benchmarks import open_sora
from benchmarks.parity_data import Recording
from tests.record.rounding import Arrays, coarse, first_outputs, half, rounded


def stdit(file: Path, checkout: Path, levels: int) -> Arrays:
    old = Recording(file)
    options = dict(old.json("config")["model"], enable_flash_attn=False, enable_layernorm_kernel=False)
    model = open_sora.build_upstream(checkout, **options)
    weights, arrays = rounded(dict(old.under("sd/")), levels)
    model.load_state_dict(weights)
    inputs = {name: coarse(value, levels) for name, value in old.under("in/").items()}
    arrays |= {
        "config": old.arrays["config"],
        **{f"in/{name}": value.numpy() for name, value in inputs.items()},
    }
    block, other = model.spatial_blocks[0], model.temporal_blocks[0]
    places = {"t_emb": model.t_embedder, "fps_emb": model.fps_embedder, "t_mlp": model.t_block}
    places |= {"y_proj": model.y_embedder.y_proj, "x_embed": model.x_embedder}
    places |= {
        "block0_spatial_attn": block.attn,
        "block0_spatial_cross": block.cross_attn,
        "block0_spatial_mlp": block.mlp,
    }
    places |= {"block0_temporal_attn": other.attn, "block0_temporal_cross": other.cross_attn}
    places |= {"block1_temporal": model.temporal_blocks[1]}
    with first_outputs(places) as seen:
        out = model(**inputs)
    arrays |= {f"mid/{name}": half(value, levels) for name, value in seen.items()}
    doubled = {name: inputs[name].repeat(2, *[1] * (inputs[name].ndim - 1)) for name in ("x", "timestep")}
    null = model.y_embedder.y_embedding[None].repeat(len(out), 1, 1)[:, None]
    mask = old["extra/x_mask"]
    arrays |= {
        "out/output": out,
        "extra/output_text_mask_none": model(**{**inputs, "mask": None}),
        "extra/output_cfg_batch": model(**{**inputs, **doubled, "y": torch.cat((inputs["y"], null))}),
        "extra/x_mask": mask,
        "extra/output_x_mask": model(**inputs, x_mask=mask),
        "extra/output_hw_scaled": model(
            **{**inputs, "height": inputs["height"] * 10, "width": inputs["width"] * 8}
        ),
        "extra/output_single_frame": model(**{**inputs, "x": inputs["x"][:, :, :1]}),
    }
    return arrays


def spatial_autoencoder(file: Path, levels: int) -> Arrays:
    """As upstream's VideoAutoencoderKL: frames in the batch, latents times 0.18215."""
    old = Recording(file)
    config = old.json("config")
    model = AutoencoderKL(**config["model"]).eval()
    weights, arrays = rounded(dict(old.under("sd/")), levels)
    model.load_state_dict({name.removeprefix("module."): value for name, value in weights.items()})
    x, noise = coarse(old["x"], levels), coarse(old["noise"], levels)
    posterior = model.encode(x[0].transpose(0, 1)).latent_dist
    z = (posterior.mean + posterior.std * noise) * config["wrapper_scale"]
    decoded = model.decode(z / config["wrapper_scale"]).sample.transpose(0, 1)[None]
    return arrays | {
        "config": old.arrays["config"], "x": x, "mean": posterior.mean, "logvar": posterior.logvar, "noise": noise,
        "z": z.transpose(0, 1)[None], "decoded": decoded,
    }  # fmt: skip


def temporal_autoencoder(file: Path, checkout: Path, levels: int) -> Arrays:
    open_sora.load_upstream(checkout)
    vae = ModuleType("opensora.models.vae")
    vae.__path__ = [str(checkout / "opensora/models/vae")]
    sys.modules["opensora.models.vae"] = vae
    old = Recording(file)
    config = old.json("config")
    model = importlib.import_module("opensora.models.vae.vae_temporal").VAE_Temporal(**config["model"]).eval()
    weights, arrays = rounded(dict(old.under("sd/")), levels)
    model.load_state_dict(weights)
    arrays["config"] = old.arrays["config"]
    shift, scale = (torch.tensor(config[name]).view(1, -1, 1, 1, 1) for name in ("shift", "scale"))
    for case in old.groups("/x"):
        x, noise = coarse(old[f"{case}/x"], levels), coarse(old[f"{case}/noise"], levels)
        arrays |= {f"{case}/x": x, f"{case}/noise": noise}
        if case.startswith("single"):
            places = {"enc_down1": model.encoder.conv_blocks[1], "dec_conv1": model.decoder.conv1}
            with first_outputs(places if f"{case}/mid_enc_down1" in old else {}) as seen:
                posterior = model.encode(x)
                z = posterior.mean + posterior.std * noise
                decoded = model.decode(z, num_frames=x.shape[2])
            arrays |= {f"{case}/mid_{name}": half(value, levels) for name, value in seen.items()}
            arrays |= {f"{case}/mean": posterior.mean, f"{case}/logvar": posterior.logvar}
        else:
            chunk, latents, left = config["micro_frame_size"], [], noise
            for piece in x.split(chunk, dim=2):
                posterior = model.encode(piece)
                drawn, left = left[:, :, : posterior.mean.shape[2]], left[:, :, posterior.mean.shape[2] :]
                latents.append(posterior.mean + posterior.std * drawn)
            z = (torch.cat(latents, 2) - shift) / scale
            step = -(-chunk // config["time_downsample_factor"])
            sizes = [len(part) for part in torch.arange(x.shape[2]).split(chunk)]
            parts = zip((z * scale + shift).split(step, dim=2), sizes, strict=True)
            decoded = torch.cat([model.decode(part, num_frames=frames) for part, frames in parts], 2)
        arrays |= {f"{case}/z": z, f"{case}/decoded": decoded}
    return arrays
