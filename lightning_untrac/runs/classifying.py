"""What is chosen and said where a model is a classifier."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from lightning_untrac.errors import ConfigurationError
from lightning_untrac.metrics.measure import CLASS_MEASURES, DEFAULT_MEASURES
from lightning_untrac.modules import LanguageModule
from lightning_untrac.runs.asked import Checked
from lightning_untrac.verb import traits

NEW_HEAD: Final = (
    "the saved model has no head for its classes; a new one is drawn from init_seed {seed} and trained with it"
)

UNTRAINED_HEAD: Final = (
    "the model is untrained: it has no head for its classes, and a new one is drawn from init_seed {seed}; run `untrac "
    "pretrain` on the folder first, or name a classifier (--model.name_or_path)"
)


def choose_measures(options: Any, module: LanguageModule) -> None:
    """What a classifier is measured by, where the user named nothing.

    Args:
        options: of the verb; its ``measures`` are changed.
        module: the model, whose weights are not loaded yet.
    """
    if getattr(options, "measures", None) != DEFAULT_MEASURES or module.problems():
        return
    with suppress(ConfigurationError):  # of a model that isn't there, which is said elsewhere
        if module.task.classifies:
            options.measures = CLASS_MEASURES


def tell_new_head(stage: Checked) -> None:
    """Say that a saved model gets a head that it had not.

    Args:
        stage: the verb's, started.
    """
    if not stage.module.new_head:
        return
    verb, seed = traits(stage.parsed.verb), stage.module.init_seed
    if verb.trains or verb.retrains:
        stage.tell("info", NEW_HEAD.format(seed=seed))
    else:
        stage.tell("warning", UNTRAINED_HEAD.format(seed=seed))
