"""torchmetrics shells over ``functional/``."""

from lightning_untrac.metrics.dataset_loss import DatasetLoss, DatasetLosses

__all__ = ["DatasetLoss", "DatasetLosses"]
