"""Metrics: each compares what was asked with what was seen; one file per subject."""

from toraeval.metrics.shared.base import Metric, SetMetric
from toraeval.metrics.traj_error import TrajError, traj_error

__all__ = ["Metric", "SetMetric", "TrajError", "traj_error"]
