"""Point trackers: they follow start points through a video and say where they went."""

from toraeval.trackers.shared.base import Tracker, check_queries, follow

__all__ = ["Tracker", "check_queries", "follow"]
