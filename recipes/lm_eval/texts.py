"""Built-in texts as lm-eval takes them."""

from __future__ import annotations

from typing import Any

from datasets import Dataset

from lightning_untrac.data.builtin import builtin_examples


def neutral(**_: Any) -> dict[str, Dataset]:
    """The neutral texts, one document each.

    Returns:
        A split ``test`` with a column ``text``.
    """
    return {"test": Dataset.from_list(builtin_examples("neutral"))}
