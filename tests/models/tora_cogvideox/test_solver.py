"""Schedule, steps and guidance against recorded numbers and against diffusers' scheduler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from toraeval.models.shared.noise import Draw, keyed_generator, seeded_draw
from toraeval.models.tora_cogvideox.solver import PUBLISHED_SCHEDULE, Solver, guidance_scale
from toraeval.types import UserError

diffusers = pytest.importorskip("diffusers")


def drawn(key: str, seed: int) -> Draw:
    return seeded_draw(keyed_generator(key, seed, "tora_cogvideox"))


@pytest.mark.parametrize("steps", [50, 30, 25, 20, 10])
def test_timesteps_and_dynamic_guidance_are_the_published_ones(
    recorded: Callable[[str], Any], steps: int
) -> None:
    golden = recorded("scheduler_cfg_a")
    solver = Solver(steps)
    assert solver.timesteps == golden[f"timesteps_{steps}"].tolist()
    scales = [guidance_scale("published", 6.0, steps, t, i) for i, t in enumerate(solver.timesteps)]
    assert scales == pytest.approx(golden[f"dynamic_guidance_{steps}_scale6"].tolist(), rel=1e-12)


def test_published_schedule_is_the_recorded_one(recorded: Callable[[str], Any]) -> None:
    golden = recorded("scheduler_cfg_a")
    assert golden.json("scheduler_config") == {**PUBLISHED_SCHEDULE, "timestep_spacing": "trailing"}
    alphas = Solver(1000).alphas
    torch.testing.assert_close(torch.stack(alphas).flip(0), golden["alphas_cumprod"], rtol=1e-11, atol=1e-14)


def test_steps_are_the_recorded_ones(recorded: Callable[[str], Any]) -> None:
    golden = recorded("scheduler_cfg_a")
    solver, noises = Solver(50), iter(golden["dpm_noises_in_draw_order"])
    draws = []

    def draw(like: torch.Tensor) -> torch.Tensor:
        draws.append(like.shape)
        return next(noises)

    x, clean, counts = golden["dpm_x"][0], None, []
    for number, index in enumerate(golden["dpm_step_indices"].tolist()):
        drawn = len(draws)
        x, clean = solver.step(index, golden["dpm_model_outputs"][number], x, clean, draw)
        counts.append(len(draws) - drawn)
        torch.testing.assert_close(x, golden["dpm_x"][number + 1], rtol=1e-5, atol=1e-5)
    assert counts == golden["dpm_draws_per_step"].tolist()


def test_sampled_levels_are_those_of_sat(recorded: Callable[[str], Any]) -> None:
    golden = recorded("scheduler_cfg_a")
    solver = Solver(50, zero_snr="sampled")
    assert solver.timesteps == golden["sat_timesteps_50"].tolist()
    roots = torch.stack(solver.alphas).sqrt().float()
    torch.testing.assert_close(roots, golden["sat_alpha_cumprod_sqrt_50"], rtol=0, atol=1e-5)
    assert (roots - torch.stack(Solver(50).alphas).sqrt().float()).abs().max() > 5e-4


@pytest.mark.parametrize("steps", [1, 2, 7, 30])
def test_whole_runs_equal_the_scheduler_of_diffusers(steps: int) -> None:
    scheduler = diffusers.CogVideoXDPMScheduler(**PUBLISHED_SCHEDULE, timestep_spacing="trailing")
    scheduler.set_timesteps(steps)
    draw, drawn = (torch.Generator().manual_seed(5) for _ in range(2))
    velocities = torch.randn(steps, 2, 3, generator=torch.Generator().manual_seed(1))
    solver, noise = Solver(steps), seeded_draw(draw)
    ours = theirs = torch.ones(2, 3)
    clean = old = None
    for index, timestep in enumerate(scheduler.timesteps):
        before = scheduler.timesteps[index - 1] if index else None
        theirs, old = scheduler.step(velocities[index], old, timestep, before, theirs, generator=drawn)
        ours, clean = solver.step(index, velocities[index], ours, clean, noise)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_rules_of_guidance() -> None:
    assert guidance_scale("off", 6.0, 50, 999, 0) == 6.0
    rising = [guidance_scale("step_index", 6.0, 50, 0, i) for i in range(51)]
    assert rising[0] == 1.0
    assert rising[-1] == 7.0
    assert rising == sorted(rising)
    jumping = [guidance_scale("published", 6.0, 50, t, 0) for t in Solver(50).timesteps]
    assert jumping != sorted(jumping)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Solver(0), "steps=0; allowed: 1 to 1000"),
        (lambda: Solver(1001), "steps=1001; allowed: 1 to 1000"),
        (lambda: Solver(5, zero_snr="no"), "zero_snr=no; allowed: all, sampled"),
        (lambda: Solver(5, {"prediction_type": "epsilon"}), "prediction_type=epsilon; allowed: v_prediction"),
        (
            lambda: guidance_scale("auto", 6.0, 5, 0, 0),
            "dynamic_guidance=auto; allowed: published, step_index",
        ),
    ],
)
def test_options_outside_their_range(call: Callable[[], object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        call()


def test_noise_depends_on_case_and_seed_alone() -> None:
    like = torch.empty(4, 4)
    one = drawn("shapes-v1/3", 0)
    first, second = one(like), one(like)
    assert not torch.equal(first, second)
    again = drawn("shapes-v1/3", 0)
    assert torch.equal(again(like), first)
    assert torch.equal(again(like), second)
    assert not torch.equal(drawn("shapes-v1/3", 1)(like), first)
    assert not torch.equal(drawn("shapes-v1/4", 0)(like), first)
    assert drawn("x", 0)(torch.empty(2, dtype=torch.bfloat16)).dtype == torch.bfloat16
