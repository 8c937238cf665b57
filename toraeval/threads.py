"""What decides results computes on one thread, so that a number of threads or workers changes no bit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread meanwhile: sums over several threads may differ in the last bit."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Let OpenCV compute on one thread meanwhile: on small pictures its threads cost more than they bring."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
