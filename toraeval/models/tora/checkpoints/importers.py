"""Published checkpoints: the Open-Sora v1.2 transformer and autoencoder, and our own exports, loaded strictly.

Sources: `hpcai-tech/OpenSora-STDiT-v3` and `hpcai-tech/OpenSora-VAE-v1.2`, written by Open-Sora v1.2.0
(`opensora/models/stdit/stdit3.py`, `opensora/models/vae/vae.py`). Keys are those of our modules, so nothing is
renamed. Upstream loads non-strictly and cuts or repeats the null caption where the text length differs; both hide
mistakes, so both are errors here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from toraeval.allowed import check_option
from toraeval.models.shared.network.config import STDiTConfig
from toraeval.models.shared.network.stdit import STDiT3
from toraeval.models.shared.weight_files import StateReader, fill, write_safetensors
from toraeval.models.tora.network.model import ToraNetwork
from toraeval.types import UserError, counted

if TYPE_CHECKING:
    from toraeval.models.tora.autoencoder.video import OpenSoraVAE, OpenSoraVAEConfig

FETCH = "python -m toraeval fetch model=tora size=xl2"
CONFIG_FILE = "config.json"
MOTION_PARTS = ("traj_extractor.", "fuser.", "fuser_spatial.")
MOTION_FIELDS = (
    "fuser", "fuser_place", "motion_channels", "fuser_site", "fuser_groups", "extractor_blocks", "extractor_norm",
    "compression", "motion_unshuffle",
)  # fmt: skip
MOTION = ("stored", "new")
NULL_CAPTION = "y_embedder.y_embedding"


def load_stdit(
    path: Path | str,
    config: STDiTConfig | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    motion: str = "stored",
) -> STDiT3 | ToraNetwork:
    """Load a diffusion transformer.

    Args:
        path: folder (config.json with one or several weight files) or one weight file; safetensors or torch pickle.
        config: shape of the network; a `fuser` other than `none` gives a `Tora`. Read from the folder if not given.
        device: where the weights go.
        dtype: type of the weights afterwards: float32, bfloat16 or float16.
        motion: `stored`, or `new` to start a Tora from weights without trajectory extractor and fusers: these are
            then drawn from torch's random state as for training.

    Returns:
        The network in eval mode, gradients off.

    Raises:
        MissingAsset: no such file or folder, or shards are absent.
        UserError: damaged or unsafe files, or a configuration, keys or shapes that do not fit.
    """
    path = Path(path).expanduser()
    check_option("tora", "motion", motion, MOTION)
    reader = StateReader(path, "tora", FETCH)
    config = _agreed(config, read_config(path) if path.is_dir() else None, path)
    _check_motion(reader, config, motion)
    if motion == "new":
        model: STDiT3 | ToraNetwork = ToraNetwork(config)
    else:
        with torch.device("meta"):
            model = STDiT3(config) if config.fuser == "none" else ToraNetwork(config)
    stored = reader.shapes.get(NULL_CAPTION)
    if stored is not None and len(stored) == 2 and stored[0] != config.model_max_length:
        raise UserError(
            f"tora: {path} was trained with captions of {stored[0]} tokens ({NULL_CAPTION} {list(stored)}), the "
            f"configuration asks for {config.model_max_length}; set model_max_length={stored[0]}"
        )
    fill(model, reader, device, dtype, MOTION_PARTS if motion == "new" else ())
    return model.eval().requires_grad_(False)


def load_vae(
    path: Path | str,
    config: OpenSoraVAEConfig | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> OpenSoraVAE:
    """Load the Open-Sora v1.2 autoencoder: keys `spatial_vae.module.*`, `temporal_vae.*`, `scale` and `shift`.

    Args:
        path: folder or weight file.
        config: shape of the network; by default that of the folder's config.json, else the published one.
        device: where the weights go.
        dtype: type of the weights afterwards.

    Returns:
        The autoencoder in eval mode, gradients off.

    Raises:
        MissingAsset: no such file or folder, or shards are absent.
        UserError: damaged or unsafe files, or keys or shapes that do not fit.
    """
    from toraeval.models.tora.autoencoder.video import OpenSoraVAE, OpenSoraVAEConfig

    reader = StateReader(path, "tora autoencoder", FETCH)
    with torch.device("meta"):
        vae = OpenSoraVAE(config or _vae_config(Path(path).expanduser()) or OpenSoraVAEConfig())
    fill(vae, reader, device, dtype)
    return vae.eval().requires_grad_(False)


def _vae_config(folder: Path) -> OpenSoraVAEConfig | None:
    from toraeval.models.tora.autoencoder.video import OpenSoraVAEConfig

    file = folder / CONFIG_FILE
    if not file.is_file():
        return None
    try:
        return OpenSoraVAEConfig.from_upstream(json.loads(file.read_text()))
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"tora: {file} is not a configuration of the autoencoder: {error}; run: {FETCH}"
        ) from error


def save_stdit(
    folder: Path | str,
    state: Mapping[str, Tensor],
    config: STDiTConfig,
    card: Mapping[str, Any],
    dtype: torch.dtype = torch.bfloat16,
) -> Path:
    """Export a transformer as a folder that `load_stdit` reads, and return the folder.

    Args:
        folder: target; holds config.json and model.safetensors afterwards.
        state: state dict of `STDiT3` or `Tora`, e.g. averaged weights.
        config: its configuration.
        card: what the weights are, JSON-serialisable, stored in the header.
        dtype: type of the stored weights.

    Raises:
        UserError: the disk has no room for it.
    """
    folder = Path(folder).expanduser()
    write_safetensors(folder / "model.safetensors", state, card, dtype)
    (folder / CONFIG_FILE).write_text(json.dumps(asdict(config), indent=1) + "\n")
    return folder


def read_config(folder: Path) -> STDiTConfig | None:
    """Return the configuration in a checkpoint folder, or None where the folder has none.

    Raises:
        UserError: it cannot be read, or holds options of another network.
    """
    file = folder / CONFIG_FILE
    if not file.is_file():
        return None
    try:
        options = dict(json.loads(file.read_text()))
        if options.pop("skip_y_embedder", False):
            raise ValueError("skip_y_embedder=true, a network without caption features, is not supported")
        return STDiTConfig.from_upstream(options)
    except (ValueError, TypeError) as error:
        raise UserError(
            f"tora: {file} is not a configuration of this network: {error}; run: {FETCH}"
        ) from error


def _agreed(given: STDiTConfig | None, stored: STDiTConfig | None, path: Path) -> STDiTConfig:
    """Return the configuration to build; that of the folder only lacks the motion parts of the given one."""
    if given is None:
        if stored is None:
            raise UserError(f"tora: {path} has no {CONFIG_FILE}, so the size must be given, e.g. size=xl2")
        return stored
    if stored is None:
        return given
    if stored.fuser == "none":
        bare = {name: getattr(stored, name) for name in MOTION_FIELDS}
        compared = replace(given, **bare)
    else:
        compared = given
    differing = [
        f"{f.name}={getattr(compared, f.name)} (file: {getattr(stored, f.name)})"
        for f in fields(stored)
        if getattr(compared, f.name) != getattr(stored, f.name)
    ]
    if differing:
        raise UserError(
            f"tora: {path / CONFIG_FILE} and the configuration asked for differ: {', '.join(differing)}"
        )
    return given


def _check_motion(reader: StateReader, config: STDiTConfig, motion: str) -> None:
    """Refuse to overwrite motion weights, and to pass over that there are none."""
    stored = [name for name in reader.shapes if name.startswith(MOTION_PARTS)]
    if motion == "stored":
        if config.fuser != "none" and not stored:
            raise UserError(
                f"tora: {reader.path} holds no trajectory extractor and no fusers; motion=new starts them untrained, "
                "fuser=none goes without"
            )
    elif config.fuser == "none":
        raise UserError("tora: motion=new needs a configuration with a fuser, e.g. fuser=adaptive_norm")
    elif stored:
        raise UserError(
            f"tora: {reader.path} holds {counted(len(stored), 'motion weight')} ({stored[0]}, ...), which motion=new "
            "would "
            "overwrite; leave motion=stored"
        )
