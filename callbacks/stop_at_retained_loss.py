"""Stop unlearning where what is to stay has become worse for too long."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as L
from lightning_untrac.callbacks.stopping_rule import StoppingRule, forget_sets, read_loss
from typing_extensions import override

from lightning_untrac.data.episodes import EpisodePlan
from lightning_untrac.naming import counted
from lightning_untrac.results.style import format_number


class StopAtRetainedLoss(StoppingRule):
    """End an episode once the retained loss has been above its start by more than ``rise`` at some readings in a row.

    The retained loss is that over all tokens of the corpora that are not forgotten.

    Args:
        rise: nats per token.
        patience: so many readings in a row.

    Raises:
        ValueError: for a rise below 0, or a patience below 1.
    """

    def __init__(self, rise: float, patience: int = 3) -> None:
        super().__init__()
        if not 0 <= rise < math.inf or patience < 1:
            raise ValueError(
                f"StopAtRetainedLoss(rise={rise}, patience={patience}): give nats per token that are not below 0, e.g. "
                "0.1, and at least 1 reading"
            )
        self.rise, self.patience = rise, patience
        self._start: dict[str, float] = {}
        self._above = 0

    @override
    def forget(self) -> None:
        self._above = 0

    @override
    def reads(self, data: Any, plan: EpisodePlan) -> Sequence[str]:
        kept = {name for one in forget_sets(data, plan) for name in plan.retained(one, data.corpus_names)}
        return sorted(kept)

    @override
    def problems(self, module: Any, data: Any, plan: EpisodePlan, measures: Sequence[str]) -> list[str]:
        found = super().problems(module, data, plan, measures)
        if not self.reads(data, plan) and not found:
            found.append(f"{self}: there is no corpus that stays; name at least one more, or leave it out")
        return found

    @override
    def begin(self, trainer: L.Trainer, module: Any) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        for name in forget_sets(data, data.active_plan):
            self._start[name] = self._retained(trainer, module, name)

    @override
    def met(self, trainer: L.Trainer, module: Any) -> str | None:
        forget = trainer.datamodule.current_episode.dataset  # type: ignore[attr-defined]
        start, loss = self._start[forget], self._retained(trainer, module, forget)
        self._above = self._above + 1 if loss > start + self.rise else 0
        more = f"more than {self.rise:g} above its start of {format_number(start, signed=False)}"
        now, readings = format_number(loss, signed=False), counted(self._above, "reading")
        says = f"the retained loss ({now} now) has been {more} at {readings} in a row"
        self.standing = says if self._above else f"the retained loss {now} is not {more}"
        return says if self._above >= self.patience else None

    def _retained(self, trainer: L.Trainer, module: Any, forget: str) -> float:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        return read_loss(trainer, module, data.active_plan.retained(forget, data.corpus_names))

    @override
    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "start": self._start, "above": self._above}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._start, self._above = dict(state_dict["start"]), int(state_dict["above"])
