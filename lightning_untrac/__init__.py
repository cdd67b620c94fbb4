"""Which training corpora made a language model do this, and can it be taken out again?

The public names are imported on first use, so that ``import lightning_untrac`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_untrac.callbacks import (
        CollapseGuard,
        EpisodeProgress,
        ExampleRecorder,
        InfluenceLogger,
        PreUnlearningWeights,
        ReadingSchedule,
        SavePretrained,
    )
    from lightning_untrac.data import CorpusDataModule, DatasetConfig, EpisodePlan
    from lightning_untrac.modules import Evaluation, LanguageModule, Pretraining, Unlearning
    from lightning_untrac.objectives import GradientAscent, Objective

try:
    __version__ = version("lightning-untrac")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

_HOME_OF = {
    "CollapseGuard": "callbacks",
    "EpisodeProgress": "callbacks",
    "ExampleRecorder": "callbacks",
    "InfluenceLogger": "callbacks",
    "PreUnlearningWeights": "callbacks",
    "ReadingSchedule": "callbacks",
    "SavePretrained": "callbacks",
    "CorpusDataModule": "data",
    "DatasetConfig": "data",
    "EpisodePlan": "data",
    "Evaluation": "modules",
    "LanguageModule": "modules",
    "Pretraining": "modules",
    "Unlearning": "modules",
    "GradientAscent": "objectives",
    "Objective": "objectives",
}

__all__ = [
    "CollapseGuard",
    "CorpusDataModule",
    "DatasetConfig",
    "EpisodePlan",
    "EpisodeProgress",
    "Evaluation",
    "ExampleRecorder",
    "GradientAscent",
    "InfluenceLogger",
    "LanguageModule",
    "Objective",
    "PreUnlearningWeights",
    "Pretraining",
    "ReadingSchedule",
    "SavePretrained",
    "Unlearning",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(f"lightning_untrac.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module 'lightning_untrac' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
