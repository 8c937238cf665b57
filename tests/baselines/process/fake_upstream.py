"""A driver that needs no model: draws a white square along the path it is given, or misbehaves as it is told."""

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
        "process": os.getpid(),
        "prompt_suffix": settings.get("suffix", ""),
    }


def make(settings, job):
    os.write(1, b"garbage on the real stdout\n")
    how = settings.get("bad", {}).get(job["id"].removeprefix("case "), "")
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
    video = drawn(job["folder"]) if "shape" not in settings else shaded(settings["shape"])
    if how == "short":
        video = video[:-1]
    if how == "nan":
        video[3, 2, 1, 0] = np.nan
    if how == "size":
        video = video[:, :, 1:]
    return None if how == "nothing" else video


def shaded(shape):
    """Frames that get brighter, of a given shape."""
    video = np.zeros((*shape, 3), np.float32)
    video[:] = np.linspace(0, 0.5, shape[0])[:, None, None, None]
    return video


def drawn(folder):
    """A white square where the flow of the next frame is strongest, which is where the object is."""
    flow = np.load(os.path.join(folder, "flow.npy"))
    frames, height, width = flow.shape[:3]
    video = np.zeros((frames, height, width, 3), np.float32)
    for t in range(frames):
        strength = np.abs(flow[min(t + 1, frames - 1)]).sum(-1)
        y, x = np.unravel_index(strength.argmax(), strength.shape)
        video[t, max(y - 16, 0) : y + 17, max(x - 16, 0) : x + 17] = 1
    return video
