"""Data of version 2 of the world, trials and the long run; on tiny networks and few clips."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.conftest import interrupted
from toraeval.config.training_tasks import LongRunOptions, TrialsOptions
from toraeval.config.trainings import EMBEDDED
from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
from toraeval.suites.shapes.render import SceneRenderer
from toraeval.suites.shapes.world2 import sample_scene
from toraeval.training.data.batches import BatchSource, StepPlan
from toraeval.training.data.preparation import shard_plan
from toraeval.training.data.scenes import encode_scene
from toraeval.training.data.shards import load_vae, set_world, shard_stem, world_of, write_shard
from toraeval.training.engine.distributed import World, checkpoints
from toraeval.training.engine.log import read_rows
from toraeval.training.engine.parts import Counters
from toraeval.training.recipes import long_run, nano, trials
from toraeval.training.recipes.learners import learner
from toraeval.training.recipes.nano_recipe import NanoRecipe
from toraeval.training.recipes.validation import CleanLoss, HeldOut, ValidationClips, near_paths
from toraeval.types import UserError

SMALL = {"depth": 1, "hidden_size": 32, "num_heads": 2, "in_channels": 8, "caption_channels": 8,
         "motion_channels": 8}  # fmt: skip
WIDTHS = {"latent_channels": 8, "widths": (32, 32), "blocks": (1, 1), "attention": (False, True), "head_width": 16,
          "groups": 8, "motion_channels": (8, 8)}  # fmt: skip


@pytest.fixture(scope="module")
def folder(vae: LinearPatchAutoencoder, vae_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("trials")
    shards = made / "shards"
    set_world(shards, 2)
    with torch.no_grad():
        for frames, start, count in ((17, 0, 8), (33, 100, 1)):
            write_shard(vae, shard_stem(shards, frames, start), count, ("excerpts", "clips"))
    (made / "vae.safetensors").write_bytes(vae_path.read_bytes())
    ValidationClips.render(vae, 1).save(made / "validation.npz")
    return made


def tiny(model: str, folder: Path, **changes: object) -> NanoRecipe:
    sizes = SMALL if model in ("tora", "wan_move") else WIDTHS
    extra = {"cond_channels": 8} if model == "tora" else {}
    lengths = {17: 1.0}
    base = replace(
        long_run.recipe(model, LongRunOptions(folder=str(folder), samples=8)),
        network=learner(model).configure(**sizes, **extra),
        lengths=lengths,
        late_lengths=lengths,
        tokens=320,
        validation_share=1.0,
    )
    return replace(base, **changes)


@pytest.mark.parametrize("model", EMBEDDED)
def test_every_model_trains_on_the_same_folder_and_exports(model: str, folder: Path, tmp_path: Path) -> None:
    config, target = tiny(model, folder, out=str(tmp_path / model)), tmp_path / f"{model}.safetensors"
    found = nano.result(config, nano.Ending(target, half=True, keep=False))
    assert found["clips"] == 8
    assert {"all", "object_one", "object_several", "rest"} <= found.keys()
    assert not (tmp_path / model / "checkpoints").exists()
    assert nano.result(config, nano.Ending(target)) == found  # nothing is left to train
    card = json.loads(target.with_suffix(".json").read_text())
    assert card["clips_seen"] == 8
    network, vae = learner(model).load(target)
    exact = load_vae(folder / "vae.safetensors")
    assert vae.basis.dtype == torch.float32
    torch.testing.assert_close(vae.mean, exact.mean, atol=0.07, rtol=0)
    torch.testing.assert_close(vae.basis, exact.basis, atol=1e-4, rtol=1e-3)
    assert network.config == config.network


def test_an_interrupted_run_resumes_to_the_same_weights(folder: Path, tmp_path: Path, world: World) -> None:
    whole = nano.build(tiny("tora", folder, out=str(tmp_path / "a"), validation=None), world)
    assert whole.run() == 0
    config = tiny("tora", folder, out=str(tmp_path / "b"), validation=None)
    assert interrupted(nano.build(config, world).run, 1) == 130
    resumed = nano.build(config, world)
    assert resumed.done.step == 1
    assert resumed.run() == 0
    assert resumed.done.clips == whole.done.clips
    for one, other in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.long
@pytest.mark.timeout(300)  # starts processes, which import torch
@pytest.mark.parametrize("send", [os.killpg, os.kill], ids=["all", "first"])
def test_ctrl_c_ends_several_runs_and_begins_no_further_one(
    folder: Path, tmp_path: Path, send: Callable[[int, int], None]
) -> None:
    outs = [tmp_path / name for name in "abc"]
    runs = [
        (tiny("wan_move", folder, out=str(out), samples=10**6, validation=None), nano.Ending())
        for out in outs
    ]
    (tmp_path / "runs").write_bytes(pickle.dumps(runs))
    code = "import pickle, sys; from toraeval.training.recipes import nano; "
    code += "list(nano.results(pickle.load(open(sys.argv[1], 'rb')), 2))"
    command = [sys.executable, "-c", code, str(tmp_path / "runs")]
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": root}, start_new_session=True) as process:
        while not all((out / "log.csv").exists() for out in outs[:2]):
            assert process.poll() is None
            time.sleep(0.2)
        send(process.pid, signal.SIGINT)
        assert process.wait(120) == -signal.SIGINT
    assert [out.exists() for out in outs] == [True, True, False]
    assert all(len(checkpoints(out / "checkpoints")) == 1 for out in outs[:2])


def test_shards_of_two_worlds_are_not_mixed(folder: Path, tmp_path: Path) -> None:
    assert world_of(folder / "shards") == 2
    assert world_of(tmp_path) == 1
    with pytest.raises(UserError, match="holds clips of version 2 of the world; got world=1"):
        set_world(folder / "shards", 1)


def test_stored_clips_show_the_panel(vae: LinearPatchAutoencoder) -> None:
    scene = sample_scene("train", 3, 1, "line", False, True)
    stored = torch.from_numpy(encode_scene(vae, scene, 9)["video"]).permute(3, 0, 1, 2).float()
    rendered = vae.encode(SceneRenderer(scene, 9, 512, 512).render())
    assert (stored - rendered).abs().max() < 0.05  # bfloat16 and float16


def test_plan_mixes_lengths_from_the_start() -> None:
    plan = shard_plan(1024)
    assert len(plan) == len(set(plan))
    assert {frames for frames, _, _ in plan[: len(plan) // 2]} == {17, 33, 65, 129}
    assert sum(count for frames, _, count in plan if frames == 17) == 1024


def test_windows_hold_all_objects(folder: Path) -> None:
    config = tiny("tora", folder, samples=1000, group_window=7, single_share=0.15)
    plans = [config.plan(Counters(step, 300)) for step in range(100)]
    groups = [plan for plan in plans if plan.min_objects == 2]
    assert 30 <= len(groups) <= 38
    assert all(plan.window == 7 for plan in groups)
    assert all(plan.window == 5 and plan.max_objects == 1 for plan in plans if plan not in groups)
    source = BatchSource(folder / "shards", {17: 1.0}, tokens=640, motion=None)
    batch = source.draw(0, StepPlan("sparse", {17: 1.0}, 3, 7))
    assert batch.latents_BCTHW.shape[3:] == (14, 14)


def test_processor_time_is_counted(folder: Path, tmp_path: Path, world: World) -> None:
    config = tiny("wan_move", folder, out=str(tmp_path), validation=None, samples=10)
    engine = nano.build(config, world)
    assert engine.run() == 0
    assert 0 < engine.done.seconds < 60


def test_cells_near_a_path() -> None:
    near = near_paths(np.full((1, 17, 2), 255.5), 16, 16)
    assert near.shape == (4, 16, 16)
    assert near[0, 7, 7]
    assert near[3, 7, 9]  # its edge is 32.5 px away
    assert not near[0, 7, 10]
    assert not near[0, 0].any()


def test_errors_are_zero_for_the_truth(folder: Path, vae: LinearPatchAutoencoder) -> None:
    clips, kind = ValidationClips.load(folder / "validation.npz"), learner("wan_move")
    config = tiny("wan_move", folder)
    loss = CleanLoss(kind, vae, config.flow, config.channel_power)
    model = kind.build(config.network)
    errors = HeldOut(model, loss, clips).sampled_errors()
    assert max(errors["object_one"], errors["object_several"]) > 0
    assert errors["rest"] > 0
    loss.one_step = lambda model, batch: batch.latents_BCTHW.float()  # type: ignore[method-assign]
    assert set(HeldOut(model, loss, clips).sampled_errors().values()) == {0.0}


def test_networks_keep_to_their_sizes() -> None:
    counts = {
        model: sum(p.numel() for p in learner(model).build(learner(model).configure()).parameters())
        for model in EMBEDDED
    }
    assert max(counts.values()) <= 6.4e6
    assert min(counts.values()) >= 0.9 * max(counts.values())


def test_trials_differ_from_the_first_in_one_thing(tmp_path: Path) -> None:
    options = TrialsOptions(folder=str(tmp_path), data=str(tmp_path))
    base = trials.settings(trials.TRIALS[0], options)
    assert len({trial.name for trial in trials.TRIALS}) == len(trials.TRIALS)
    for trial in trials.TRIALS[1:]:
        assert replace(trials.settings(trial, options), out=base.out) != base
    with pytest.raises(UserError, match="names=nobody"):
        trials.run(TrialsOptions(names="nobody"))


def test_status_and_options_of_the_long_run(folder: Path, tmp_path: Path) -> None:
    options = LongRunOptions(folder=str(tmp_path), samples=24)
    assert long_run.status(options) == [f"{name}: not started" for name in EMBEDDED]
    out = tmp_path / "tora"
    out.mkdir()
    (out / "log.csv").write_text("step,clips,seconds,loss\n20,12,36,0.5\n")
    (out / "validation.csv").write_text("clips,object_one,object_several,rest\n12,30,40,5\n")
    assert read_rows(out / "log.csv")
    assert long_run.status(options)[0] == (
        "tora: 12 clips (50%), 0.01 hours, loss 0.5; "
        "validation at 12 clips: object_one 30.00, object_several 40.00, rest 5.00 grey levels"
    )
    with pytest.raises(UserError, match="models=nobody"):
        long_run.run(LongRunOptions(models="nobody"))
