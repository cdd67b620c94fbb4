"""The texts that the targets of a batch say."""

from __future__ import annotations

from typing import Any

from lightning_untrac.errors import ConfigurationError
from lightning_untrac.outputs import Outputs


def target_texts(module: Any, seen: Outputs) -> list[str]:
    """What the target tokens of each example say, without special tokens.

    Args:
        module: a ``LanguageModule`` with its tokenizer.
        seen: of a batch.

    Returns:
        ``[batch]``; empty where there is no target.

    Raises:
        ConfigurationError: if the model is a classifier, whose targets are no text.
    """
    if module.task.classifies:
        names = ", ".join(measure.name for measure in module.measures if "texts" in measure.needs)
        raise ConfigurationError(
            [f"measures: {names} reads the text of the targets, and this is a classifier; leave it out"]
        )
    special, texts = {*module.tokenizer.all_special_ids}, []
    for row, places in zip(seen.targets.cpu(), seen.places.cpu(), strict=True):
        ids = [token for token in row[places].tolist() if token not in special]
        texts.append(module.tokenizer.decode(ids, clean_up_tokenization_spaces=False))
    return texts
