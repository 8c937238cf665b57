"""Rectified flow: time sampling, noising, loss and Euler sampling with guidance and per-frame masks.

Time runs over [0, 1000]; 1000 is pure noise. With u = t/1000: x_t = (1-u) x0 + u noise, velocity = x0 - noise, and
the sampler *adds* velocity * du while going down. Source: Open-Sora v1.2.0,
`opensora/schedulers/rf/{__init__,rectified_flow}.py`; the clean-latent output is ours.

Legend of the shape suffixes: B batch, C channels, T latent frames, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

TIME_SAMPLINGS = ("uniform", "logit-normal")
PREDICTIONS = ("velocity", "clean")
BASE_PIXELS = 512 * 512  # area at which the timestep transform leaves a single frame unchanged


class Denoiser(Protocol):
    """A network with everything but latent, time and frame mask already bound."""

    def __call__(self, x: Tensor, timestep: Tensor, x_mask: Tensor | None) -> Tensor:
        """Map x [B,C,T,H,W], timestep [B] on 0..1000 and x_mask bool [B,T] to [B,>=C,T,H,W]; first C are used."""
        ...


@dataclass(frozen=True)
class ClipSize:
    """Pixel height, width and frame count of a batch, each a number or a tensor [B]; sets the timestep transform."""

    height: Tensor | float
    width: Tensor | float
    num_frames: Tensor | float


@dataclass(frozen=True)
class FlowConfig:
    """Options of the flow; the defaults are those of the Open-Sora v1.2 training and inference configurations.

    Raises:
        ValueError: an unknown sampling or prediction, or discrete steps with logit-normal sampling.
    """

    num_timesteps: int = 1000
    time_sampling: str = "logit-normal"
    loc: float = 0.0
    scale: float = 1.0
    discrete: bool = False
    use_transform: bool = True
    transform_scale: float = 1.0  # training only; sampling always uses 1
    guard_short_clips: bool = True
    prediction: str = "velocity"
    t_min: float = 0.1  # smallest u in the weight 1/u^2 of the clean-latent loss
    eps: float = 1e-3  # smallest u by which the sampler divides when the network predicts the clean latent

    def __post_init__(self) -> None:
        if self.time_sampling not in TIME_SAMPLINGS:
            raise ValueError(
                f"time_sampling {self.time_sampling!r} is not one of {', '.join(TIME_SAMPLINGS)}"
            )
        if self.prediction not in PREDICTIONS:
            raise ValueError(f"prediction {self.prediction!r} is not one of {', '.join(PREDICTIONS)}")
        if self.discrete and self.time_sampling != "uniform":
            raise ValueError("discrete time steps need time_sampling 'uniform'")


def _as_rows(value: Tensor | float, device: torch.device) -> Tensor:
    if isinstance(value, Tensor):
        return value.to(device) if value.is_floating_point() else value.to(device, torch.float32)
    return torch.tensor([value], dtype=torch.float32, device=device)


def time_ratio(num_frames: Tensor, guard_short_clips: bool = True) -> Tensor:
    """Latent length that the timestep transform uses for clips of `num_frames` [B] pixel frames.

    Upstream takes `num_frames // 17 * 5`, or 1 when the first clip of the batch is an image. That is 0 for 2..16
    frames, which sets every time step to 0 (and 1000 to NaN), so training never sees noise. Here lengths that
    upstream maps to 0 use the true latent length ceil(num_frames / 4); all others keep upstream's value, also
    where it is not the true length (64 frames: 15, not 19). `guard_short_clips=False` gives upstream unchanged.
    """
    if num_frames.flatten()[0] == 1:
        return torch.ones_like(num_frames)
    length = num_frames // 17 * 5
    if guard_short_clips:
        length = torch.where(length == 0, torch.ceil(num_frames / 4), length)
    return length


def transform_timesteps(
    t: Tensor,
    size: ClipSize,
    scale: float = 1.0,
    num_timesteps: int = 1000,
    guard_short_clips: bool = True,
) -> Tensor:
    """Shift time steps [B] on 0..num_timesteps towards noise for larger and longer clips.

    u' = r u / (1 + (r-1) u), r = sqrt(height width / 512^2) sqrt(n) scale, n from `time_ratio`.
    """
    height, width, num_frames = (_as_rows(v, t.device) for v in (size.height, size.width, size.num_frames))
    space = (height * width / BASE_PIXELS).sqrt()
    ratio = space * time_ratio(num_frames, guard_short_clips).sqrt() * scale
    u = t / num_timesteps
    return ratio * u / (1 + (ratio - 1) * u) * num_timesteps


@dataclass(frozen=True)
class RectifiedFlow:
    """The flow as used in training and sampling; holds options only, no weights."""

    config: FlowConfig = FlowConfig()

    def sample_times(
        self, batch: int, size: ClipSize | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw training time steps float32 [batch] on 0..1000, where the generator is; transformed if configured so."""
        c = self.config
        device = None if generator is None else generator.device
        if c.discrete:
            t = torch.randint(0, c.num_timesteps, (batch,), generator=generator, device=device).float()
        elif c.time_sampling == "uniform":
            t = torch.rand(batch, generator=generator, device=device) * c.num_timesteps
        else:
            normals = torch.randn(batch, generator=generator, device=device)
            t = logit_normal(normals, c.loc, c.scale) * c.num_timesteps
        return self._transform(t, size, c.transform_scale)

    def add_noise(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Mix clean latent and noise [B,...] at time steps [B]."""
        u = self._unit(t, x0)
        return (1 - u) * x0 + u * noise

    def loss(
        self,
        model: Denoiser,
        x0: Tensor,
        t: Tensor,
        noise: Tensor,
        mask: Tensor | None = None,
        channel_weights: Tensor | None = None,
    ) -> Tensor:
        """Per-sample squared error, float32 [B].

        Args:
            model: the denoiser; it sees `mask` as its `x_mask` and `t` unchanged.
            x0, noise: [B,C,T,H,W].
            t: time steps [B] on 0..1000, from `sample_times`.
            mask: bool [B,T], False marks frames that are given clean and left out of the mean.
            channel_weights: [C] weights of the channels' errors, all 1 if not given.

        With prediction "velocity" the target is x0 - noise. With "clean" the target is x0 and the error is weighted
        by 1/max(u, t_min)^2, which makes it the velocity error wherever u >= t_min.

        Raises:
            ValueError: a sample has no noisy frame, so its loss would be undefined.
        """
        x_t = self.add_noise(x0, noise, t)
        if mask is not None:
            if not bool(mask.any(1).all()):
                raise ValueError(
                    "frame mask marks every frame of a sample as given; at least one must be noisy"
                )
            x_t = torch.where(mask[:, None, :, None, None], x_t, x0)
        out = model(x_t, t, mask)[:, : x0.shape[1]].float()
        if self.config.prediction == "velocity":
            error = (out - (x0 - noise)).square()
        else:
            error = (out - x0).square() / self._unit(t, x0).clamp_min(self.config.t_min).square()
        if channel_weights is not None:
            error = error * channel_weights.view(1, -1, 1, 1, 1)
        per_frame = error.mean(dim=(1, 3, 4))
        if mask is None:
            return per_frame.mean(1)
        return (per_frame * mask).sum(1) / mask.sum(1)

    def sampling_times(self, num_steps: int, batch: int, size: ClipSize | None = None) -> Tensor:
        """Time steps [num_steps, batch] of the sampler, from 1000 downwards, transformed when so configured."""
        raw = [(1.0 - i / num_steps) * self.config.num_timesteps for i in range(num_steps)]
        steps = torch.tensor([round(t) for t in raw] if self.config.discrete else raw)
        return torch.stack([self._transform(t.expand(batch), size, 1.0) for t in steps])

    @torch.no_grad()
    def sample(
        self,
        model: Denoiser,
        z: Tensor,
        num_steps: int = 30,
        guidance: float = 7.0,
        size: ClipSize | None = None,
        mask: Tensor | None = None,
        draw_noise: Callable[[int], Tensor] | None = None,
    ) -> Tensor:
        """Integrate from noise to a latent [B,C,T,H,W] with Euler steps.

        Args:
            model: the denoiser. With `guidance` != 1 it is called on a doubled batch, prompts in the first half and
                null prompts in the second; result v_null + guidance * (v_prompt - v_null).
            z: initial noise [B,C,T,H,W], reference latents already pasted into frames with mask < 1.
            num_steps: any count >= 1.
            size: pixel size for the timestep transform; needed when the configuration uses it.
            mask: edit ratio float [B,T]: 1 generates a frame, 0 keeps it, between: denoise it from t = 1000*mask on.
            draw_noise: noise for frames that become active, by step index; standard normal by default.

        Raises:
            ValueError: num_steps below 1, or a needed `size` is missing.
        """
        if num_steps < 1:
            raise ValueError(f"num_steps is {num_steps}; at least 1 is needed")
        times = self.sampling_times(num_steps, z.shape[0], size).to(z.device)
        if draw_noise is None:

            def draw_noise(step: int) -> Tensor:
                return torch.randn(z.shape).to(z)

        noised = None if mask is None else mask == 1
        for i, t in enumerate(times):
            active = None
            before = z
            if mask is not None and noised is not None:
                # rounding can lift the first step of a small picture above 1000, where no frame would be active
                active = mask * self.config.num_timesteps >= t[:, None].clamp(max=self.config.num_timesteps)
                fresh = self.add_noise(z, draw_noise(i), t)
                before = torch.where((active & ~noised)[:, None, :, None, None], fresh, z)
                noised = active
            velocity = self._velocity(model, before, t, active, guidance)
            after = times[i + 1] if i + 1 < num_steps else torch.zeros_like(t)
            z = before + velocity * self._unit(t - after, z)
            if active is not None:
                z = torch.where(active[:, None, :, None, None], z, before)
        return z

    def _velocity(
        self, model: Denoiser, x: Tensor, t: Tensor, active: Tensor | None, guidance: float
    ) -> Tensor:
        channels = x.shape[1]
        if guidance == 1.0:
            out = model(x, t, active)[:, :channels]
        else:
            doubled = None if active is None else torch.cat((active, active))
            out = model(torch.cat((x, x)), torch.cat((t, t)), doubled)[:, :channels]
            prompt, null = out.chunk(2)
            out = null + guidance * (prompt - null)
        if self.config.prediction == "velocity":
            return out
        return (out - x) / self._unit(t, x).clamp_min(self.config.eps)

    def _transform(self, t: Tensor, size: ClipSize | None, scale: float) -> Tensor:
        if not self.config.use_transform:
            return t
        if size is None:
            raise ValueError(
                "the timestep transform needs the clip size; pass size= or set use_transform=False"
            )
        return transform_timesteps(t, size, scale, self.config.num_timesteps, self.config.guard_short_clips)

    def _unit(self, t: Tensor, like: Tensor) -> Tensor:
        return (t / self.config.num_timesteps).view(-1, *[1] * (like.ndim - 1))


def logit_normal(normals: Tensor, loc: float = 0.0, scale: float = 1.0) -> Tensor:
    """Map standard normal draws to (0, 1) by the sigmoid of loc + scale * n."""
    return torch.sigmoid(normals * scale + loc)


def linear_estimate(x: Tensor, timestep: Tensor, x_mask: Tensor | None = None) -> Tensor:
    """Estimate the clean latent of unit variance linearly from a noisy one: x_t (1-u) / ((1-u)^2 + u^2).

    Args:
        x: noisy latents [B,C,T,H,W].
        timestep: [B] on 0..1000.
        x_mask: bool [B,T], False marks clean frames; they stay as they are.
    """
    u = (timestep / 1000).view(-1, 1, 1, 1, 1)
    gain = (1 - u) / ((1 - u).square() + u.square())
    if x_mask is not None:
        gain = torch.where(x_mask[:, None, :, None, None], gain, torch.ones_like(gain))
    return x * gain
