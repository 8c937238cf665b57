"""Metrics: each compares what was asked with what was seen; one file per subject."""

from toraeval.metrics.shared.base import Metric, SetMetric, adapted
from toraeval.metrics.traj_error import TrajError

__all__ = ["Metric", "SetMetric", "TrajError", "adapted"]
