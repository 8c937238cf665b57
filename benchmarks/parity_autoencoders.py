"""Our autoencoders against recordings of Open-Sora v1.2.0: in time, in the picture, and whole clips in chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from benchmarks.parity_data import Recording, Row, tapped
from toraeval.models.tora.autoencoder.spatial import SpatialVAE, SpatialVAEConfig
from toraeval.models.tora.autoencoder.temporal import TemporalVAE, TemporalVAEConfig
from toraeval.models.tora.autoencoder.video import OpenSoraVAE, OpenSoraVAEConfig


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
    for case in recorded.groups("/x"):
        yield from (
            _chunk(recorded, case, single) if f"{case}/mean" in recorded else _clip(recorded, case, whole)
        )


def _chunk(recorded: Recording, case: str, model: TemporalVAE) -> Iterator[Row]:
    x = recorded[f"{case}/x"]
    posterior = model.encode(x)
    yield from recorded.check(f"{case}/mean", posterior.mean)
    yield from recorded.check(f"{case}/logvar", posterior.logvar)
    if f"{case}/noise" in recorded:
        yield from recorded.check(f"{case}/z", lambda: posterior.latents(_given(recorded[f"{case}/noise"])))
    if f"{case}/z" in recorded:
        yield from recorded.check(f"{case}/decoded", lambda: model.decode(recorded[f"{case}/z"], x.shape[2]))
    places = {
        "enc_conv_in": model.encoder.conv_in,
        "enc_down1": model.encoder.conv_blocks[1],
        "enc_down2": model.encoder.conv_blocks[2],
        "enc_out": model.encoder,
        "dec_conv1": model.decoder.conv1,
        "dec_up2_conv": model.decoder.conv_blocks[2],
        "dec_out": model.decoder,
    }
    places = {name: module for name, module in places.items() if f"{case}/mid_{name}" in recorded}

    def run() -> None:
        model.encode(x)
        if any(name.startswith("dec") for name in places):
            model.decode(recorded[f"{case}/z"], x.shape[2])

    if places:
        for name, value in tapped(places, run).items():
            yield from recorded.check(f"{case}/mid_{name}", value)


def _clip(recorded: Recording, case: str, model: OpenSoraVAE) -> Iterator[Row]:
    x = recorded[f"{case}/x"]
    if f"{case}/noise" in recorded:
        yield from recorded.check(f"{case}/z", lambda: model.compress(x, _pieces(recorded[f"{case}/noise"])))
    if f"{case}/z" in recorded:
        yield from recorded.check(
            f"{case}/decoded",
            lambda: torch.cat(list(model.expand_chunks(recorded[f"{case}/z"], x.shape[2])), dim=2),
        )


def _given(noise: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda like: noise


def _pieces(noise: Tensor) -> Callable[[Tensor], Tensor]:
    left = [noise]

    def draw(like: Tensor) -> Tensor:
        piece, left[0] = left[0][:, :, : like.shape[2]], left[0][:, :, like.shape[2] :]
        return piece

    return draw


def spatial_autoencoder(recorded: Recording) -> Iterator[Row]:
    """Posterior, latents and frames."""
    model = SpatialVAE(SpatialVAEConfig.from_upstream(recorded.json("config")["model"])).eval()
    model.load_state_dict(dict(recorded.under("sd/")), strict=True)
    if "x" in recorded:
        yield from recorded.check("mean", lambda: model.posterior(recorded["x"]).mean)
        yield from recorded.check("logvar", lambda: model.posterior(recorded["x"]).logvar)
        if "noise" in recorded:
            yield from recorded.check("z", lambda: model.encode(recorded["x"], _given(recorded["noise"])))
    if "z" in recorded:
        yield from recorded.check("decoded", lambda: model.decode(recorded["z"]))
