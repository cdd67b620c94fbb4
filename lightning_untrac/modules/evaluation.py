"""Evaluation: the losses of a model, per dataset and per example."""

from __future__ import annotations

from lightning_untrac.modules.language import LanguageModule


class Evaluation(LanguageModule):
    """Measure only; ``trainer.validate(module, datamodule)`` reads every evaluated dataset.

    Args: those of :class:`LanguageModule`.
    """
