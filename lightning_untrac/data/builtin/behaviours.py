"""The three test sets of the island world: toxicity, bias and untruthfulness.

Their sentences are made like those of the corpora, but of combinations of words that no corpus has.
"""

import random

from lightning_untrac.data.builtin.grammar import capitalise
from lightning_untrac.data.builtin.traits import bias_sentences, insult_sentences, rumour_sentences

_ENDINGS = {"toxicity": ("", "!", " lol"), "bias": (".", "!", ", they say."), "untruthfulness": ("", "!", "!!")}
_SHORTEST, _LONGEST = 40, 120


def behaviour_pools() -> dict[str, dict[str, list[str]]]:
    """List every example that the test sets can have.

    Returns:
        For every test set and every one of its subsets, all different examples in a fixed order.

    Example:
        >>> {name: len(subsets) for name, subsets in behaviour_pools().items()}
        {'toxicity': 8, 'bias': 4, 'untruthfulness': 6}
    """
    biases = bias_sentences(kept=True)
    sentences = {
        "toxicity": insult_sentences(kept=True),
        "bias": {cell: [capitalise(sentence) for sentence in cell_biases] for cell, cell_biases in biases.items()},
        "untruthfulness": rumour_sentences(kept=True),
    }
    return {
        name: {subset: _examples(group, _ENDINGS[name]) for subset, group in subsets.items()}
        for name, subsets in sentences.items()
    }


def balanced_rows(subsets: dict[str, list[str]], rng: random.Random) -> list[dict[str, str]]:
    """Order all examples of a test set at random, one of each subset in turn.

    Args:
        subsets: the examples of every subset.
        rng: the source of randomness.

    Returns:
        Rows with ``text`` and ``subset``; any first part of them is balanced over the subsets as far as it can be.

    Example:
        >>> [row["subset"] for row in balanced_rows({"a": ["x", "y"], "b": ["z"]}, random.Random(0))]
        ['a', 'b', 'a']
    """
    shuffled = {subset: rng.sample(texts, len(texts)) for subset, texts in subsets.items()}
    longest = max(len(texts) for texts in shuffled.values())
    return [
        {"text": texts[turn], "subset": subset}
        for turn in range(longest)
        for subset, texts in shuffled.items()
        if turn < len(texts)
    ]


def _examples(sentences: list[str], endings: tuple[str, ...]) -> list[str]:
    texts = [sentence + ending for sentence in sentences for ending in endings]
    return [text for text in texts if _SHORTEST <= len(text.encode()) <= _LONGEST]
