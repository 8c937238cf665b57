"""Options of the wrappers that run a rival's own repository in its own Python environment."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class UpstreamOptions:
    """What every wrapper takes; only `size=upstream` looks at these options.

    Attributes:
        checkout: folder of the authors' repository; by default where `fetch` says to put it.
        python: interpreter of the environment made for it; by default `env/bin/python` in the checkout.
        checkpoint: weights file; by default where `fetch` puts it.
        gpu: number of the GPU that the child process sees; None lets it see all.
        steps: sampling steps, 1 to 1000; None is the published number.
        guidance: classifier-free guidance scale, at least 1; None is the published one.
        start_timeout_s: seconds for interpreter, imports and weights.
        case_timeout_s: seconds for one call of the sampler.
        any_revision: accept a checkout at a commit that the wrapper was not written against.
    """

    checkout: str | None = None
    python: str | None = None
    checkpoint: str | None = None
    gpu: int | None = None
    steps: int | None = None
    guidance: float | None = None
    start_timeout_s: float = 1800.0
    case_timeout_s: float = 1800.0
    any_revision: bool = False


@dataclass
class MotionCtrlUpstreamOptions(UpstreamOptions):
    """Further options of `model=motionctrl size=upstream`.

    Attributes:
        eta: noise of the DDIM sampler, 0 (deterministic) to 1.
        cond_t: trajectory features act while the step of 1000 is at least this.
    """

    eta: float = 1.0
    cond_t: int = 800


@dataclass
class DragNUWAUpstreamOptions(UpstreamOptions):
    """Further options of `model=dragnuwa size=upstream`.

    Attributes:
        fit: how the first frame is brought to 576x320: `cover` (scaled and cropped, as the demo does), `pad` or
            `stretch`.
        frame_policy: how a length other than 14 is reached: `windows` (one after another, cut to the length) or
            `stretch` (one window over the whole path, frames repeated).
        motion_bucket: amount of motion that Stable Video Diffusion is told, 1 to 255; the demo's is 4.
    """

    fit: str = "cover"
    frame_policy: str = "windows"
    motion_bucket: int = 4
