from toraeval import metrics as metrics
from toraeval.api.evaluation import ClipScores as ClipScores
from toraeval.api.evaluation import evaluate as evaluate
from toraeval.api.torch_metrics import ClipSimMetric as ClipSimMetric
from toraeval.api.torch_metrics import FVDMetric as FVDMetric
from toraeval.api.torch_metrics import LPIPSMetric as LPIPSMetric
from toraeval.api.torch_metrics import TrajErrorMetric as TrajErrorMetric
from toraeval.api.tracking import track as track
from toraeval.store.tables.tidy import load_results as load_results

__version__: str
