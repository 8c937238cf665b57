"""What a run leaves behind: written by the pipeline, read by reports and by whoever asks `load_results`."""

from toraeval.store.tables.rows import read_rows, write_definitions, write_tables
from toraeval.store.tables.run import (
    CASES,
    DEFINITIONS,
    RECORD,
    SKIPS,
    TIMINGS,
    WORDS,
    CaseResult,
    RunResult,
    load_run,
    table_hashes,
)
from toraeval.store.tables.tidy import Results, load_results

__all__ = [
    "CASES",
    "DEFINITIONS",
    "RECORD",
    "SKIPS",
    "TIMINGS",
    "WORDS",
    "CaseResult",
    "Results",
    "RunResult",
    "load_results",
    "load_run",
    "read_rows",
    "table_hashes",
    "write_definitions",
    "write_tables",
]
