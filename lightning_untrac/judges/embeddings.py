"""Judge by words, and by embeddings of an encoder where words don't decide."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

import torch
from torch import Tensor
from typing_extensions import override

from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional.pooling import mean_states
from lightning_untrac.judges.judge import Judge, Said
from lightning_untrac.judges.lexical import Lexical, Synonyms

AT_ONCE: Final = 64
"""Texts of a batch."""


class Embeddings(Judge):
    """As ``lexical``; else, a stretch of the output as long as the answer lies close to it.

    Texts are embedded by the mean of an encoder's last hidden states over their tokens. Stretches have as many words as
    the answer, or one more. An encoder calls opposites and siblings alike, and hears no denial: choose ``threshold`` on
    cases of your own (``python -m lightning_untrac.judges``).

    Args:
        name_or_path: folder or hub name of any encoder of transformers, such as one of sentence-transformers.
        threshold: least cosine.
        synonyms: see :class:`~lightning_untrac.judges.lexical.Lexical`.

    Raises:
        ConfigurationError: where it first judges, if the encoder can't be loaded.
    """

    name = "embeddings"
    title = "By words or embeddings"

    def __init__(self, name_or_path: str, threshold: float = 0.8, synonyms: Synonyms | str | None = None) -> None:
        self.name_or_path, self.threshold = name_or_path, threshold
        self.lexical = Lexical(synonyms)

    @cached_property
    def _encoder(self) -> tuple[Any, Any]:
        from transformers import AutoModel, AutoTokenizer

        try:
            model = AutoModel.from_pretrained(self.name_or_path, use_safetensors=True)
            return AutoTokenizer.from_pretrained(self.name_or_path), model.eval()
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                [f"judge: embeddings can't load {self.name_or_path!r} ({error}); give a folder with an encoder"]
            ) from error

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors of texts, ``[texts, width]`` float32, whatever the batch.

        Args:
            texts: to embed.
        """
        tokenizer, model = self._encoder
        found = []
        for begin in range(0, len(texts), AT_ONCE):
            batch = tokenizer(list(texts[begin : begin + AT_ONCE]), return_tensors="pt", padding=True, truncation=True)
            with torch.no_grad():
                states = model(**batch).last_hidden_state
            found.append(torch.nn.functional.normalize(mean_states(states, batch["attention_mask"].bool()), dim=1))
        return torch.cat(found)

    @override
    def __call__(self, cases: Sequence[Said]) -> list[bool]:
        given = self.lexical(cases)
        for index, case in enumerate(cases):
            if not given[index] and (stretches := _stretches(case)):
                answer, *others = self.embed([case.answer, *stretches])
                given[index] = bool((torch.stack(others) @ answer).max() >= self.threshold)
        return given


def _stretches(case: Said) -> list[str]:
    words, size = case.output.split(), len(case.answer.split())
    lengths = {min(size, len(words)), min(size + 1, len(words))} - {0}
    return [" ".join(words[begin : begin + n]) for n in sorted(lengths) for begin in range(len(words) - n + 1)]
