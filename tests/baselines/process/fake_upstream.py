"""A driver that needs no model: draws white squares along the paths it is given, or misbehaves as it is told."""

import os
import signal
import sys
import time

import numpy as np


def load(settings):
    sys.stderr.write("loading fake weights\n")
    sys.stdout.write("a library that prints to stdout\n")
    how = settings.get("start", "")
    if how == "crash":
        sys.stderr.write("CUDA error: no kernel image\n")
        os._exit(7)
    if how == "missing":
        import a_package_that_nobody_has  # noqa: F401
    if how == "hang":
        time.sleep(60)
    return settings, {
        "checkpoint_sha256": "0" * 64,
        "process": os.getpid(),
        "prompt_suffix": settings.get("suffix", ""),
    }


def make(settings, job):
    os.write(1, b"garbage on the real stdout\n")
    how = settings.get("bad", {}).get(job["id"].partition(" ")[0], "")
    if how == "crash":
        for line in range(30):
            sys.stderr.write(f"Traceback line {line}\n")
        os._exit(9)
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "raise":
        raise RuntimeError("CUDA out of memory")
    if how == "hang":
        time.sleep(60)
    frames, height, width = settings["shape"]
    video = np.zeros((frames, height, width, 3), np.float32)
    video[:] = np.linspace(0, 0.5, frames)[:, None, None, None]
    if how == "short":
        video = video[:-1]
    if how == "nan":
        video[3, 2, 1, 0] = np.nan
    if how == "size":
        video = video[:, :, 1:]
    return None if how == "nothing" else video
