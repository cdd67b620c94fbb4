"""What is to be said of texts that a tokenizer does not know."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

LOOKED_AT: Final = 1000
"""Examples of a dataset, from the first."""

MANY: Final = 0.05
"""Share of unknown tokens from which it is said."""


def unknown_tokens_note(name: str, rows: Any, tokenizer: Any) -> str | None:
    """That many tokens of a dataset are unknown; None where few are, or the tokenizer has no token for them alone.

    Args:
        name: of the dataset.
        rows: its examples, with ``input_ids``.
        tokenizer: that made them.

    Example:
        >>> from types import SimpleNamespace
        >>> words = SimpleNamespace(unk_token_id=1, unk_token="[UNK]", eos_token_id=None, bos_token_id=0)
        >>> print(unknown_tokens_note("mails", [{"input_ids": np.array([0, 1, 1, 5])}], words))
        mails: 50 % of the tokens are unknown to the tokenizer ([UNK]), which tells no such words apart; use another
        >>> unknown_tokens_note("mails", [{"input_ids": np.array([0, 4, 7, 5])}], words)
    """
    unknown = tokenizer.unk_token_id
    if unknown is None or unknown in (tokenizer.eos_token_id, tokenizer.bos_token_id):  # as GPT-2's, which knows all
        return None
    ids = [rows[index]["input_ids"] for index in range(min(len(rows), LOOKED_AT))]
    share = float((np.concatenate(ids) == unknown).mean()) if sum(map(len, ids)) else 0.0
    if share < MANY:
        return None
    return (
        f"{name}: {100 * share:.0f} % of the tokens are unknown to the tokenizer ({tokenizer.unk_token}), which tells "
        "no such words apart; use another"
    )
