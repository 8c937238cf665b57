"""Our modules against recordings of Open-Sora v1.2.0: transformer, embeddings, rectified flow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks.parity_data import Recording, Row, Section, row, sinusoid_floor, tapped
from toraeval.models.shared.network.attention import RMSNorm
from toraeval.models.shared.network.config import STDiTConfig
from toraeval.models.shared.network.embeddings import (
    RotaryEmbedding,
    ScalarEmbedder,
    SizeEmbedder,
    position_table,
    rotate,
    sinusoid,
)
from toraeval.models.shared.network.stdit import STDiT3
from toraeval.models.shared.rectified_flow import (
    ClipSize,
    FlowConfig,
    RectifiedFlow,
    logit_normal,
    transform_timesteps,
)

NETWORK = 2e-5  # the rounding of the time step (`sinusoid_floor`) goes through every block
TIMES = 1e-6  # timesteps run from 0 to 1000


def transformer(recorded: Recording) -> Iterator[Row]:
    """Outputs under every condition, and what the blocks give."""
    model = STDiT3(STDiTConfig.from_upstream(recorded.json("config")["model"])).eval()
    model.load_state_dict(dict(recorded.under("sd/")), strict=True)
    inputs = dict(recorded.under("in/"))
    places = _places(model)
    places = {name: module for name, module in places.items() if f"mid/{name}" in recorded}
    if places:
        for name, value in tapped(places, lambda: model(**inputs)).items():
            if name.endswith("temporal_attn"):  # upstream folds the places of a frame into the batch
                value = value.transpose(1, 2)
            yield from recorded.check(f"mid/{name}", value, NETWORK)
    yield from recorded.check("out/output", lambda: model(**inputs), NETWORK, group="output")
    x, y, t = inputs["x"], inputs["y"], inputs["timestep"]
    doubled = {
        k: v.repeat(2, *[1] * (v.ndim - 1)) for k, v in inputs.items() if k in ("x", "timestep", "x_mask")
    }
    variants: dict[str, dict[str, Any]] = {
        "output_text_mask_none": {"mask": None},
        "output_cfg_batch": {**doubled, "y": torch.cat((y, model.y_embedder.null(len(t))))},
        "output_single_frame": {"x": x[:, :, :1], "x_mask": None},
    }
    if {"height", "width"} <= inputs.keys():
        variants["output_hw_scaled"] = {"height": inputs["height"] * 10, "width": inputs["width"] * 8}
    if "extra/x_mask" in recorded:
        variants["output_x_mask"] = {"x_mask": recorded["extra/x_mask"]}
    for name, changed in variants.items():
        if f"extra/{name}" in recorded:
            ours = model(**{**inputs, **changed})
            yield from recorded.check(f"extra/{name}", ours, NETWORK, group=name)


def _places(model: STDiT3) -> dict[str, torch.nn.Module]:
    places: dict[str, Any] = {
        "t_emb": model.t_embedder,
        "fps_emb": model.fps_embedder,
        "t_mlp": model.t_block,
    }
    places |= {"y_proj": model.y_embedder, "x_embed": model.x_embedder, "final": model.final_layer}
    for i in range(model.config.depth):
        for kind, block in (("spatial", model.spatial_blocks[i]), ("temporal", model.temporal_blocks[i])):
            inside = {"": block, "_attn": block.attn, "_cross": block.cross_attn, "_mlp": block.mlp}
            places |= {f"block{i}_{kind}{name}": module for name, module in inside.items()}
    return places


def embeddings(recorded: Recording) -> Iterator[Row]:
    """Sinusoids, timestep and size networks, position tables, rotary embedding, RMS norm."""
    if "timestep/t" in recorded:
        times = recorded["timestep/t"]
        for name in sorted(k for k in recorded.arrays if k.startswith("timestep/emb_dim")):
            width = int(name.removeprefix("timestep/emb_dim"))
            ours = sinusoid(times, width)
            yield from recorded.check(name, ours, floor=sinusoid_floor(times))
        state = recorded.under("timestep_mlp/sd/")
        if state and "timestep_mlp/out" in recorded:
            network = ScalarEmbedder(len(state["mlp.0.bias"]))
            network.load_state_dict(dict(state))
            yield from recorded.check("timestep_mlp/out", lambda: network(times), floor=sinusoid_floor(times))
    yield from _sizes(recorded)
    yield from _positions(recorded)
    for case in recorded.groups("/x"):
        if case.startswith("rope/"):
            x = recorded[f"{case}/x"]
            rope = RotaryEmbedding(x.shape[-1])
            turned = rotate(x, *rope.tables(x.shape[-2]))
            yield from recorded.check(f"{case}/freqs", rope.freqs)
            yield from recorded.check(f"{case}/out", turned)
    if "rmsnorm/weight" in recorded:
        norm = RMSNorm(len(recorded["rmsnorm/weight"]))
        norm.load_state_dict({"weight": recorded["rmsnorm/weight"]})
        yield from recorded.check("rmsnorm/out", lambda: norm(recorded["rmsnorm/x"]))


def _sizes(recorded: Recording) -> Iterator[Row]:
    state = recorded.under("size/sd/")
    if not state:
        return
    pixels = SizeEmbedder(len(state["mlp.0.bias"]))
    pixels.load_state_dict(dict(state))
    if "size/fps" in recorded:
        fps = recorded["size/fps"]
        floor = sinusoid_floor(fps)
        yield from recorded.check("size/fps_emb", lambda: pixels(fps, len(fps)), floor=floor)
        yield from recorded.check(
            "size/fps_emb_tiled", lambda: pixels(fps[: len(fps) // 2], len(fps)), floor=floor
        )
    if "size/hw" in recorded:
        hw = recorded["size/hw"]
        yield from recorded.check("size/hw_emb", lambda: pixels(hw, len(hw)), floor=sinusoid_floor(hw))


def _positions(recorded: Recording) -> Iterator[Row]:
    for case in recorded.groups("/meta"):
        meta = recorded.json(f"{case}/meta")
        if isinstance(meta, dict):
            table = position_table(meta["dim"], meta["h"], meta["w"], meta["scale"], meta["base_size"])
            reach = torch.tensor(max(meta["h"], meta["w"], meta["base_size"] or 0) / meta["scale"])
            floor = sinusoid_floor(reach)
            yield from recorded.check(f"{case}/emb", table, floor=floor)
            continue
        for index, size in enumerate(meta):  # published sizes, of which three tokens are kept
            rows, columns = size["grid"]
            scale = (size["height"] * size["width"]) ** 0.5 / 512
            table = position_table(size["dim"], rows, columns, scale, round((rows * columns) ** 0.5))[0]
            kept = table[[0, rows * columns // 2, -1]]
            floor = sinusoid_floor(torch.tensor(max(rows, columns) / scale))
            yield from recorded.check(f"{case}/{index}", kept, floor=floor)


def rectified_flow(recorded: Recording) -> Iterator[Row]:
    """Timesteps, noising, losses and whole sampling loops; short clips as upstream has them (r = 0)."""
    upstream = RectifiedFlow(FlowConfig(guard_short_clips=False))
    plain = RectifiedFlow(FlowConfig(use_transform=False))
    whole = RectifiedFlow(FlowConfig(use_transform=False, discrete=True, time_sampling="uniform"))
    for case, values in enumerate(recorded["ts/cases"].tolist() if "ts/cases" in recorded else []):
        *size, steps = values
        rounded = ClipSize(*(torch.tensor([v], dtype=torch.bfloat16) for v in size))
        for name, times in (
            ("raw", plain.sampling_times(steps, 1)),
            ("transformed", upstream.sampling_times(steps, 1, ClipSize(*size))),
            ("transformed_bf16args", upstream.sampling_times(steps, 1, rounded)),
            ("discrete_raw", whole.sampling_times(steps, 1)),
        ):
            yield from recorded.check(f"ts/{case}/{name}", times[:, 0], TIMES)
    tf = recorded.under("tf/")
    for name in (k for k in tf if k.startswith("out_scale")):
        clip = ClipSize(tf["height"], tf["width"], tf["num_frames"])
        times = transform_timesteps(tf["t"], clip, float(name.removeprefix("out_scale")))
        yield row(f"tf/{name}", times, tf[name], TIMES)
    for name in sorted(k for k in recorded.arrays if k.startswith("logitnormal/t_loc")):
        loc, scale = (float(v) for v in name.removeprefix("logitnormal/t_loc").split("_scale"))
        times = logit_normal(recorded["logitnormal/n"], loc, scale) * 1000
        yield row(name, times, recorded[name], TIMES)
    yield from _losses(recorded.under("train/"))
    for scenario in recorded.groups("/z_init"):
        yield from _sampled(recorded, scenario)


def _losses(train: Section) -> Iterator[Row]:
    if not train:
        return
    flow, seen = RectifiedFlow(), []

    def model(x: Tensor, timestep: Tensor, x_mask: Tensor | None) -> Tensor:
        seen.append((x, timestep))
        velocity = 0.3 * x - (timestep / 1000).view(-1, 1, 1, 1, 1)
        return torch.cat((velocity, 9 * velocity), dim=1)

    x0, t, noise = train["x0"], train["t"], train["noise"]
    check = train.recording.check
    yield from check("train/x_t", lambda: flow.add_noise(x0, noise, t))
    yield from check("train/target", x0 - noise)
    yield from check("train/loss", lambda: flow.loss(model, x0, t, noise))
    if "mask" in train:
        yield from check("train/loss_masked", lambda: flow.loss(model, x0, t, noise, train["mask"]))
        flow.loss(model, x0, t, noise, train["mask"])
        yield from check("train/x_t_masked", seen[-1][0])
        yield from check("train/t_given_masked", seen[-1][1], TIMES)


def _sampled(recorded: Recording, scenario: str) -> Iterator[Row]:
    data, meta = recorded.under(f"{scenario}/"), recorded.json(f"{scenario}/meta")
    flow = RectifiedFlow(
        FlowConfig(
            use_transform=meta["use_timestep_transform"],
            discrete=meta["use_discrete_timesteps"],
            time_sampling="uniform",
            guard_short_clips=False,
        )
    )
    batch, seen = len(data["z_init"]), []
    text = torch.cat((data["y_cond"], data["y_null"])).mean(dim=(1, 2, 3)).view(-1, 1, 1, 1, 1)

    def model(x: Tensor, timestep: Tensor, x_mask: Tensor | None) -> Tensor:
        seen.append((x[:batch], timestep[:batch], None if x_mask is None else x_mask[:batch]))
        velocity = meta["a"] * x - meta["b"] * (timestep / 1000).view(-1, 1, 1, 1, 1) + meta["c"] * text
        return torch.cat((velocity, 7 * velocity), dim=1)

    noises = data.get("noise")
    final = flow.sample(
        model, data["z_init"], meta["num_sampling_steps"], meta["cfg_scale"],
        ClipSize(meta["height"], meta["width"], meta["num_frames"]), data.get("mask"),
        None if noises is None else (lambda step: noises[step]),
    )  # fmt: skip
    check = recorded.check
    yield from check(f"{scenario}/z_final", final)
    yield from check(f"{scenario}/model_x", lambda: torch.stack([s[0] for s in seen]))
    yield from check(f"{scenario}/timesteps", lambda: torch.stack([s[1] for s in seen]), TIMES)
    if "x_mask" in data:
        masks = [torch.ones_like(data["x_mask"][0]) if s[2] is None else s[2] for s in seen]
        yield from check(f"{scenario}/x_mask", lambda: torch.stack(masks), 0.0, 0.0)
