"""Sources, tokenising and packing, sampling, and the DataModule that serves one dataset an episode."""

from lightning_untrac.data.collator import Collator, LanguageBatch
from lightning_untrac.data.config import DatasetConfig
from lightning_untrac.data.datamodule import CorpusDataModule
from lightning_untrac.data.episodes import Episode, EpisodePlan

__all__ = ["Collator", "CorpusDataModule", "DatasetConfig", "Episode", "EpisodePlan", "LanguageBatch"]
