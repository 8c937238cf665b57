"""Our autoencoders against recordings of Open-Sora v1.2.0: in time, in the picture, and whole clips in chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from benchmarks.parity_data import Recording, Row, relative
from toraeval.models.tora.vae import OpenSoraVAE, OpenSoraVAEConfig
from toraeval.models.tora.vae_spatial import SpatialVAE, SpatialVAEConfig
from toraeval.models.tora.vae_temporal import TemporalVAE, TemporalVAEConfig

TOLERANCE = 1e-5  # in units of the largest recorded value, or of 1
SPATIAL_RELATIVE = 5e-6  # the recording itself moves by 4.1e-6 with the number of frames in a batch


def temporal_autoencoder(recorded: Recording) -> Iterator[Row]:
    """Posterior and decoding of single chunks, and the chunks of whole clips."""
    config = recorded.json("config")
    single = TemporalVAE(TemporalVAEConfig.from_upstream(config["model"])).eval()
    single.load_state_dict(dict(recorded.under("sd/")), strict=True)
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
    whole.temporal_vae.load_state_dict(dict(recorded.under("sd/")), strict=True)
    for case in recorded.groups("/decoded"):
        frames = recorded.shape(f"{case}/x")[2]
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
            expected = recorded[f"{case}/{name}"]
            yield Row(f"{case}/{name}", relative(value, expected, 1.0), TOLERANCE)


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
    model.load_state_dict(dict(recorded.under("sd/")), strict=True)
    x = recorded["x"]
    posterior = model.posterior(x)
    for name, value in (
        ("mean", posterior.mean),
        ("logvar", posterior.logvar),
        ("z", model.encode(x, _given(recorded["noise"]))),
        ("decoded", model.decode(recorded["z"])),
    ):
        yield Row(name, relative(value, recorded[name]), SPATIAL_RELATIVE)
