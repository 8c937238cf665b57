"""Trajectory files: the native format, readers of published formats, and drawing."""

from toraeval.trajectories.draw import draw_clip, draw_paths
from toraeval.trajectories.native import NativeCase, dump_native, is_native, read_native, write_native
from toraeval.trajectories.readers import FORMATS, combine, load, read_prompts

__all__ = [
    "FORMATS",
    "NativeCase",
    "combine",
    "draw_clip",
    "draw_paths",
    "dump_native",
    "is_native",
    "load",
    "read_native",
    "read_prompts",
    "write_native",
]
