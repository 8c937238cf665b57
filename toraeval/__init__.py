"""A benchmark for trajectory-controlled video generation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toraeval.store.tables.tidy import load_results

__all__ = ["__version__", "load_results"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # pandas takes half a second to import, which a program that only wants a submodule need not pay
    if name == "load_results":
        from toraeval.store.tables import tidy

        return tidy.load_results
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
