"""`model=motionctrl size=upstream`: the authors' own MotionCtrl (VideoCrafter version) in its own environment.

It makes 16 frames of 256x256 from a caption and a sparse flow; it has no first-frame input. Facts:
TencentARC/MotionCtrl 6242d55, `main/evaluation/motionctrl_inference.py` and `gradio_utils/traj_utils.py` (Apache-2.0).
"""

from __future__ import annotations

from typing import Any

from toraeval.allowed import SHARE, Numbers, check_options
from toraeval.models.shared.flow_colour import Float32Array
from toraeval.models.shared.trajectory import (
    all_tracks,
    blur_flow,
    clipped_points,
    integer_points,
    sparse_flow,
)
from toraeval.types import Case, FloatArray, UserError, Video

from ..process.clip_files import RESIZE, resized
from ..process.runner import ChildGenerator, sampler_seed
from .generator import MotionCtrlOptions

VERSION = "1"
FRAMES = 16
SIDE = 256


class UpstreamMotionCtrl(ChildGenerator):
    """Runs the released MotionCtrl for object motion.

    Args:
        config: places, GPU, time-outs, steps, guidance, eta, cond_t.

    Raises:
        UserError: an option outside its range.
    """

    name = "motionctrl"
    label = "motionctrl (upstream)"
    version = VERSION
    sent = ("steps", "guidance", "eta", "cond_t")
    steps, guidance = 50, 7.5

    def __init__(self, config: MotionCtrlOptions) -> None:
        check_options("model motionctrl size=upstream", config, eta=SHARE, cond_t=Numbers(0, 1000))
        self.use(config, __file__)

    def check(self, frames: int, height: int, width: int) -> None:
        """Refuse every length but 16.

        Raises:
            UserError: another length.
        """
        if frames != FRAMES:
            raise UserError(
                f"{self.runner.what}: frames={frames}; allowed: {FRAMES}. Its temporal attention is built for {FRAMES} "
                "frames, and it takes no first frame, so windows cannot be joined to a longer clip; for other lengths "
                "use size=nano"
            )

    def fingerprint(self) -> dict[str, Any]:
        return {**self.runner.fingerprint(), "version": VERSION, "resize": RESIZE}

    def generate(self, case: Case, seed: int) -> Video:
        """Return 16 frames for the caption and paths of a case; its first frame is not used.

        Raises:
            UserError: another length, or the child failed.
            MissingAsset: code, environment or weights are absent.
        """
        self.check(case.frames, case.height, case.width)
        facts = self.runner.session.start()
        tracks_NT2 = all_tracks(case, (SIDE, SIDE))
        drawn = sampler_seed(case, seed)
        frames = self.runner.make(
            f"case {case.id}",
            {"flow": flow(tracks_NT2)},
            (FRAMES, SIDE, SIDE),
            prompt=case.prompt,
            seed=drawn,
        )
        info = {
            "generated": FRAMES,
            "length_mode": "exact",
            "native_size": [SIDE, SIDE],
            "resize": RESIZE if (case.width, case.height) != (SIDE, SIDE) else None,
            "first_frame": "not used: text-to-video",
            "sampler_seed": drawn,
            "clipped_points": clipped_points(tracks_NT2, SIDE, SIDE),
            "prompt": case.prompt + facts.get("prompt_suffix", ""),
            "upstream": facts,
        }
        return Video.from_thwc(resized(frames, case.width, case.height), case.fps, info)


def flow(tracks_NT2: FloatArray) -> Float32Array:
    """Return the trajectory map that MotionCtrl was trained on.

    Args:
        tracks_NT2: `(x, y)` pixels of its 256x256 canvas at 16 moments.

    Returns:
        float32 (16, 256, 256, 2), `(dx, dy)` at whole source pixels, blurred by a Gaussian whose weights sum to 1.
    """
    points = integer_points(tracks_NT2, SIDE, SIDE)
    return blur_flow(sparse_flow(points, SIDE, SIDE), "mirror", "sum")
