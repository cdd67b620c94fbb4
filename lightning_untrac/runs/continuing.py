"""Let a model of a run continue prompts, under the Trainer's flags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.utils.data import DataLoader

from lightning_untrac.modules.continuing import Continuing
from lightning_untrac.runs.stage import Stage, run_trainer


def continue_with(
    stage: Stage, prompts: Sequence[Sequence[int]], longest: int, path: str | None = None
) -> list[list[int]]:
    """Greedy continuations by a model.

    Args:
        stage: the verb's, checked.
        prompts: token ids.
        longest: most tokens of a continuation.
        path: of a saved model with the same tokenizer; None for the one that the verb begins from.

    Returns:
        Token ids in the order of the prompts, without the token that ends them, the same on every rank.
    """
    module = stage.parsed.build_module()
    if path is not None:
        module.of_saved(path)
    trainer = stage.build_trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False)
    continuing = Continuing(module, longest)
    loader: DataLoader[Any] = DataLoader([prompts], batch_size=None)  # type: ignore[arg-type]
    run_trainer(lambda: trainer.predict(continuing, loader))
    return continuing.found
