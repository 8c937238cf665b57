"""Every recording in the test data against our modules, and what the command makes of differences."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import parity
from benchmarks.parity_data import Recording
from toraeval.models.shared.network.extractor import TrajectoryExtractor
from toraeval.models.tora_cogvideox.config import TransformerConfig
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
        k: v + np.float32(1e-3) if k.endswith(("/out", "flow_sub", "feature1")) else v
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


def recorded(name: str) -> tuple[dict, dict[str, torch.Tensor], Recording]:
    recording = Recording(next(DATA.glob(f"*/{name}_a.npz")))
    options = recording.json("config") if "config" in recording else {}
    return options.get("model", options), recording.under("sd/"), recording


def names_of_examples() -> dict[str, dict[str, object]]:
    """What each example of docs/parity.md is run with, by the class or function that marks it."""
    options, state, r = recorded("stdit3_tiny")
    found: dict[str, dict[str, object]] = {"STDiT3(": {"options": options, "state": state, **r.under("in/")}}
    options, state, r = recorded("vae_temporal_tiny")
    found[" TemporalVAE("] = {"options": options, "state": state, "latents": r["single6/x"], "frames": 6}
    options, state, r = recorded("vae_spatial_tiny")
    found[" SpatialVAE("] = {"options": options, "state": state, "video": r["x"], "noise": r["noise"]}
    options, state, r = recorded("traj_extractor_tiny")
    found["TrajectoryExtractor("] = {"options": options, "state": state, "latents": r["case0/x"]}
    options, state, r = recorded("mgf_tiny")
    tokens = {"hidden": torch.zeros(1, 2, 6, 64), "feature": torch.zeros(1, 2, 6, 8), "rows": 2, "columns": 3}
    found["AdaptiveNormFuser("] = {"options": options, "state": state, **tokens}
    found["RectifiedFlow("] = {"height": 512.0, "width": 512.0, "frames": 51.0}
    path = np.array([[[5, 5], [9, 6], [12, 9]]])
    flow = np.ones((2, 32, 40, 2), np.float32)
    found["roll_out("] = {"points": path, "width": 40, "height": 32, "dense": flow, "starts": path[:, 0]}
    options, state, r = recorded("tora_cogvideox_tiny")
    found["ToraCogVideoXTransformer("] = {"options": options, "state": state, **r.under("case0/")}
    from toraeval.models.tora.autoencoder.video import OpenSoraVAE, OpenSoraVAEConfig

    small = {
        "vae_2d": {"block_out_channels": [4, 4, 4, 4], "norm_num_groups": 2, "layers_per_block": 1},
        "vae_temporal": {"filters": 4, "num_res_blocks": 1, "num_groups": 2},
    }
    state = OpenSoraVAE(OpenSoraVAEConfig.from_upstream(small)).state_dict()
    found[" OpenSoraVAE("] = {"options": small, "state": state, "video": torch.zeros(1, 3, 5, 16, 16)}
    return found


@torch.no_grad()
def test_examples_of_the_page_run() -> None:
    pytest.importorskip("diffusers")
    page = (DATA.parents[1] / "docs" / "parity.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    given = names_of_examples()
    for example in examples:
        (mark,) = [mark for mark in given if mark in example]
        exec(compile(example, f"docs/parity.md: {mark}", "exec"), dict(given.pop(mark)))
    assert not given


def test_the_page_names_every_kind_of_recording() -> None:
    page = (DATA.parents[1] / "docs" / "parity.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    for known in (*parity.ARRAYS, *parity.TABLES):
        assert any(known in row.split("|")[1] for row in rows), known


def sections(source: Path, target: Path, keep: tuple[str, ...]) -> Path:
    """Write a recording that holds only the arrays whose names begin so."""
    arrays = {k: v for k, v in Recording(source).arrays.items() if k.startswith(keep)}
    np.savez(target, **arrays)
    return target.with_suffix(".npz")


@pytest.mark.parametrize(
    ("name", "keep"),
    [
        ("open_sora/embeddings_a", ("timestep/",)),
        ("open_sora/embeddings_a", ("size/",)),
        ("open_sora/rectified_flow_a", ("train/",)),
        ("open_sora/rectified_flow_a", ("tf/",)),
        ("tora/scheduler_cfg_a", ("timesteps_",)),
        ("tora/sparse_sampling_a", ("dense_",)),
    ],
)
def test_sections_may_be_absent(tmp_path: Path, name: str, keep: tuple[str, ...]) -> None:
    if "scheduler" in name:
        pytest.importorskip("diffusers")
    path = sections(DATA / f"{name}.npz", tmp_path / Path(name).name, keep)
    rows, _ = parity.compare(path)
    assert rows
    assert all(row.ok for row in rows)


def test_a_recording_without_anything_to_compare_fails(tmp_path: Path) -> None:
    np.savez(tmp_path / "embeddings_b.npz", other=np.zeros(3))
    with pytest.raises(UserError, match=r"embeddings_b\.npz holds nothing that is compared"):
        parity.compare(tmp_path / "embeddings_b.npz")


def test_arrays_that_are_never_compared_are_not_read(tmp_path: Path) -> None:
    arrays = Recording(DATA / "open_sora" / "rectified_flow_a.npz").arrays
    np.savez(tmp_path / "rectified_flow_b.npz", **arrays, **{"train/surplus": np.zeros(3)})
    before = parity.compare(DATA / "open_sora" / "rectified_flow_a.npz")[1]
    assert parity.compare(tmp_path / "rectified_flow_b.npz")[1] == before + 1


@pytest.mark.parametrize(
    ("name", "arrays"),
    [
        ("open_sora/stdit3_tiny_a", ("config", "sd/", "in/", "extra/output_single_frame")),
        ("open_sora/vae_temporal_tiny_a", ("config", "sd/", "single4/x", "single4/mean")),
        ("open_sora/vae_spatial_tiny_a", ("config", "sd/", "z", "decoded")),
        ("tora/mgf_tiny_a", ("config", "sd/", "case0/T", "case0/h", "case0/flow", "case0/out")),
        ("tora/traj_flow_a", ("const/",)),
        ("tora/motionctrl_flow_a", ("horizon_1/points256", "horizon_1/flow_sum")),
        ("tora/tora_cogvideox_tiny_a", ("config", "sd/", "case2/")),
        ("tora/scheduler_cfg_a", ("sat_",)),
    ],
)
def test_any_section_may_stand_alone(tmp_path: Path, name: str, arrays: tuple[str, ...]) -> None:
    if name.startswith(("tora/tora_", "tora/sched")):
        pytest.importorskip("diffusers")
    path = sections(DATA / f"{name}.npz", tmp_path / Path(name).name, arrays)
    rows, _ = parity.compare(path)
    assert rows
    assert all(row.ok for row in rows)


def test_a_missing_input_is_named(tmp_path: Path) -> None:
    path = sections(
        DATA / "open_sora" / "embeddings_a.npz", tmp_path / "embeddings_b", ("rmsnorm/w", "rmsnorm/o")
    )
    with pytest.raises(UserError, match=r"embeddings_b\.npz has no array 'rmsnorm/x'"):
        parity.compare(path)


def test_a_recorded_run_from_a_first_frame_is_checked(tmp_path: Path) -> None:
    """A small image-to-video network with sine positions and heads of 8; its file is called by either name."""
    pytest.importorskip("diffusers")
    from toraeval.models.tora_cogvideox.pipeline import DenoisingOptions, denoise
    from toraeval.models.tora_cogvideox.solver import Solver
    from toraeval.models.tora_cogvideox.transformer import ToraCogVideoXTransformer

    torch.manual_seed(0)
    config = {
        "num_attention_heads": 4, "attention_head_dim": 8, "in_channels": 8, "out_channels": 4, "num_layers": 1,
        "time_embed_dim": 8, "text_embed_dim": 6, "sample_width": 4, "sample_height": 4, "sample_frames": 9,
        "max_text_seq_length": 3, "use_rotary_positional_embeddings": False, "traj_channels": 8,
        "traj_latent_channels": 4,
    }  # fmt: skip
    model = ToraCogVideoXTransformer(TransformerConfig.from_json(config)).eval()
    init, flow, text = torch.randn(1, 3, 4, 4, 4), torch.randn(1, 3, 4, 4, 4), torch.randn(1, 3, 6)
    image, noises = torch.randn(1, 1, 4, 4, 4), torch.randn(4, 1, 3, 4, 4, 4)
    draws, whole = iter(noises), torch.cat((image, torch.zeros(1, 2, 4, 4, 4)), 1)
    options = DenoisingOptions(guidance=1.0)
    states = torch.stack(list(denoise(
        model, Solver(2), init, text, flow, lambda like: next(draws), options, whole
    )))  # fmt: skip
    arrays = {
        "config": np.array(json.dumps(config)),
        "params": np.array(json.dumps({"steps": 2, "guidance_scale": 1.0})),
        **{f"sd/{name}": value.numpy() for name, value in model.state_dict().items()},
        "init_latents": init.numpy(), "flow_latents": flow.numpy(), "prompt_embeds": text.numpy(),
        "scheduler_noises": noises.numpy(), "image_latents": image.numpy(), "latents_after_step": states.numpy(),
    }  # fmt: skip
    for name, error in (("pipeline_tiny_i2v_b", 0), ("i2v_pipeline_b", 0), ("pipeline_wrong", 1e-2)):
        changed = arrays | {"latents_after_step": arrays["latents_after_step"] + np.float32(error)}
        np.savez(tmp_path / f"{name}.npz", **changed)
        rows, unused = parity.compare(tmp_path / f"{name}.npz")
        assert [row.ok for row in rows] == [not error]
        assert unused == 0


def test_patches_in_time_follow_upstream(tmp_path: Path) -> None:
    """A patch of two frames reads (C, frame, row, column), and the end of time is padded with zeros."""
    module = TrajectoryExtractor(2, 4, stages=1, blocks_per_stage=1, patch=2, patch_t=2)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        for channel, place in enumerate(
            (0, 4, 8, 12)
        ):  # of 2 x 2 x 2 x 2 numbers: channel 0, frame 1 is number 4
            module.conv_in.weight[channel, place, 1, 1] = 1.0
    latents = torch.arange(2 * 3 * 2 * 2, dtype=torch.float32).reshape(1, 2, 3, 2, 2)
    (feature,) = module.eval()(latents)
    assert feature.shape == (1, 2, 1, 4)
    assert feature[0, :, 0].tolist() == [[0.0, 4.0, 12.0, 16.0], [8.0, 0.0, 20.0, 0.0]]


@pytest.mark.parametrize("shape", [(1, 3), (1, 1)])
def test_the_first_frame_of_a_recorded_run_is_found(tmp_path: Path, shape: tuple[int, int]) -> None:
    pytest.importorskip("diffusers")
    from benchmarks.parity_cogvideox import _first_frame

    init = torch.zeros(1, 3, 4, 2, 2)
    np.savez(tmp_path / "pipeline_i2v.npz", image_latents=np.ones((*shape, 4, 2, 2), np.float32))
    found = _first_frame(Recording(tmp_path / "pipeline_i2v.npz"), init)
    assert found.shape == init.shape
    assert found[:, 0].eq(1).all()
    assert found[:, shape[1] :].eq(0).all()
    np.savez(tmp_path / "pipeline_none.npz", x=np.ones(3))
    with pytest.raises(UserError, match="takes a first frame, but no array"):
        _first_frame(Recording(tmp_path / "pipeline_none.npz"), init)
