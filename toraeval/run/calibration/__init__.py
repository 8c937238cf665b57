"""How good a tracker is on videos whose tracks are known exactly, and where it stops being good."""

from toraeval.run.calibration.conditions import DAMAGES, CalibrationClip, clips
from toraeval.run.calibration.measure import calibrate
from toraeval.run.calibration.photo_clips import photo_clips
from toraeval.run.calibration.tables import draw, summarise, to_markdown

__all__ = [
    "DAMAGES",
    "CalibrationClip",
    "calibrate",
    "clips",
    "draw",
    "photo_clips",
    "summarise",
    "to_markdown",
]
