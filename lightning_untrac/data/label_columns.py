"""Which columns of a dataset can hold classes."""

from __future__ import annotations

from typing import Any


def label_column_problems(config: Any) -> list[str]:
    """What is wrong with the columns that an entry names for classes.

    Args:
        config: a ``DatasetConfig``.
    """
    found = []
    if (config.tokens is None) != (config.tags is None):
        found.append("give both `tokens` and `tags` (the words of each text, and the class of each), or neither")
    if config.label is not None and config.tokens is not None:
        found.append("give `label` (of a whole text), or `tokens` and `tags` (of its words), not both")
    elsewhere = [name for name in ("prompt", "target", "messages", "alternative") if getattr(config, name) is not None]
    if elsewhere and (config.label is not None or config.tokens is not None):
        found.append(f"{' and '.join(elsewhere)} belong to language models, and `label` to classifiers; leave one out")
    if config.label is not None and config.label == config.text:
        found.append(f"`text` and `label` are both column {config.label!r}; name two columns")
    return found
