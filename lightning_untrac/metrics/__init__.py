"""What is measured of a model: one measure a file, thin shells over ``functional/``."""

from lightning_untrac.metrics.dataset_loss import DatasetLoss, DatasetLosses
from lightning_untrac.metrics.measure import MEASURES, ForwardPass, Measure, Measured, find_measures

__all__ = ["MEASURES", "DatasetLoss", "DatasetLosses", "ForwardPass", "Measure", "Measured", "find_measures"]
