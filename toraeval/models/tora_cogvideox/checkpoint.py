"""Published Tora weights on CogVideoX in their three layouts, loaded strictly.

diffusers: `Le0jc/Tora_T2V_diffusers`, folders `transformer/ vae/ text_encoder/ tokenizer/ scheduler/`; class names in
its files are ignored, because they name a package that nobody has installed. sat: `mp_rank_00_model_states.pt`, one
file per variant. split: a stock CogVideoX `transformer/` beside `fuser/` and `traj_extractor/`, as in
`Kijai/CogVideoX-5b-Tora`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from toraeval.allowed import check_option
from toraeval.models.shared.weight_files import StateReader, fill
from toraeval.models.tora_cogvideox.config import TransformerConfig, published_5b, with_sat_norms
from toraeval.models.tora_cogvideox.sat import SAT_FILE, SatReader
from toraeval.models.tora_cogvideox.transformer import ToraCogVideoXTransformer
from toraeval.types import MissingAsset, UserError

WHAT = "tora_cogvideox"
FETCH = "python -m toraeval fetch model=tora_cogvideox"
FORMATS = ("diffusers", "sat", "split")
SWITCH = ("auto", "on", "off")
CONFIG_FILE = "config.json"
MOTION_PARTS = ("fuser", "traj_extractor")
LAYOUTS = (
    "a diffusers folder with transformer/config.json, a folder with transformer/, fuser/ and traj_extractor/, "
    f"or a sat {SAT_FILE}"
)


@dataclass(frozen=True)
class Checkpoint:
    """Where weights lie and how they are laid out.

    Attributes:
        path: the folder or file that was named.
        format: one of `FORMATS`.
        transformer: the folder or file with the transformer's weights.
    """

    path: Path
    format: str
    transformer: Path

    @property
    def config_file(self) -> Path:
        """Where the configuration lies, if there is one."""
        is_file = self.transformer.is_file()
        return (self.transformer.parent if is_file else self.transformer) / CONFIG_FILE


def find_checkpoint(path: Path | str, format: str = "auto") -> Checkpoint:
    """Recognise the layout of downloaded weights.

    Args:
        path: the downloaded folder, its `transformer/` folder, or a sat file.
        format: the expected layout, or `auto`.

    Raises:
        MissingAsset: nothing is there.
        UserError: an unknown format, or files of no layout or of another one than asked for.
    """
    path = Path(path).expanduser()
    if format not in ("auto", *FORMATS):
        raise UserError(f"{WHAT}: format={format}; allowed: auto, {', '.join(FORMATS)}")
    if not path.exists():
        raise MissingAsset(f"{WHAT}: no weights at {path}; run: {FETCH}")
    found = _recognise(path)
    if found is None:
        raise UserError(f"{WHAT}: {path} is none of: {LAYOUTS}; run: {FETCH}")
    if format not in ("auto", found.format):
        raise UserError(f"{WHAT}: {path} is laid out as format={found.format}, not {format}")
    return found


def _recognise(path: Path) -> Checkpoint | None:
    if path.is_file():
        return Checkpoint(path, "sat", path)
    if (path / SAT_FILE).is_file():
        return Checkpoint(path, "sat", path / SAT_FILE)
    inner = path / "transformer" if (path / "transformer").is_dir() else path
    if not (inner / CONFIG_FILE).is_file():
        return None
    split = any((path / part).is_dir() or (path / f"{part}.safetensors").is_file() for part in MOTION_PARTS)
    return Checkpoint(path, "split" if split else "diffusers", inner)


class SplitReader(StateReader):
    """A stock transformer and the two trajectory parts, as one state dict.

    Args:
        folder: holds `fuser` and `traj_extractor`, each a folder or a safetensors file.
        transformer: folder of the stock transformer.
    """

    def __init__(self, folder: Path, transformer: Path) -> None:
        super().__init__(transformer, WHAT, FETCH)
        self._parts: dict[str, tuple[StateReader, str]] = {}
        for part in MOTION_PARTS:
            file = folder / f"{part}.safetensors"
            reader = StateReader(file if file.is_file() else folder / part, WHAT, FETCH)
            self.files += reader.files
            for name, shape in reader.shapes.items():
                self.shapes[f"{part}.{name}"] = shape
                self._parts[f"{part}.{name}"] = (reader, name)

    def tensor(self, name: str) -> Tensor:
        reader, own = self._parts.get(name, (None, name))
        return super().tensor(name) if reader is None else reader.tensor(own)


def read_config(checkpoint: Checkpoint, variant: str = "t2v") -> TransformerConfig:
    """Return the configuration of weights.

    A sat file has none: it is the published one, unless a config.json lies beside the file, with sat's epsilons.

    Args:
        checkpoint: see `find_checkpoint`.
        variant: `t2v` or `i2v`, which a sat file does not say.

    Raises:
        UserError: an unreadable file, unknown options, or the configuration of the other variant.
    """
    file = checkpoint.config_file
    config = published_5b(variant)
    if file.is_file():
        config = TransformerConfig.from_json(read_json(file), str(file))
    if checkpoint.format == "sat":
        config = with_sat_norms(config)
    if config.takes_first_frame != (variant == "i2v"):
        raise UserError(
            f"{WHAT}: {file} has in_channels={config.in_channels}, which is the other variant; "
            f"choose variant={'i2v' if variant == 't2v' else 't2v'} or other weights"
        )
    return config


def read_json(file: Path) -> Mapping[str, Any]:
    """Return the content of a JSON file that holds named values.

    Raises:
        UserError: it cannot be read or holds something else.
    """
    try:
        return dict(json.loads(file.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{WHAT}: {file} is not a readable JSON object ({error}); run: {FETCH}") from error


def open_weights(checkpoint: Checkpoint, names: Iterable[str]) -> StateReader:
    """Open the weights under the names of a network's state dict; see `load_transformer` for the errors."""
    if checkpoint.format == "sat":
        return SatReader(checkpoint.transformer, names, WHAT, FETCH)
    if checkpoint.format == "split":
        return SplitReader(checkpoint.path, checkpoint.transformer)
    return StateReader(checkpoint.transformer, WHAT, FETCH)


def weight_files(checkpoint: Checkpoint) -> tuple[Path, ...]:
    """Return the files whose bytes decide the transformer, its configuration included."""
    # a sat file is its own; its names need not be translated to know that
    files = (checkpoint.transformer,) if checkpoint.format == "sat" else open_weights(checkpoint, ()).files
    config = checkpoint.config_file
    return (*files, config) if config.is_file() else files


def load_transformer(
    path: Path | str,
    variant: str = "t2v",
    format: str = "auto",
    config: TransformerConfig | None = None,
    learned_positions: str = "auto",
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> ToraCogVideoXTransformer:
    """Load the transformer with its trajectory parts.

    Args:
        path, format: see `find_checkpoint`.
        variant: `t2v` or `i2v`.
        config: shape of the network; read from the folder if not given.
        learned_positions: `on`, `off`, or `auto`: on as the configuration says, off for sat, whose code never adds
            the table that it stores.
        device: where the weights go.
        dtype: type of the weights afterwards.

    Returns:
        The network in eval mode, gradients off.

    Raises:
        MissingAsset: no such file or folder, or shards are absent.
        MissingDependency: diffusers is not installed.
        UserError: damaged or unsafe files, or options, keys or shapes that do not fit.
    """
    check_option(WHAT, "learned_positions", learned_positions, SWITCH)
    checkpoint = find_checkpoint(path, format)
    config = config or read_config(checkpoint, variant)
    with torch.device("meta"):
        model = ToraCogVideoXTransformer(config)
    fill(model, open_weights(checkpoint, model.state_dict()), device, dtype)
    model.restore_positions(device)
    if learned_positions != "auto":
        model.learned_positions = learned_positions == "on"
    elif checkpoint.format == "sat":
        model.learned_positions = False
    return model.eval().requires_grad_(False)
