"""Our modules against recordings of Open-Sora v1.2.0: transformer, embeddings, flow, both autoencoders, tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.parity_data import Recording, Row, difference, relative, tapped
from toraeval.models.tora import conditions, prompts, sizes
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
from toraeval.models.tora.vae import OpenSoraVAE, OpenSoraVAEConfig
from toraeval.models.tora.vae_spatial import SpatialVAE, SpatialVAEConfig
from toraeval.models.tora.vae_temporal import TemporalVAE, TemporalVAEConfig

TOLERANCE = 1e-5
INSIDE = 1e-4  # intermediate values beyond 10
SPATIAL_RELATIVE = 5e-6  # the recording itself moves by 4.1e-6 with the number of frames in a batch
TIMES = 1e-3  # timesteps run from 0 to 1000


def transformer(recorded: Recording) -> Iterator[Row]:
    """Outputs under every condition, and what the blocks give."""
    model = STDiT3(STDiTConfig.from_upstream(recorded.json("config")["model"])).eval()
    model.load_state_dict(recorded.under("sd/"), strict=True)
    inputs = recorded.under("in/")

    def row(name: str, changed: dict[str, Any]) -> Row:
        return Row(name.partition("/")[2], difference(model(**changed), recorded[name]), TOLERANCE)

    places = {"t_emb": model.t_embedder, "fps_emb": model.fps_embedder, "t_mlp": model.t_block}
    places |= {"y_proj": model.y_embedder, "x_embed": model.x_embedder, "final": model.final_layer}
    for i in range(model.config.depth):
        places[f"block{i}_spatial"] = model.spatial_blocks[i]
        places[f"block{i}_temporal"] = model.temporal_blocks[i]
    places = {name: module for name, module in places.items() if f"mid/{name}" in recorded}
    for name, value in tapped(places, lambda: model(**inputs)).items():
        expected = recorded[f"mid/{name}"]
        tolerance = INSIDE if float(expected.abs().max()) > 10 else TOLERANCE
        yield Row(f"mid/{name}", difference(value.reshape(expected.shape), expected), tolerance)
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

    def row(name: str, value: Tensor) -> Row:
        return Row(name, difference(value, recorded[name]), TOLERANCE)

    for name in sorted(k for k in recorded.arrays if k.startswith("timestep/emb_dim")):
        yield row(name, sinusoid(recorded["timestep/t"], int(name.removeprefix("timestep/emb_dim"))))
    state = recorded.under("timestep_mlp/sd/")
    times = ScalarEmbedder(len(state["mlp.0.bias"]))
    times.load_state_dict(state)
    yield row("timestep_mlp/out", times(recorded["timestep/t"]))
    state = recorded.under("size/sd/")
    pixels = SizeEmbedder(len(state["mlp.0.bias"]))
    pixels.load_state_dict(state)
    fps, hw = recorded["size/fps"], recorded["size/hw"]
    yield row("size/fps_emb", pixels(fps, len(fps)))
    yield row("size/fps_emb_tiled", pixels(fps[: len(fps) // 2], len(fps)))
    yield row("size/hw_emb", pixels(hw, len(hw)))
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
    norm = RMSNorm(len(recorded["rmsnorm/weight"]))
    norm.load_state_dict({"weight": recorded["rmsnorm/weight"]})
    yield row("rmsnorm/out", norm(recorded["rmsnorm/x"]))


def rectified_flow(recorded: Recording) -> Iterator[Row]:
    """Timesteps, noising, losses and whole sampling loops; short clips as upstream has them (r = 0)."""
    upstream = RectifiedFlow(FlowConfig(guard_short_clips=False))
    plain = RectifiedFlow(FlowConfig(use_transform=False))
    whole = RectifiedFlow(FlowConfig(use_transform=False, discrete=True, time_sampling="uniform"))
    for case, values in enumerate(recorded["ts/cases"].tolist()):
        *size, steps = values
        rounded = ClipSize(*(torch.tensor([v], dtype=torch.bfloat16) for v in size))
        for name, times in (
            ("raw", plain.sampling_times(steps, 1)),
            ("transformed", upstream.sampling_times(steps, 1, ClipSize(*size))),
            ("transformed_bf16args", upstream.sampling_times(steps, 1, rounded)),
            ("discrete_raw", whole.sampling_times(steps, 1)),
        ):
            yield Row(f"ts/{case}/{name}", difference(times[:, 0], recorded[f"ts/{case}/{name}"]), TIMES)
    tf = recorded.under("tf/")
    clip = ClipSize(tf["height"], tf["width"], tf["num_frames"])
    for name in (k for k in tf if k.startswith("out_scale")):
        times = transform_timesteps(tf["t"], clip, float(name.removeprefix("out_scale")))
        yield Row(f"tf/{name}", difference(times, tf[name]), TIMES)
    for name in sorted(k for k in recorded.arrays if k.startswith("logitnormal/t_loc")):
        loc, scale = (float(v) for v in name.removeprefix("logitnormal/t_loc").split("_scale"))
        times = logit_normal(recorded["logitnormal/n"], loc, scale) * 1000
        yield Row(name, difference(times, recorded[name]), TIMES)
    yield from _losses(recorded.under("train/"))
    for scenario in recorded.groups("/z_final"):
        yield from _sampled(recorded, scenario)


def _losses(train: dict[str, Tensor]) -> Iterator[Row]:
    flow, seen = RectifiedFlow(), []

    def model(x: Tensor, timestep: Tensor, x_mask: Tensor | None) -> Tensor:
        seen.append((x, timestep))
        velocity = 0.3 * x - (timestep / 1000).view(-1, 1, 1, 1, 1)
        return torch.cat((velocity, 9 * velocity), dim=1)

    x0, t, noise = train["x0"], train["t"], train["noise"]
    yield Row("train/x_t", difference(flow.add_noise(x0, noise, t), train["x_t"]), TOLERANCE)
    yield Row("train/loss", difference(flow.loss(model, x0, t, noise), train["loss"]), TOLERANCE)
    masked = flow.loss(model, x0, t, noise, train["mask"])
    yield Row("train/loss_masked", difference(masked, train["loss_masked"]), TOLERANCE)
    yield Row("train/x_t_masked", difference(seen[-1][0], train["x_t_masked"]), TOLERANCE)
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
    yield Row(f"{scenario}/z_final", difference(final, data["z_final"]), TOLERANCE)
    yield Row(
        f"{scenario}/model_x", difference(torch.stack([s[0] for s in seen]), data["model_x"]), TOLERANCE
    )
    yield Row(
        f"{scenario}/timesteps", difference(torch.stack([s[1] for s in seen]), data["timesteps"]), TIMES
    )
    if "x_mask" in data:
        masks = [torch.ones_like(data["x_mask"][0]) if s[2] is None else s[2] for s in seen]
        yield Row(f"{scenario}/x_mask", difference(torch.stack(masks), data["x_mask"]), 0.0)


def temporal_autoencoder(recorded: Recording) -> Iterator[Row]:
    """Posterior and decoding of single chunks, and the chunks of whole clips."""
    config = recorded.json("config")
    single = TemporalVAE(TemporalVAEConfig.from_upstream(config["model"])).eval()
    single.load_state_dict(recorded.under("sd/"), strict=True)
    whole = OpenSoraVAE(
        OpenSoraVAEConfig.from_upstream(
            {
                "vae_2d": {"block_out_channels": [4, 4, 4, 4], "norm_num_groups": 2},  # not used
                "vae_temporal": config["model"],
                "micro_frame_size": config["micro_frame_size"],
                "shift": config["shift"],
                "scale": config["scale"],
            }
        )
    ).eval()
    whole.temporal_vae.load_state_dict(recorded.under("sd/"), strict=True)
    for case in recorded.groups("/decoded"):
        frames = recorded[f"{case}/x"].shape[2]
        if f"{case}/mean" in recorded:
            posterior = single.encode(recorded[f"{case}/x"])
            values = {
                "mean": posterior.mean,
                "logvar": posterior.logvar,
                "z": posterior.latents(_given(recorded[f"{case}/noise"])),
                "decoded": single.decode(recorded[f"{case}/z"], frames),
            }
        else:
            values = {
                "z": whole.compress(recorded[f"{case}/x"], _pieces(recorded[f"{case}/noise"])),
                "decoded": torch.cat(list(whole.expand_chunks(recorded[f"{case}/z"], frames)), dim=2),
            }
        for name, value in values.items():
            yield Row(f"{case}/{name}", difference(value, recorded[f"{case}/{name}"]), TOLERANCE)


def _given(noise: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda like: noise


def _pieces(noise: Tensor) -> Callable[[Tensor], Tensor]:
    left = [noise]

    def draw(like: Tensor) -> Tensor:
        piece, left[0] = left[0][:, :, : like.shape[2]], left[0][:, :, like.shape[2] :]
        return piece

    return draw


def spatial_autoencoder(recorded: Recording) -> Iterator[Row]:
    """Posterior, latents and frames, relative to the largest value."""
    model = SpatialVAE(SpatialVAEConfig.from_upstream(recorded.json("config")["model"])).eval()
    model.load_state_dict(recorded.under("sd/"), strict=True)
    x = recorded["x"]
    posterior = model.posterior(x)
    for name, value in (
        ("mean", posterior.mean),
        ("logvar", posterior.logvar),
        ("z", model.encode(x, _given(recorded["noise"]))),
        ("decoded", model.decode(recorded["z"])),
    ):
        yield Row(name, relative(value, recorded[name]), SPATIAL_RELATIVE)


def _mismatches(pairs: Iterator[tuple[object, object]]) -> float:
    return float(sum(ours != theirs for ours, theirs in pairs))


def latent_sizes(path: Path) -> Iterator[Row]:
    """Latent frames and grids."""
    table = json.loads(path.read_text())
    rows = table["frames"]
    yield Row(
        "frames", _mismatches((sizes.latent_frames(r["num_frames"]), r["latent_frames"]) for r in rows), 0
    )
    yield Row(
        "sizes",
        _mismatches(
            (list(sizes.token_size(51, r["height"], r["width"])[1:]), r["token_grid"]) for r in table["sizes"]
        ),
        0,
    )


def buckets(path: Path) -> Iterator[Row]:
    """Named sizes and lengths."""
    table = json.loads(path.read_text())
    for name, rows in table["buckets"].items():
        same = sizes.size_table(name) == {key: tuple(size) for key, size in rows["sizes"].items()}
        yield Row(name, float(not same), 0)
    yield Row("num_frames_names", float(table["num_frames_names"] != sizes.FRAME_NAMES), 0)


def mask_strategy(path: Path) -> Iterator[Row]:
    """Conditions: parsed, snapped, applied."""
    table = json.loads(path.read_text())
    parsed = table["parse_mask_strategy"]
    yield Row(
        "parse",
        _mismatches(
            (conditions.parse_strategy(c["text"]), tuple(conditions.Condition(*g) for g in c["result"]))
            for c in parsed
        ),
        0,
    )
    snaps = table["find_nearest_point"]
    yield Row(
        "snap",
        _mismatches((conditions.snap(c["value"], c["point"], c["max_value"]), c["result"]) for c in snaps),
        0,
    )
    for number, case in enumerate(table["cases"]):
        references = [
            [(1000.0 * k + torch.arange(n)).view(1, -1, 1, 1) for k, n in enumerate(lengths)]
            for lengths in case["refs"]
        ]
        z = torch.full((len(case["refs"]), 1, case["T"], 1, 1), -1.0)
        strategies = [conditions.parse_strategy(text) for text in case["strategy"]]
        pasted, ratios = conditions.apply_conditions(z, references, strategies, case["loop"], case["align"])
        yield Row(f"case{number}/mask", difference(ratios, torch.tensor(case["mask"])), 0)
        source = torch.tensor(case["source"], dtype=torch.float32)
        yield Row(f"case{number}/source", difference(pasted[:, 0, :, 0, 0], source), 0)


def text_cleaning(path: Path) -> Iterator[Row]:
    """Cleaned captions, score suffixes, loops, JSON tails."""
    table = json.loads(path.read_text())
    yield Row(
        "clean", _mismatches((prompts.clean_caption(c["text"]), c["result"]) for c in table["clean"]), 0
    )
    yield Row(
        "append_score",
        _mismatches(
            (prompts.add_scores(c["prompt"], c["aes"], c["flow"], c["camera_motion"]), c["result"])
            for c in table["append_score"]
        ),
        0,
    )
    split = table["split_prompt"]
    yield Row(
        "split_prompt", _mismatches((_loops(c["text"]), _recorded_loops(c["result"])) for c in split), 0
    )
    looped = table["prompt_for_loop"]
    yield Row(
        "prompt_for_loop",
        _mismatches(
            (prompts.prompt_of_loop(prompts.split_loops(c["text"]), c["loop"]).strip(), c["result"].strip())
            for c in looped
        ),
        0,
    )
    tail = table["json_prompt"]
    ours = [tuple(prompts.split_options(text)) for text in tail["text"]]
    theirs = zip(tail["prompts"], tail["reference"], tail["mask_strategy"], strict=True)
    yield Row("json_prompt", _mismatches(zip(ours, theirs, strict=True)), 0)


def _loops(text: str) -> list[tuple[int, str]]:
    return [(part.start, part.text.strip()) for part in prompts.split_loops(text)]


def _recorded_loops(result: list[Any]) -> list[tuple[int, str]]:
    texts, starts = result
    return [(start, text.strip()) for start, text in zip(starts or [0], texts, strict=True)]
