"""A module that lets a model continue prompts."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from lightning_untrac.modules.continuations import continuations
from lightning_untrac.modules.language import LanguageModule
from lightning_untrac.modules.wrapping import Wrapping


class Continuing(Wrapping):
    """Continues prompts with a model: ``trainer.predict(module, [prompts])``, under any strategy.

    Args:
        module: the model, whose weights may not be loaded yet.
        longest: most tokens of a continuation.

    Attributes:
        found: the continuations of the last batch.
    """

    def __init__(self, module: LanguageModule, longest: int) -> None:
        super().__init__(module)
        self.longest = longest
        self.found: list[list[int]] = []

    @override
    def predict_step(self, batch: Sequence[Sequence[int]], batch_idx: int) -> list[list[int]]:
        self.found = continuations(self.module, batch, self.longest)
        return self.found
