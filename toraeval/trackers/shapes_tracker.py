"""`shapes_tracker`: a small learned tracker, trained on the procedural world and damaged copies of it.

The network (see `correlation_net`) looks at the whole clip at 128 x 128: it finds the point's look
again anywhere in a frame, so that it survives occlusion, noise and objects that lose their colours.
Where it sees the point, its estimate is the start of a sub-pixel alignment with the patch of frame 0.

torch is imported where it is used: the options of every registered tracker are read when a command starts.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from toraeval import geometry
from toraeval.assets import remembered_sha256, require_numbers
from toraeval.machine import one_thread
from toraeval.trackers.shared.alignment import refine, search
from toraeval.trackers.shared.base import Tracker, check_queries
from toraeval.trackers.shared.frame_view import FrameView
from toraeval.trackers.shared.template import Support, Template, build_template
from toraeval.types import BoolArray, ByteArray, FloatArray, MissingAsset, Tracks, UserError, Video, one_line

if TYPE_CHECKING:
    from torch import Tensor

    from toraeval.trackers.shared.correlation_net import CorrelationTracker

WEIGHTS = Path(__file__).with_name("weights") / "shapes_tracker.safetensors"
TRAIN_COMMAND = "python -m toraeval train model=shapes_tracker minutes=15"


def to_input(frames: Tensor) -> Tensor:
    """Return uint8 pictures (..., H, W, 3) as the network's float32 input (..., 3, H, W) in [-1, 1]."""
    return frames.movedim(-1, -3).float() / 127.5 - 1.0


def load_network(path: Path) -> CorrelationTracker:
    """Return the network of a weights file, in evaluation mode.

    Raises:
        MissingAsset: the file is absent.
        UserError: it is damaged, or holds another network.
    """
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    from toraeval.trackers.shared.correlation_net import CorrelationTracker, NetConfig

    again = f"train it again: {TRAIN_COMMAND}"
    if not path.is_file():
        raise MissingAsset(f"shapes_tracker: no weights at {path}; train them: {TRAIN_COMMAND}")
    require_numbers([path], "shapes_tracker", again)
    try:
        with safe_open(str(path), framework="pt") as handle:
            card = json.loads(handle.metadata()["card"])
        network = CorrelationTracker(NetConfig(**card["architecture"]))
        network.load_state_dict({name: value.float() for name, value in load_file(str(path)).items()})
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"shapes_tracker: {path} holds no weights of this tracker ({error}); {again}"
        ) from error
    except RuntimeError as error:  # torch's word for names or shapes that do not fit
        raise UserError(
            f"shapes_tracker: {path} does not fit the network: {one_line(error)}; {again}"
        ) from error
    return network.eval().requires_grad_(False)


@dataclass(frozen=True)
class ShapesTracker(Tracker):
    """Learned correlation tracker with sub-pixel alignment; CPU, embedded weights.

    Frame 0 holds the query itself. Points are followed independently of each other.

    Attributes:
        weights: path of other weights; the shipped ones if not given.
        align: refine what the network sees to sub-pixel precision.
        align_side: the shorter side of the picture that is aligned, pixels (reduced by a whole factor).
        patch_radius: half side of the patch, as a share of the shorter side.
        colour_sigma: 8-bit Lab difference at which a pixel counts a quarter.
        iterations: steps of the alignment.
        reach: farthest move from the network's estimate, as a share of the shorter side.
        min_correlation: weaker alignments are dropped and the network's estimate stands.
    """

    name = "shapes_tracker"
    version = "1"

    weights: str | None = None
    align: bool = True
    align_side: int = 256
    patch_radius: float = 0.055
    colour_sigma: float = 24.0
    iterations: int = 10
    reach: float = 0.02
    min_correlation: float = 0.5

    @property
    def path(self) -> Path:
        """Where the weights lie."""
        return Path(self.weights).expanduser() if self.weights else WEIGHTS

    @cached_property
    def network(self) -> CorrelationTracker:
        """The network, loaded once."""
        return load_network(self.path)

    def fingerprint(self) -> dict[str, Any]:
        """Return name, version, hash of the weights and every option.

        Raises:
            MissingAsset: the weights are absent.
        """
        if not self.path.is_file():
            raise MissingAsset(f"shapes_tracker: no weights at {self.path}; train them: {TRAIN_COMMAND}")
        options = {key: value for key, value in asdict(self).items() if key != "weights"}
        return {
            "name": self.name,
            "version": self.version,
            "weights_sha256": remembered_sha256(self.path),
            **options,
        }

    def track(self, video: Video, queries_N2: npt.ArrayLike) -> Tracks:
        """Follow points through a clip.

        Args:
            video: uint8 RGB frames.
            queries_N2: `(x, y)` pixels of frame 0.

        Returns:
            Tracks with confidence in [0, 1]: the network's belief that the point is seen.

        Raises:
            UserError: a query is not a finite point inside the frame, or the weights are damaged.
            MissingAsset: the weights are absent.
        """
        import torch

        queries = check_queries(video, queries_N2)
        points, belief = self._estimate(video, queries)
        seen = belief > 0.5
        aligned = np.zeros(seen.shape, bool)
        if self.align:
            aligned = self._align(video, queries, points, seen)
        points[:, 0], seen[:, 0], belief[:, 0] = queries, True, 1.0
        low, high = np.array([-0.5, -0.5]), np.array([video.width, video.height]) - 0.5
        info = {**self.fingerprint(), "torch": torch.__version__, "aligned": float(aligned[:, 1:].mean())}
        return Tracks(np.clip(points, low, high), seen, belief, info)

    def _estimate(self, video: Video, queries: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the network's points (N, T, 2) in pixels of the video and its belief (N, T)."""
        import torch

        side = self.network.config.raster
        small = np.stack([cv2.resize(f, (side, side), interpolation=cv2.INTER_AREA) for f in video.thwc])
        size = (video.width, video.height)
        start = torch.from_numpy(geometry.scale_points(queries, size, (side, side))).float()
        with one_thread(), torch.inference_mode():
            last = self.network(to_input(torch.from_numpy(small))[None], start[None]).estimates[-1]
        points = geometry.scale_points(last.points[0].numpy(), (side, side), size)
        return points, torch.sigmoid(last.seen[0]).double().numpy()

    def _align(self, video: Video, queries: FloatArray, points: FloatArray, seen: BoolArray) -> BoolArray:
        """Move points in place to where the patch of frame 0 fits best; return which were moved."""
        factor = max(1, round(min(video.width, video.height) / self.align_side))
        first = self._view(video.thwc[0], factor)
        size, small = (video.width, video.height), (first.width, first.height)
        starts = geometry.scale_points(queries, size, small)
        places = geometry.scale_points(points, size, small)
        templates = [self._template(first, start) for start in starts]
        reach = max(2, round(self.reach * min(small)))
        moved = np.zeros(seen.shape, bool)
        for t in range(1, video.num_frames):
            if not seen[:, t].any():
                continue
            lab = self._view(video.thwc[t], factor).lab_parts(1)
            for n in np.flatnonzero(seen[:, t]):
                start = places[n, t] - starts[n]
                peaks = search(lab, templates[n], start, reach, peaks=1, floor=self.min_correlation)
                if not peaks:
                    continue
                fit = refine(
                    lab,
                    templates[n],
                    peaks[0][0],
                    sigma=self.colour_sigma,
                    iterations=self.iterations,
                    max_move=1.5,
                )
                if fit.correlation >= self.min_correlation:
                    places[n, t], moved[n, t] = starts[n] + fit.shift, True
        points[moved] = geometry.scale_points(places, small, size)[moved]
        return moved

    def _view(self, frame: ByteArray, factor: int) -> FrameView:
        size = (max(1, round(frame.shape[1] / factor)), max(1, round(frame.shape[0] / factor)))
        return FrameView(np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8))

    def _template(self, view: FrameView, place: FloatArray) -> Template:
        radius = max(3, round(self.patch_radius * min(view.width, view.height)))
        x, y = (int(v) for v in np.clip(np.rint(place), 0, (view.width - 1, view.height - 1)))
        mask = np.zeros((view.height, view.width), bool)
        mask[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1] = True
        return build_template(view, Support(mask, "patch"), scale=1, rim=0, num_points=1)
