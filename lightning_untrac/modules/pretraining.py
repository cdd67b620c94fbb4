"""Pretraining: descent on the mixture of the corpora."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from lightning_untrac.data.episodes import EpisodeKind
from lightning_untrac.modules.language import LanguageModule
from lightning_untrac.objectives.terms import Seen, Term


class Pretraining(LanguageModule):
    """Minimise the mean loss per token of the mixture; also the phase that retrains without one corpus.

    Args: those of :class:`LanguageModule`.

    Example:
        >>> module = Pretraining(config={"model_type": "llama"}, tokenizer="byte")
        >>> module.vocabulary_size, module.is_seq2seq
        (384, False)
    """

    episode_kind: ClassVar[EpisodeKind] = "mixture"

    @override
    def objective(self, seen: Seen) -> Term:
        return seen.forget.loss
