"""What is measured of a model: one measure a file, thin shells over ``functional/``."""

from lightning_untrac.metrics.dataset_loss import DatasetLoss, DatasetLosses
from lightning_untrac.metrics.measure import MEASURES, Measure, Measured, find_measures
from lightning_untrac.outputs import Outputs

ForwardPass = Outputs  # its earlier name

__all__ = ["MEASURES", "DatasetLoss", "DatasetLosses", "ForwardPass", "Measure", "Measured", "Outputs", "find_measures"]
