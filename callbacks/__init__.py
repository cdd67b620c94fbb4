"""Lightning callbacks, one idea a file. Installed as ``lightning_untrac.callbacks``."""

if __name__ != "lightning_untrac.callbacks":
    # With the source tree as the working directory Python would find this folder under its bare name.
    raise ModuleNotFoundError("import lightning_untrac.callbacks; there is no top-level package named 'callbacks'")

from lightning_untrac.callbacks.collapse_guard import CollapseGuard
from lightning_untrac.callbacks.controlled_influence_logger import ControlledInfluenceLogger
from lightning_untrac.callbacks.duration_estimate import DurationEstimate
from lightning_untrac.callbacks.ends_forgetting import EndsForgetting
from lightning_untrac.callbacks.episode_progress import EpisodeProgress
from lightning_untrac.callbacks.example_recorder import ExampleRecorder
from lightning_untrac.callbacks.healing import Healing
from lightning_untrac.callbacks.influence_logger import InfluenceLogger
from lightning_untrac.callbacks.kl_radius import KLRadius
from lightning_untrac.callbacks.measure_recorder import MeasureRecorder
from lightning_untrac.callbacks.own_rise import OwnRise
from lightning_untrac.callbacks.pre_unlearning_weights import PreUnlearningWeights
from lightning_untrac.callbacks.read_at_strength import ReadAtStrength
from lightning_untrac.callbacks.reading_schedule import ReadingSchedule
from lightning_untrac.callbacks.save_pretrained import SavePretrained
from lightning_untrac.callbacks.stop_at_holdout import StopAtHoldout
from lightning_untrac.callbacks.stop_at_measure import StopAtMeasure
from lightning_untrac.callbacks.stop_at_retained_loss import StopAtRetainedLoss
from lightning_untrac.callbacks.stopping_rule import StoppingRule
from lightning_untrac.callbacks.training_time import TrainingTime
from lightning_untrac.callbacks.until_rise import UntilRise
from lightning_untrac.callbacks.weights_must_move import WeightsMustMove

__all__ = [
    "CollapseGuard",
    "ControlledInfluenceLogger",
    "DurationEstimate",
    "EndsForgetting",
    "EpisodeProgress",
    "ExampleRecorder",
    "Healing",
    "InfluenceLogger",
    "KLRadius",
    "MeasureRecorder",
    "OwnRise",
    "PreUnlearningWeights",
    "ReadAtStrength",
    "ReadingSchedule",
    "SavePretrained",
    "StopAtHoldout",
    "StopAtMeasure",
    "StopAtRetainedLoss",
    "StoppingRule",
    "TrainingTime",
    "UntilRise",
    "WeightsMustMove",
]
