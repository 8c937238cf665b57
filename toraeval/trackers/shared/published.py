"""Trackers with published weights: which file they are in, whether it is the expected one, and reading it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from toraeval import assets
from toraeval.store.keys import current_sha256
from toraeval.trackers.shared.base import Tracker
from toraeval.types import MissingAsset, UserError, one_line


class PublishedWeights(Tracker):
    """A tracker whose weights are a torch file of its authors.

    Attributes:
        checkpoint: path of the published weights; None for the fetched asset of the tracker's name.
        sha256: expected hash of `checkpoint`; None only records the one found.
        weights: `checkpoint`, or `random` for tests of the wiring (tracks are meaningless then).
        asset: name under which the weights are fetched; that of the tracker if empty.
        licence: of the weights.
    """

    checkpoint: str | None
    sha256: str | None
    weights: str
    device: str
    fault: str
    _network: Any = None
    asset = ""
    licence: str

    def prepare(self) -> None:
        """Load the weights; `track` does so by itself.

        Raises:
            MissingAsset: the weights are absent.
            UserError: they have another hash than asked for, or are those of another network.
        """
        if self._network is not None:
            return
        self._weights_hash()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = self._build()
        if self.weights == "checkpoint":
            self._load_weights(lambda stored: self._fill(network, stored), self.fault)
        self._network = network.to(self.device).eval()

    def _info(self) -> dict[str, Any]:
        """Return what is told beside the tracks."""
        return {
            **self.fingerprint(),
            "licence": self.licence,
            "torch": torch.__version__,
            "device": self.device,
        }

    def _build(self) -> torch.nn.Module:
        """Return the network, with random weights if those are asked for."""
        raise NotImplementedError

    def _fill(self, network: Any, stored: Mapping[str, Any]) -> None:
        """Put what the file holds into the network."""
        network.load_state_dict(stored.get("model", stored))

    def _weights_hash(self) -> str:
        if self.weights == "random":
            return "random"
        path = self._weights_path()
        found = current_sha256(path)
        if self.sha256 is not None and found != self.sha256.lower():
            raise UserError(
                f"tracker {self.name}: {path} has SHA-256 {found}, expected {self.sha256}; "
                f"run: {assets.fetch_command(self.asset or self.name)}"
            )
        return found

    def _weights_path(self) -> Path:
        if self.checkpoint is None:
            return assets.path(self.asset or self.name)
        path = Path(self.checkpoint).expanduser().resolve()
        if not path.is_file():
            raise MissingAsset(
                f"tracker {self.name}: checkpoint {path} is absent; pass tracker.checkpoint=FILE "
                f"or run: {assets.fetch_command(self.asset or self.name)}"
            )
        return path

    def _load_weights(self, fill: Callable[[Mapping[str, Any]], object], fault: str) -> None:
        """Give what the file holds to `fill`, whose errors become one message with `fault` in it."""
        path = self._weights_path()
        cure = f"run: {assets.fetch_command(self.asset or self.name)}"
        assets.require_numbers([path], f"tracker {self.name}", cure)
        try:
            fill(torch.load(path, map_location="cpu", weights_only=True))
        except Exception as error:
            raise UserError(f"tracker {self.name}: {path} {fault} ({one_line(error)}); {cure}") from error
