"""Imported by the fork server of these tests: what the small bench needs is loaded once, and its clocks stand still.

Stored files say how long each step took and how much memory it needed; with these frozen, equal work leaves equal
bytes in every process, also in the workers of a bench, which come from the same server.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from contextlib import suppress

import matplotlib.pyplot as plt
import scipy.stats  # noqa: F401

from toraeval import registry
from toraeval.cli import bench, jobs, overrides, run  # noqa: F401
from toraeval.report import assemble, figures, sheets  # noqa: F401
from toraeval.run import bench as planner  # noqa: F401
from toraeval.store import record

plt.switch_backend("Agg")
for group in ("suite", "model", "tracker", "metric"):
    for name in ("shapes", "static", "ground_truth", "lucas_kanade", "traj_error", "fvd", "psnr"):
        with suppress(Exception):
            registry.load(group, name)

time.perf_counter = lambda: 0.0
record.peak_memory_mb = lambda: 0
record.git_state = lambda folder=None: None  # the tree may change while these tests run
os.fsync = lambda _: None  # type: ignore[assignment]

set_preload = multiprocessing.set_forkserver_preload


def _also_frozen(names: list[str]) -> None:
    set_preload([*names, __name__])


multiprocessing.set_forkserver_preload = _also_frozen
