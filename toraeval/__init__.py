"""A benchmark for trajectory-controlled video generation."""

from __future__ import annotations

import importlib
from typing import Any

# Imported when first asked for: torch and pandas take seconds, which a program that wants neither need not pay.
# `__init__.pyi` says the same to type checkers and editors.
_WHERE = {
    "ClipScores": "toraeval.api.evaluation:ClipScores",
    "ClipSimMetric": "toraeval.api.torch_metrics:ClipSimMetric",
    "FVDMetric": "toraeval.api.torch_metrics:FVDMetric",
    "LPIPSMetric": "toraeval.api.torch_metrics:LPIPSMetric",
    "TrajErrorMetric": "toraeval.api.torch_metrics:TrajErrorMetric",
    "evaluate": "toraeval.api.evaluation:evaluate",
    "load_results": "toraeval.store.tables.tidy:load_results",
    "metrics": "toraeval.metrics",
    "track": "toraeval.api.tracking:track",
}

__all__ = ["__version__", *_WHERE]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _WHERE[name].partition(":")
    found = importlib.import_module(module)
    return getattr(found, attribute) if attribute else found


def __dir__() -> list[str]:
    return sorted(__all__)
