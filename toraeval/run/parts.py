"""The parts of a command: each is built once, and has the base class of its kind whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from toraeval import registry
from toraeval.metrics.shared.base import Metric, SetMetric
from toraeval.models.shared.base import Generator
from toraeval.store.keys import canonical
from toraeval.suites.shared.base import Suite
from toraeval.trackers.shared.base import Tracker
from toraeval.types import Part

BASES: dict[str, type[Part]] = {"model": Generator, "suite": Suite, "tracker": Tracker, "metric": Metric}


@dataclass
class Builder:
    """Builds parts and keeps them, so that what checks them and what runs them share one.

    Attributes:
        made: parts that are kept, by kind and options.
        cases: of suites, as `plan_run` asked for them; not kept longer than a command, since files may change.
    """

    made: dict[tuple[str, str], Any] = field(default_factory=dict)
    cases: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    def build(self, kind: str, options: Mapping[str, Any]) -> Any:
        """Return the part with these options, built once.

        Raises:
            UserError: an unknown name, or options that cannot be.
        """
        key = (kind, canonical(options))
        if key not in self.made:
            part = registry.build(kind, options)
            of_set = kind == "metric" and hasattr(part, "pool")
            self.made[key] = with_base(part, SetMetric if of_set else BASES[kind])
        return self.made[key]

    def take(self, kind: str, options: Mapping[str, Any]) -> Any:
        """Return the same for one owner alone: a generator holds what one length needs, so plans share none.

        Raises:
            UserError: an unknown name, or options that cannot be.
        """
        part = self.build(kind, options)
        del self.made[kind, canonical(options)]
        return part

    def metrics(self, config: Mapping[str, Any]) -> dict[str, Metric]:
        """Return the metrics that a resolved config names."""
        return {name: self.build("metric", options) for name, options in config["metrics"].items()}


def with_base(part: Any, base: type[Part]) -> Any:
    """Return a part that has every member of its base class; one of a class without it gets what it lacks."""
    if not isinstance(part, base):
        own = type(part)
        both = type(own.__name__, (own, base), {"__slots__": (), "__module__": own.__module__})
        object.__setattr__(part, "__class__", both)
    return part
