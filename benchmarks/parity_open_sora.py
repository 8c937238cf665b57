"""Our modules against recordings of Open-Sora v1.2.0: transformer, embeddings, rectified flow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from benchmarks.parity_data import EPS, Recording, Row, difference, relative, tapped
from toraeval.models.tora.attention import RMSNorm
from toraeval.models.tora.config import STDiTConfig
from toraeval.models.tora.embeddings import (
    RotaryEmbedding,
    ScalarEmbedder,
    SizeEmbedder,
    position_table,
    rotate,
    sinusoid,
)
from toraeval.models.tora.flow import ClipSize, FlowConfig, RectifiedFlow, logit_normal, transform_timesteps
from toraeval.models.tora.stdit import STDiT3

TOLERANCE = 1e-5  # in units of the largest recorded value, or of 1
TIMES = 1e-3  # timesteps run from 0 to 1000


def transformer(recorded: Recording) -> Iterator[Row]:
    """Outputs under every condition, and what the blocks give."""
    model = STDiT3(STDiTConfig.from_upstream(recorded.json("config")["model"])).eval()
    model.load_state_dict(dict(recorded.under("sd/")), strict=True)
    inputs = dict(recorded.under("in/"))

    def row(name: str, changed: dict[str, Any]) -> Row:
        return Row(name.partition("/")[2], relative(model(**changed), recorded[name], 1.0), TOLERANCE)

    places = {"t_emb": model.t_embedder, "fps_emb": model.fps_embedder, "t_mlp": model.t_block}
    places |= {"y_proj": model.y_embedder, "x_embed": model.x_embedder, "final": model.final_layer}
    for i in range(model.config.depth):
        places[f"block{i}_spatial"] = model.spatial_blocks[i]
        places[f"block{i}_temporal"] = model.temporal_blocks[i]
    places = {name: module for name, module in places.items() if f"mid/{name}" in recorded}
    for name, value in tapped(places, lambda: model(**inputs)).items():
        expected = recorded[f"mid/{name}"]
        yield Row(f"mid/{name}", relative(value.reshape(expected.shape), expected, 1.0), TOLERANCE)
    if "out/output" in recorded:
        yield row("out/output", inputs)
    x, y, t = inputs["x"], inputs["y"], inputs["timestep"]
    doubled = {
        k: v.repeat(2, *[1] * (v.ndim - 1)) for k, v in inputs.items() if k in ("x", "timestep", "x_mask")
    }
    variants: dict[str, dict[str, Any]] = {
        "output_text_mask_none": {"mask": None},
        "output_cfg_batch": {**doubled, "y": torch.cat((y, model.y_embedder.null(len(t))))},
        "output_hw_scaled": {"height": inputs["height"] * 10, "width": inputs["width"] * 8},
        "output_single_frame": {"x": x[:, :, :1], "x_mask": None},
    }
    for name in sorted(k.removeprefix("extra/") for k in recorded.arrays if k.startswith("extra/output")):
        changed = variants.get(name, {"x_mask": None})
        if name == "output_x_mask":
            changed = {"x_mask": recorded["extra/x_mask"]}
        yield row(f"extra/{name}", {**inputs, **changed})


def embeddings(recorded: Recording) -> Iterator[Row]:
    """Sinusoids, timestep and size networks, position tables, rotary embedding, RMS norm."""

    def row(name: str, value: Tensor, tolerance: float = TOLERANCE) -> Row:
        return Row(name, relative(value, recorded[name], 1.0), tolerance)

    # a frequency exp(-x) of another maths library is one rounding off, which the argument t * frequency multiplies
    largest = float(recorded["timestep/t"].abs().max()) if "timestep/t" in recorded else 0.0
    angles = TOLERANCE + angle_tolerance(largest)
    for name in sorted(k for k in recorded.arrays if k.startswith("timestep/emb_dim")):
        width = int(name.removeprefix("timestep/emb_dim"))
        yield row(name, sinusoid(recorded["timestep/t"], width), angles)
    if recorded.has("timestep_mlp/sd/"):
        state = dict(recorded.under("timestep_mlp/sd/"))
        times = ScalarEmbedder(len(state["mlp.0.bias"]))
        times.load_state_dict(state)
        yield row("timestep_mlp/out", times(recorded["timestep/t"]), angles)
    if recorded.has("size/sd/"):
        yield from _sizes(recorded)
    for case in recorded.groups("/meta"):
        meta = recorded.json(f"{case}/meta")
        if isinstance(meta, dict):
            table = position_table(meta["dim"], meta["h"], meta["w"], meta["scale"], meta["base_size"])
            yield row(f"{case}/emb", table)
            continue
        for index, size in enumerate(meta):  # published sizes, of which three tokens are kept
            rows, columns = size["grid"]
            scale = (size["height"] * size["width"]) ** 0.5 / 512
            table = position_table(size["dim"], rows, columns, scale, round((rows * columns) ** 0.5))[0]
            yield row(f"{case}/{index}", table[[0, rows * columns // 2, -1]])
    for case in recorded.groups("/freqs"):
        x = recorded[f"{case}/x"]
        rope = RotaryEmbedding(x.shape[-1])
        yield row(f"{case}/freqs", rope.freqs)
        yield row(f"{case}/out", rotate(x, *rope.tables(x.shape[-2])))
    if recorded.has("rmsnorm/"):
        norm = RMSNorm(len(recorded["rmsnorm/weight"]))
        norm.load_state_dict({"weight": recorded["rmsnorm/weight"]})
        yield row("rmsnorm/out", norm(recorded["rmsnorm/x"]))


def angle_tolerance(largest: float) -> float:
    """Return how far sinusoids of t * f may be apart for t up to `largest`: four roundings of f."""
    return 4 * EPS * largest


def _sizes(recorded: Recording) -> Iterator[Row]:
    state = dict(recorded.under("size/sd/"))
    pixels = SizeEmbedder(len(state["mlp.0.bias"]))
    pixels.load_state_dict(state)
    for name, values in (("fps", "fps_emb"), ("hw", "hw_emb")):
        if f"size/{values}" in recorded:
            given = recorded[f"size/{name}"]
            tolerance = TOLERANCE + angle_tolerance(float(given.abs().max()))
            rows = [(values, given)]
            if name == "fps" and "size/fps_emb_tiled" in recorded:
                rows.append(("fps_emb_tiled", given[: len(given) // 2]))
            for key, part in rows:
                expected = recorded[f"size/{key}"]
                yield Row(f"size/{key}", relative(pixels(part, len(given)), expected, 1.0), tolerance)


def rectified_flow(recorded: Recording) -> Iterator[Row]:
    """Timesteps, noising, losses and whole sampling loops; short clips as upstream has them (r = 0)."""
    upstream = RectifiedFlow(FlowConfig(guard_short_clips=False))
    plain = RectifiedFlow(FlowConfig(use_transform=False))
    whole = RectifiedFlow(FlowConfig(use_transform=False, discrete=True, time_sampling="uniform"))
    for case, values in enumerate(recorded["ts/cases"].tolist() if "ts/cases" in recorded else ()):
        *size, steps = values
        rounded = ClipSize(*(torch.tensor([v], dtype=torch.bfloat16) for v in size))
        for name, times in (
            ("raw", plain.sampling_times(steps, 1)),
            ("transformed", upstream.sampling_times(steps, 1, ClipSize(*size))),
            ("transformed_bf16args", upstream.sampling_times(steps, 1, rounded)),
            ("discrete_raw", whole.sampling_times(steps, 1)),
        ):
            if f"ts/{case}/{name}" in recorded:
                yield Row(f"ts/{case}/{name}", difference(times[:, 0], recorded[f"ts/{case}/{name}"]), TIMES)
    tf = recorded.under("tf/")
    for name in (k for k in tf if k.startswith("out_scale")):
        clip = ClipSize(tf["height"], tf["width"], tf["num_frames"])
        times = transform_timesteps(tf["t"], clip, float(name.removeprefix("out_scale")))
        yield Row(f"tf/{name}", difference(times, tf[name]), TIMES)
    for name in sorted(k for k in recorded.arrays if k.startswith("logitnormal/t_loc")):
        loc, scale = (float(v) for v in name.removeprefix("logitnormal/t_loc").split("_scale"))
        times = logit_normal(recorded["logitnormal/n"], loc, scale) * 1000
        yield Row(name, difference(times, recorded[name]), TIMES)
    if recorded.has("train/"):
        yield from _losses(recorded.under("train/"))
    for scenario in recorded.groups("/z_final"):
        yield from _sampled(recorded, scenario)


def _losses(train: Mapping[str, Tensor]) -> Iterator[Row]:
    flow, seen = RectifiedFlow(), []

    def model(x: Tensor, timestep: Tensor, x_mask: Tensor | None) -> Tensor:
        seen.append((x, timestep))
        velocity = 0.3 * x - (timestep / 1000).view(-1, 1, 1, 1, 1)
        return torch.cat((velocity, 9 * velocity), dim=1)

    x0, t, noise = train["x0"], train["t"], train["noise"]
    yield Row("train/x_t", relative(flow.add_noise(x0, noise, t), train["x_t"], 1.0), TOLERANCE)
    yield Row("train/loss", relative(flow.loss(model, x0, t, noise), train["loss"], 1.0), TOLERANCE)
    masked = flow.loss(model, x0, t, noise, train["mask"])
    yield Row("train/loss_masked", relative(masked, train["loss_masked"], 1.0), TOLERANCE)
    yield Row("train/x_t_masked", relative(seen[-1][0], train["x_t_masked"], 1.0), TOLERANCE)
    yield Row("train/t_given_masked", difference(seen[-1][1], train["t_given_masked"]), TIMES)


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

    final = flow.sample(
        model, data["z_init"], meta["num_sampling_steps"], meta["cfg_scale"],
        ClipSize(meta["height"], meta["width"], meta["num_frames"]), data.get("mask"),
        (lambda step: data["noise"][step]) if "noise" in data else None,
    )  # fmt: skip
    yield Row(f"{scenario}/z_final", relative(final, data["z_final"], 1.0), TOLERANCE)
    if "model_x" in data:
        inputs = torch.stack([x for x, _, _ in seen])
        yield Row(f"{scenario}/model_x", relative(inputs, data["model_x"], 1.0), TOLERANCE)
    if "timesteps" in data:
        times = torch.stack([timestep for _, timestep, _ in seen])
        yield Row(f"{scenario}/timesteps", difference(times, data["timesteps"]), TIMES)
    if "x_mask" in data:
        masks = [torch.ones_like(data["x_mask"][0]) if s[2] is None else s[2] for s in seen]
        yield Row(f"{scenario}/x_mask", difference(torch.stack(masks), data["x_mask"]), 0.0)
