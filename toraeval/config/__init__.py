"""Options of every verb and component as dataclasses in Hydra's ConfigStore; YAML files only set values."""

from toraeval.config.models import (
    GroundTruthConfig,
    PrecomputedConfig,
    StaticConfig,
    ToraCogVideoXConfig,
    ToraConfig,
)
from toraeval.config.parts import (
    CoTracker3Config,
    CoTracker3OfflineConfig,
    CoTracker3OnlineConfig,
    FolderConfig,
    ShapesConfig,
    TrajErrorConfig,
)
from toraeval.config.schemas import (
    GROUPS,
    PLAIN,
    SCHEMAS,
    VERBS,
    choices,
    conf_dir,
    default_metrics,
    register_schemas,
    schema_of,
    uninterpolated,
)
from toraeval.config.training import TRAINING_BUCKETS, FullSizeOptions, TrainConfig
from toraeval.config.verbs import (
    KEEP,
    STAGES,
    AblationsConfig,
    BenchConfig,
    CommonConfig,
    RunConfig,
    ScoreConfig,
)

__all__ = [
    "GROUPS",
    "KEEP",
    "PLAIN",
    "SCHEMAS",
    "STAGES",
    "TRAINING_BUCKETS",
    "VERBS",
    "AblationsConfig",
    "BenchConfig",
    "CoTracker3Config",
    "CoTracker3OfflineConfig",
    "CoTracker3OnlineConfig",
    "CommonConfig",
    "FolderConfig",
    "FullSizeOptions",
    "GroundTruthConfig",
    "PrecomputedConfig",
    "RunConfig",
    "ScoreConfig",
    "ShapesConfig",
    "StaticConfig",
    "ToraCogVideoXConfig",
    "ToraConfig",
    "TrainConfig",
    "TrajErrorConfig",
    "choices",
    "conf_dir",
    "default_metrics",
    "register_schemas",
    "schema_of",
    "uninterpolated",
]
