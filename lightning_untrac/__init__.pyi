"""Public names of the package."""

from .callbacks import CollapseGuard as CollapseGuard
from .callbacks import EpisodeProgress as EpisodeProgress
from .callbacks import ExampleRecorder as ExampleRecorder
from .callbacks import InfluenceLogger as InfluenceLogger
from .callbacks import MeasureRecorder as MeasureRecorder
from .callbacks import PreUnlearningWeights as PreUnlearningWeights
from .callbacks import ReadingSchedule as ReadingSchedule
from .callbacks import SavePretrained as SavePretrained
from .data import CorpusDataModule as CorpusDataModule
from .data import DatasetConfig as DatasetConfig
from .data import EpisodePlan as EpisodePlan
from .metrics import Measure as Measure
from .modules import Evaluation as Evaluation
from .modules import LanguageModule as LanguageModule
from .modules import Pretraining as Pretraining
from .modules import Unlearning as Unlearning
from .objectives import GradientAscent as GradientAscent
from .objectives import Objective as Objective

__version__: str
