"""Options: those of a verb are declared here, those of a part by its class; YAML files only set values."""

from toraeval.config.declared import REQUIRED, Declared, Option, declaration
from toraeval.config.schemas import (
    GROUPS,
    VERBS,
    choices,
    conf_dir,
    declared_by,
    default_metrics,
    metric_key,
    schema_of,
    uninterpolated,
)
from toraeval.config.training import TRAINING_BUCKETS, FullSizeOptions, TrainConfig
from toraeval.config.verbs import (
    KEEP,
    STAGES,
    AblationsConfig,
    BenchConfig,
    CasesConfig,
    CommonConfig,
    RunConfig,
    ScoreConfig,
)

__all__ = [
    "GROUPS",
    "KEEP",
    "REQUIRED",
    "STAGES",
    "TRAINING_BUCKETS",
    "VERBS",
    "AblationsConfig",
    "BenchConfig",
    "CasesConfig",
    "CommonConfig",
    "Declared",
    "FullSizeOptions",
    "Option",
    "RunConfig",
    "ScoreConfig",
    "TrainConfig",
    "choices",
    "conf_dir",
    "declaration",
    "declared_by",
    "default_metrics",
    "metric_key",
    "schema_of",
    "uninterpolated",
]
