"""What the wrappers share: a checked installation, its fingerprint, and jobs in its child process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from toraeval.allowed import NOT_NEGATIVE, POSITIVE, check_options
from toraeval.assets import programs
from toraeval.models.shared.base import GUIDANCE, STEPS, Generator
from toraeval.store.keys import digest, file_sha256
from toraeval.types import ByteArray, Case, MissingAsset, Requirement, UserError, counted

from .clip_files import read_frames
from .session import Child, Session


@dataclass
class UpstreamOptions:
    """What every wrapper takes; only `size=upstream` looks at these options.

    Attributes:
        checkout: folder of the authors' repository; by default where `fetch` says to put it.
        python: interpreter of the environment made for it; by default `env/bin/python` in the checkout.
        checkpoint: weights file, or folder of several; by default where `fetch` puts it.
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
class Runner:
    """A rival's own code as this run uses it.

    Args:
        name: of the model and of its line in `toraeval.assets.programs`.
        options: places, GPU and time-outs.
        driver: file with `load` and `make`, see `serve`.
        settings: further JSON-able settings of `load`.

    Raises:
        UserError: an option outside its range.
    """

    name: str
    options: UpstreamOptions
    driver: Path
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_options(self.what, self.options, steps=STEPS, guidance=GUIDANCE, gpu=NOT_NEGATIVE)
        check_options(self.what, self.options, start_timeout_s=POSITIVE, case_timeout_s=POSITIVE)

    @property
    def what(self) -> str:
        """Name for messages."""
        return f"model {self.name} size=upstream"

    @cached_property
    def installed(self) -> programs.Installed:
        """Where code, interpreter and weights are.

        Raises:
            MissingAsset: one of them is absent.
            UserError: the code is at another commit.
        """
        o = self.options
        return programs.find_program(self.name, o.checkout, o.python, o.checkpoint, o.any_revision)

    @cached_property
    def session(self) -> Session:
        """The child process, not started yet."""
        o, installed = self.options, self.installed
        fixed = {
            "checkout": str(installed.checkout),
            "checkpoint": str(installed.checkpoint),
            "fork": installed.fork,
        }
        return Session(
            Child(
                self.what,
                installed.python,
                self.driver,
                installed.checkout,
                {**fixed, **self.settings},
                _visible_gpu(o.gpu),
                o.start_timeout_s,
                o.case_timeout_s,
                f"what it needs: python -m toraeval fetch model={self.name} size=upstream",
            )
        )

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that changes the pixels: code, weights, environment and settings."""
        installed = self.installed
        packages = programs.get_program(self.name).packages
        return {
            "model": self.name,
            "size": "upstream",
            "fork": installed.fork,
            "revision": installed.revision,
            "weights_sha256": installed.weights_sha256,
            "driver_sha256": file_sha256(self.driver),
            "environment": programs.environment(installed.python, packages),
            **self.settings,
        }

    def requirements(self) -> list[Requirement]:
        """Return what is absent of the code and its environment; the weights stand in the registry."""
        o = self.options
        try:
            programs.find_code(self.name, o.checkout, o.python, o.any_revision)
        except MissingAsset as error:
            what = f"code and environment of {self.name}"
            command = f"python -m toraeval fetch model={self.name} size=upstream"
            return [Requirement(what, f"model {self.name}", False, command, str(error))]
        return []

    def make(
        self, job: str, arrays: Mapping[str, np.ndarray], shape: tuple[int, int, int], **fields: Any
    ) -> ByteArray:
        """Have the child make one clip.

        Args:
            job: case and window, for messages.
            arrays: written as `<name>.npy` into the job's folder.
            shape: `(frames, height, width)` of the answer.
            fields: what else the driver asks for.

        Returns:
            uint8 (T, H, W, 3).

        Raises:
            UserError: the child failed, or its frames are not as asked.
        """
        with tempfile.TemporaryDirectory(prefix="toraeval-upstream-") as place:
            folder = Path(place)
            for name, array in arrays.items():
                np.save(folder / f"{name}.npy", array)
            self.session.ask(job, folder, **fields)
            return read_frames(folder, shape, f"{self.what}, {job}")


class ChildGenerator(Generator):
    """A generator whose work is done by a child process.

    Attributes:
        runner: see `use`.
        sent: names of the options that the driver is given.
        steps, guidance: published ones, for options that do not give them.
    """

    runner: Runner
    sent: tuple[str, ...]
    steps: int
    guidance: float

    def use(self, options: UpstreamOptions, module: str) -> None:
        """Set `runner`.

        Args:
            options: places, GPU, time-outs and what is sent; steps and guidance of None are the published ones.
            module: file of the generator; `driver.py` beside it has `load` and `make`.
        """
        settings = {name: getattr(options, name) for name in self.sent}
        published = {"steps": self.steps, "guidance": self.guidance} if "steps" in settings else {}
        settings |= {name: value for name, value in published.items() if settings[name] is None}
        self.runner = Runner(self.name, options, Path(module).with_name("driver.py"), settings)

    def requirements(self) -> Sequence[Requirement]:
        return self.runner.requirements()

    def prepare(self) -> None:
        self.runner.session.start()


def sampler_seed(case: Case, seed: int, window: int = 0) -> int:
    """Return the seed, below 2**31, of one call of an upstream sampler; it belongs to case, seed and window."""
    return int(digest(case.suite, case.id, case.seed, seed, window)[:8], 16) >> 1


def _visible_gpu(gpu: int | None) -> dict[str, str]:
    # The upstream code says "cuda" throughout, so a GPU is chosen by hiding the others.
    if gpu is None:
        return {}
    shown = [entry for entry in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if entry]
    if not shown:
        return {"CUDA_VISIBLE_DEVICES": str(gpu)}
    if gpu >= len(shown):
        raise UserError(f"gpu={gpu}: CUDA_VISIBLE_DEVICES shows {counted(len(shown), 'GPU')}")
    return {"CUDA_VISIBLE_DEVICES": shown[gpu]}
