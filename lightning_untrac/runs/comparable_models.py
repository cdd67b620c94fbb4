"""Whether models can be held against each other: whole, of one vocabulary, and with numbers for logits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from lightning_untrac.errors import problems_of
from lightning_untrac.naming import counted
from lightning_untrac.runs.checks import model_problems
from lightning_untrac.runs.compared import Compared
from lightning_untrac.runs.judging import Arrays
from lightning_untrac.runs.memorised_data import LOSS
from lightning_untrac.runs.saved_models import raise_if_damaged
from lightning_untrac.runs.stage import Stage

NOT_FINITE: Final = (
    "{model}: the logits of {texts} are not finite, so that its weights are broken or overflow at this precision; "
    "nothing is said of these texts"
)


def tell_broken(stage: Stage, models: Compared, measured: Mapping[str, Arrays]) -> None:
    """Say which models give logits that are no numbers.

    Args:
        stage: the verb's, started.
        models: that were measured.
        measured: path of a model to what was measured of it.
    """
    for path in models.every:
        losses, weights = (measured[path].get(f"{LOSS}/{part}", {}) for part in ("value", "weight"))
        broken = sum(int((np.isnan(losses[name]) & (weights[name] > 0)).sum()) for name in losses)
        if broken:
            stage.tell("warning", NOT_FINITE.format(model=path, texts=counted(broken, "text")))


def saved_model_problems(stage: Stage, models: Compared) -> list[str]:
    """Whether all models are whole, and predict the same tokens.

    Args:
        stage: the verb's.
        models: that are to be held against each other.
    """
    found: list[str] = []
    first: tuple[str, Any, str] | None = None
    for path in models.every if stage.module.name_or_path else models.every[1:]:  # of no original the stage tells
        if Path(path).is_dir():
            found += problems_of(lambda path=path: raise_if_damaged(Path(path)))  # type: ignore[misc]
        module = stage.parsed.build_module().of_saved(path)
        problems = [f"{path}: {problem}" for problem in model_problems(module)]
        found += problems
        if problems:
            continue
        what = ", ".join(module.task.labels) or f"{module.num_outcomes} tokens"
        vocabulary = module.tokenizer.get_vocab()
        first = first or (what, vocabulary, path)
        if what != first[0]:
            found.append(
                f"models: {path} predicts {what} and {first[2]} {first[0]}; their predictions can't be compared"
            )
        elif vocabulary != first[1]:
            other = next(token for token, index in vocabulary.items() if first[1].get(token) != index)
            found.append(
                f"models: the tokenizers of {path} and {first[2]} number their tokens otherwise (such as {other!r}), "
                "so that the models don't read the same text; give models of one tokenizer"
            )
    return found
