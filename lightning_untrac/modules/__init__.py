"""LightningModules, one phase a file; subclass them."""

from lightning_untrac.modules.evaluation import Evaluation
from lightning_untrac.modules.language import LanguageModule
from lightning_untrac.modules.pretraining import Pretraining
from lightning_untrac.modules.unlearning import Unlearning

__all__ = ["Evaluation", "LanguageModule", "Pretraining", "Unlearning"]
