"""Stop unlearning where the forget set's loss has reached that of text that was never seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as L
from lightning_untrac.callbacks.stopping_rule import StoppingRule, forget_sets, read_loss
from typing_extensions import override

from lightning_untrac.data.episodes import EpisodePlan
from lightning_untrac.results.style import format_number


class StopAtHoldout(StoppingRule):
    """End an episode once the forget set's loss is at least that of the holdout.

    Both are measured at the same reading of the same model, so that the level moves with the model. The holdouts are
    the forget set's unseen twins (``twins_of``), else those that are nobody's; of several the loss is that over all
    their tokens. It is the right level where chosen examples of a corpus are forgotten and its other texts stay: a
    model that never saw them knows them as it knows other unseen texts of that kind. Where a whole corpus is forgotten,
    the holdout should be text of another source that the model never saw. Unseen text of the forgotten corpus itself
    gets worse along with it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._before = False

    @override
    def reads(self, data: Any, plan: EpisodePlan) -> Sequence[str]:
        forgotten = forget_sets(data, plan)
        return [*forgotten, *dict.fromkeys(unseen for name in forgotten for unseen in data.unseen_names(name))]

    @override
    def problems(self, module: Any, data: Any, plan: EpisodePlan, measures: Sequence[str]) -> list[str]:
        found = super().problems(module, data, plan, measures)
        if without := [name for name in forget_sets(data, plan) if not data.unseen_names(name)]:
            twins = ", or with `twins_of` where all that there is are another's twins" if data.tokenized_holdout else ""
            found.append(
                f"{self}: there is no holdout for {', '.join(without)}; give text that was never trained on "
                f"(data.holdout{twins}), or leave it out"
            )
        return found

    @override
    def begin(self, trainer: L.Trainer, module: Any) -> None:
        self._before = self.met(trainer, module) is not None

    @override
    def met(self, trainer: L.Trainer, module: Any) -> str | None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        forget = data.current_episode.dataset
        own = read_loss(trainer, module, [forget])
        level = read_loss(trainer, module, data.unseen_names(forget))
        own_loss, holdout_loss = (format_number(loss, signed=False) for loss in (own, level))
        self.standing = f"{forget}'s loss {own_loss} has not reached the holdout's {holdout_loss}"
        if not own >= level:  # nor where one is not a number
            return None
        before = ", as before the first step" if self._before else ""
        return f"{forget}'s loss {own_loss} has reached the holdout's {holdout_loss}{before}"

    @override
    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "before": self._before}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._before = state_dict["before"]
