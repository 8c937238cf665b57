"""Noise schedule, solver step and guidance of Tora's CogVideoX pipelines.

The solver is the stochastic second-order DPM-Solver++ (arXiv 2211.01095) on velocity predictions with zero terminal
SNR (arXiv 2305.08891). Schedule and coefficients are those of diffusers' `CogVideoXDPMScheduler`; the step itself is
here, because that class draws its noise out of reach, and because the sat code rescales another set of values.
Sources: alibaba/Tora 9a23dce, `diffusers-version/inference.py` and `sat/sgm/modules/diffusionmodules/`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from toraeval.allowed import Numbers, check_option
from toraeval.models.shared.noise import Draw
from toraeval.models.tora_cogvideox.transformer import diffusers_module
from toraeval.types import UserError

# `scheduler/scheduler_config.json` of CogVideoX-5b; the spacing is what Tora's script sets.
PUBLISHED_SCHEDULE: Mapping[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "set_alpha_to_one": True,
    "clip_sample": False,
    "snr_shift_scale": 1.0,
}
ZERO_SNR = ("all", "sampled")
DYNAMIC_GUIDANCE = ("published", "step_index", "off")
GUIDANCE_EXPONENT = 5.0


class Solver:
    """The sampling schedule and one step along it.

    Args:
        steps: number of steps, 1 to 1000.
        schedule: values of a diffusers scheduler configuration; by default the published ones.
        zero_snr: rescale `all` 1000 noise levels to zero terminal SNR (diffusers), or only the `sampled` ones (sat);
            with 50 steps the square roots of alpha differ by up to 6e-4.

    Attributes:
        timesteps: training timesteps from 999 downwards.
        alphas: cumulative alpha of each timestep, float64.

    Raises:
        UserError: an option outside its range.
        MissingDependency: diffusers is not installed.
    """

    def __init__(
        self, steps: int, schedule: Mapping[str, Any] = PUBLISHED_SCHEDULE, zero_snr: str = "all"
    ) -> None:
        check_option("tora_cogvideox", "zero_snr", zero_snr, ZERO_SNR)
        if schedule.get("prediction_type") != "v_prediction":
            raise UserError(
                f"tora_cogvideox: the schedule has prediction_type={schedule.get('prediction_type')}; allowed: "
                "v_prediction"
            )
        scheduler_class = diffusers_module("diffusers").CogVideoXDPMScheduler
        options = {**schedule, "timestep_spacing": "trailing"}
        self._scheduler = scheduler_class.from_config(options)
        trained = int(self._scheduler.config.num_train_timesteps)
        check_option("tora_cogvideox", "steps", steps, Numbers(1, trained))
        levels: Tensor = self._scheduler.alphas_cumprod
        self.timesteps: list[int]
        self.alphas: list[Tensor]
        self._after: list[Tensor | None]
        self._final: Tensor = self._scheduler.final_alpha_cumprod
        if zero_snr == "sampled":
            self.timesteps = [int(t) for t in np.linspace(trained - 1, 0, steps, endpoint=False)]
            raw = scheduler_class.from_config({**options, "rescale_betas_zero_snr": False}).alphas_cumprod
            self.alphas = list(_zero_terminal_snr(raw[self.timesteps]))
            self._after = [*self.alphas[1:], None]
        else:
            self._scheduler.set_timesteps(steps)
            self.timesteps = self._scheduler.timesteps.tolist()
            self.alphas = [levels[t] for t in self.timesteps]
            # where 1000 is not a multiple of the steps, this is not the level of the next timestep; diffusers has it so
            targets = [t - trained // steps for t in self.timesteps]
            self._after = [levels[t] if t >= 0 else None for t in targets]

    def step(
        self, index: int, velocity: Tensor, latents: Tensor, previous_clean: Tensor | None, draw: Draw
    ) -> tuple[Tensor, Tensor]:
        """Go from one noise level to the next.

        Args:
            index: step number, from 0.
            velocity: prediction at `latents`, float32.
            latents: current state.
            previous_clean: second result of the step before; None in the first step.
            draw: called once in the first and the last step, otherwise twice with the first result unused, as
                upstream does; this decides which noise a seed gives.

        Returns:
            (next state, predicted clean latents).
        """
        alpha, after = self.alphas[index], self._after[index]
        second_order = previous_clean is not None and after is not None
        after = self._final if after is None else after
        before = self.alphas[index - 1] if second_order else None
        clean = alpha.sqrt() * latents - (1 - alpha).sqrt() * velocity
        h, r, _, _ = self._scheduler.get_variables(alpha, after, before)
        weights = self._scheduler.get_mult(h, r, alpha, after, before)
        direction, noise = clean, draw(latents)
        if second_order:
            direction, noise = weights[2] * clean - weights[3] * previous_clean, draw(latents)
        spread = (1 - after).sqrt() * (1 - (-2 * h).exp()).sqrt()
        return weights[0] * latents - weights[1] * direction + spread * noise, clean


def _zero_terminal_snr(alphas: Tensor) -> Tensor:
    """Shift and stretch the square roots of descending noise levels so that the first is 0 and the last stays."""
    roots = alphas.sqrt()
    return ((roots - roots[0]) * roots[-1] / (roots[-1] - roots[0])) ** 2


def guidance_scale(rule: str, guidance: float, steps: int, timestep: int, index: int) -> float:
    """Return the classifier-free guidance scale of one step.

    `published` puts the training timestep (0 to 999) where the formula means the step number, so that the scale jumps
    between 1 and 1 + guidance from step to step; all published results have it. `step_index` is the rising curve that
    was meant, `off` the constant.

    Args:
        rule: `published`, `step_index` or `off`.
        guidance: the scale, of which the dynamic rules make 1 to 1 + guidance.
        steps: number of steps.
        timestep: training timestep of this step.
        index: number of this step, from 0.

    Raises:
        UserError: an unknown rule.
    """
    check_option("tora_cogvideox", "dynamic_guidance", rule, DYNAMIC_GUIDANCE)
    if rule == "off":
        return guidance
    progress = (steps - timestep) / steps if rule == "published" else index / steps
    return 1 + guidance * (1 - math.cos(math.pi * progress**GUIDANCE_EXPONENT)) / 2
