"""Tables, figures and pages, redrawn from finished run folders without computing anything again."""

from toraeval.report.assemble import build

__all__ = ["build"]
