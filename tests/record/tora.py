"""Tora's release: transformer, the same in sat's layout, pipeline, trajectory extractor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from diffusers import CogVideoXDPMScheduler
from diffusers.schedulers import scheduling_dpm_cogvideox
from torch import Tensor, nn

from benchmarks.parity_data import Recording
from tests.record.rounding import Arrays, coarse, first_outputs, half, rounded

SAT_NORM_EPS = (
    1e-5  # SwissArmyTransformer's own, which the norms that it builds have whatever they are asked for
)


def tora_network(old: Recording, levels: int) -> tuple[nn.Module, Arrays]:
    """Return ToraTransformer3DModel with the recorded number of trajectory channels instead of the release's 128."""
    from tora.traj_module import MGF, TrajExtractor
    from tora.transformer_3d import ToraTransformer3DModel

    options = old.json("config")
    channels, sat = (
        options.pop("traj_channels"),
        options.pop("learnable_pos_embed_param_present", None) is not None,
    )
    options.pop("learnable_pos_embed_is_used", None)
    rotary = {"use_rotary_positional_embeddings": True} if sat else {}
    model = ToraTransformer3DModel(**options, **rotary)
    count, width = options["num_layers"], options["num_attention_heads"] * options["attention_head_dim"]
    model.traj_extractor = TrajExtractor((4, 8, 8), 2, 1, [channels] * count, 2, 16, sk=True, use_conv=False)
    model.fuser = nn.ModuleList([MGF(channels, width) for _ in range(count)])
    weights, arrays = rounded(dict(old.under("sd/")), levels)
    if sat:
        for name, module in model.named_modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = (
                    1e-6
                    if name.startswith("norm_out") or name.endswith(("norm_q", "norm_k"))
                    else SAT_NORM_EPS
                )
    model.load_state_dict(in_diffusers_layout(weights, options["num_layers"]) if sat else weights)
    return model.eval(), {**arrays, "config": old.arrays["config"]}


def in_diffusers_layout(weights: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Rename a sat checkpoint by the recorded map of names, whose `*` is the number of a layer or block."""
    names = Path(__file__).parents[1] / "data" / "tora" / "sat_key_map_5b.json"
    found = {}
    for source, targets in json.loads(names.read_text())["map"].items():
        for target in [targets] if isinstance(targets, str) else targets:
            name, _, rule = target.partition(" <- ")
            for number in range(2 * layers) if "*" in source else [0]:
                value = weights.get(f"model.diffusion_model.{source.replace('*', str(number), 1)}")
                if value is None or name.startswith("("):
                    continue
                if rule.startswith("third"):
                    value = value.chunk(3)["qkv".index(rule[-1])]
                elif rule:
                    picks, count = rule.removeprefix("chunks ").split(" of ")
                    value = torch.cat([value.chunk(int(count))[int(i)] for i in picks.split(",")])
                found[name.replace("*", str(number), 1)] = value
    return found


def cogvideox(file: Path, levels: int) -> Arrays:
    old = Recording(file)
    model, arrays = tora_network(old, levels)
    for case in old.groups("/latents"):
        x = {
            name: old[f"{case}/{name}"]
            for name in ("latents", "text", "timestep", "flow_latents")
            if f"{case}/{name}" in old
        }
        x = {name: coarse(value, levels) for name, value in x.items()}
        tables = old if f"{case}/rope_cos" in old else Recording(file.with_name("tora_cogvideox_tiny_a.npz"))
        rotary = (tables[f"{case}/rope_cos"], tables[f"{case}/rope_sin"])
        arrays |= {f"{case}/{name}": value for name, value in x.items()}
        if tables is old:
            arrays |= {f"{case}/rope_cos": rotary[0], f"{case}/rope_sin": rotary[1]}
        for name, flow in (("out", x.get("flow_latents")), ("out_without_flow", None)):
            if f"{case}/{name}" in old:
                out = model(
                    x["latents"], x["text"], x["timestep"], flow, image_rotary_emb=rotary, return_dict=False
                )
                arrays[f"{case}/{name}"] = out[0]
    return arrays


def pipeline(file: Path, levels: int) -> Arrays:
    """The release's text-to-video pipeline, with recorded draws in place of its own."""
    from tora.t2v_pipeline import ToraPipeline

    old = Recording(file)
    model, arrays = tora_network(old, levels)
    params = old.json("params")
    given = (
        "vae_posterior_mean",
        "vae_posterior_std",
        "vae_posterior_noise",
        "init_latents",
        "scheduler_noises",
    )
    x = {name: coarse(old[name], levels) for name in (*given, "prompt_embeds", "negative_prompt_embeds")}
    drawn = iter(x["scheduler_noises"])
    scheduling_dpm_cogvideox.randn_tensor = lambda *_, **__: next(drawn)
    sample = x["vae_posterior_mean"] + x["vae_posterior_std"] * x["vae_posterior_noise"]

    class Autoencoder(nn.Module):
        device, dtype = torch.device("cpu"), torch.float32
        config = SimpleNamespace(
            block_out_channels=(1,) * 4,
            temporal_compression_ratio=4,
            scaling_factor=params["vae_scaling_factor"],
        )

        def encode(self, _: Tensor) -> Any:
            return SimpleNamespace(latent_dist=SimpleNamespace(sample=lambda generator: sample))

    pipe = ToraPipeline(
        None, None, Autoencoder(), model, CogVideoXDPMScheduler(**old.json("scheduler_config"))
    )
    pipe.set_progress_bar_config(disable=True)
    pictures = old["flow_image_uint8"]
    states, scales, flows = [], [], []

    def after_step(pipe: Any, i: int, t: Tensor, values: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        states.append(values["latents"])
        scales.append(pipe.guidance_scale)
        return {}

    hook = model.register_forward_pre_hook(
        lambda _m, _a, kwargs: flows.append(kwargs["video_flow"]), with_kwargs=True
    )
    with first_outputs({"network": model}) as seen:
        pipe(
            video_flow=pictures[None] / 127.5 - 1, height=params["height"], width=params["width"],
            num_frames=params["num_frames"], num_inference_steps=params["steps"],
            guidance_scale=params["guidance_scale"],
            use_dynamic_cfg=params["dynamic_cfg"], latents=x["init_latents"], prompt_embeds=x["prompt_embeds"],
            negative_prompt_embeds=x["negative_prompt_embeds"], output_type="latent", callback_on_step_end=after_step,
        )  # fmt: skip
    hook.remove()
    kept = ("scheduler_config", "points", "params", "order_of_random_draws", "flow_image_uint8")
    return arrays | x | {name: old.arrays[name] for name in kept} | {
        "flow_latents": flows[0][:1], "timesteps": pipe.scheduler.timesteps, "guidance_scales": np.array(scales),
        "latents_after_step": half(torch.stack(states), levels),
        "model_out_step0": seen["network"][0], "final_latents": states[-1],
    }  # fmt: skip


def extractor(file: Path, levels: int) -> Arrays:
    """Features in evaluation and training mode, and the running statistics after the latter."""
    from tora.traj_module import TrajExtractor

    old = Recording(file)
    weights, arrays = rounded(dict(old.under("sd/")), levels)
    model = TrajExtractor(**old.json("config"))
    model.load_state_dict(weights)
    arrays["config"] = old.arrays["config"]
    for case in old.groups("/x"):
        x = coarse(old[f"{case}/x"], levels)
        arrays[f"{case}/x"] = x
        for prefix, module in (("", model.eval()), ("train_", model.train())):
            if f"{prefix}{case}/feature0" in old:
                model.load_state_dict(weights)
                arrays |= {
                    f"{prefix}{case}/feature{i}": f.clone()
                    for i, f in enumerate(module.train(bool(prefix))(x))
                }
        if f"train_{case}/feature0" in old:
            after = {k: v.clone() for k, v in model.state_dict().items() if f"train_{case}/after/{k}" in old}
            arrays |= {f"train_{case}/after/{k}": v for k, v in after.items()}
    return arrays
