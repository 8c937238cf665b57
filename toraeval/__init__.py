"""A benchmark for trajectory-controlled video generation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toraeval.results import load_results

__all__ = ["load_results"]


def __getattr__(name: str) -> Any:
    # pandas takes half a second to import, which a program that only wants a submodule need not pay
    if name in __all__:
        from toraeval import results

        return getattr(results, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
