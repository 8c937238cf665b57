"""The embedded size of the `tora` generator: shipped weights, one step, CPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from toraeval.models.shared.nano.generator import NanoGenerator
from toraeval.models.shared.nano.pipeline import ClipRequest, Window
from toraeval.models.shared.network.step_cache import StepCache, joint_facts
from toraeval.models.shared.trajectory import all_tracks, clipped_points
from toraeval.models.tora.checkpoints import nano as checkpoint
from toraeval.models.tora.options import NANO_VERSION, SIZES, ToraOptions
from toraeval.types import Case, UserError

if TYPE_CHECKING:
    from torch import Tensor

    from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
    from toraeval.models.tora.network.model import ToraNetwork

CONDITIONS = ("auto", "first_frame")


class NanoTora(NanoGenerator):
    """Tora nano; it needs a first frame.

    Args:
        config: options; those of the full sizes must not be set.

    Raises:
        UserError: an option that this size does not have.
    """

    name = checkpoint.NAME
    version = NANO_VERSION
    default_steps = SIZES["nano"].steps

    def __init__(self, config: ToraOptions) -> None:
        if config.condition not in CONDITIONS:
            raise UserError(
                f"tora: condition={config.condition}; allowed at size=nano: {', '.join(CONDITIONS)}"
            )
        self.options = config
        self._caches: list[StepCache] = []
        super().__init__(config)

    def shipped(self) -> Path:
        return checkpoint.weights_path()

    def load(self) -> tuple[ToraNetwork, LinearPatchAutoencoder]:
        return checkpoint.load(self.path)

    @staticmethod
    def conditions(
        network: ToraNetwork,
        vae: LinearPatchAutoencoder,
        request: ClipRequest,
        first_1C1hw: Tensor,
        rows: int,
    ) -> dict[str, Any]:
        """Return the caption and the features of Tora's trajectory extractor, see `NanoGenerator.conditions`."""
        from toraeval.models.tora.conditions.nano_motion import path_input

        told: dict[str, Any] = {"text": network.guided_text(request.prompt, rows), "motion": None}
        if network.traj_extractor is not None:
            motion = path_input(network.config, vae, request.tracks_NT2, *request.size, first_1C1hw)
            flow = network.config.motion_in_channels
            told["motion"] = [f.repeat(rows, 1, 1, 1) for f in network.encode_motion(motion[:, :flow])]
            told["copies"] = motion[:, flow:].repeat(rows, 1, 1, 1, 1)
        return told

    def choices(self) -> dict[str, Any]:
        return self.options.caching()

    def sample(self, request: ClipRequest) -> Tensor:
        assert self._loaded is not None
        network, cache = cast("ToraNetwork", self._loaded[0]), self.options.new_cache()
        network.step_cache, self._caches = cache, [] if cache is None else [cache]
        try:
            return super().sample(request)
        finally:
            network.step_cache = None

    def facts(self, case: Case, plan: list[Window]) -> dict[str, Any]:
        return {
            **joint_facts(self._caches),
            **super().facts(case, plan),
            "points_moved_inside": clipped_points(all_tracks(case), case.width, case.height),
        }

    def refuse_last_frame(self, case: Case) -> None:
        if self.options.condition == "auto":
            raise UserError(
                f"case {case.id}: tora size=nano takes no last frame; "
                "ignore it with condition=first_frame, or use size=xl2"
            )
