"""Trajectory files: the native format, readers of published formats, and drawing."""

from toraeval.trajectories.draw import draw_clip, draw_paths
from toraeval.trajectories.formats import PATH_SUFFIXES
from toraeval.trajectories.formats.wan_move import case_name, is_companion
from toraeval.trajectories.native import NativeCase, is_native, read_native
from toraeval.trajectories.native_writing import dump_native, write_native
from toraeval.trajectories.readers import FORMATS, combine, load, read_paths, read_prompts
from toraeval.trajectories.reading import ClipFacts, PathReading
from toraeval.trajectories.settling import check_one_canvas

__all__ = [
    "FORMATS",
    "PATH_SUFFIXES",
    "ClipFacts",
    "NativeCase",
    "PathReading",
    "case_name",
    "check_one_canvas",
    "combine",
    "draw_clip",
    "draw_paths",
    "dump_native",
    "is_companion",
    "is_native",
    "load",
    "read_native",
    "read_paths",
    "read_prompts",
    "write_native",
]
