"""TAU: SGA to a level, then task arithmetic from there."""

from __future__ import annotations

from typing import Any, ClassVar

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback
from typing_extensions import override

from lightning_untrac.data.collator import LanguageBatch
from lightning_untrac.forgetting.memorised import Memorisation, Stop, holdout_problems, level_problems
from lightning_untrac.forgetting.negated_vector import NegatedTaskVector
from lightning_untrac.forgetting.selected_steps import SelectedSteps
from lightning_untrac.forgetting.sga import SGA
from lightning_untrac.forgetting.task_vector import coefficient_problems
from lightning_untrac.naming import counted
from lightning_untrac.objectives import Descent, Objective


class TAU(SGA):
    """Selective ascent until the mean has come down to a level, then the negated task vector of the whole forget set.

    Barbulescu and Triantafillou 2024 (arXiv 2405.03097), by their code. The vector begins at the weights of the switch.
    From there on the steps descend the loss of the whole forget set, the edited weights are measured after each pass,
    and they are what is saved. Ours: the switch is half way from the start's mean to unseen text's, where the authors'
    .50 belongs to GPT-Neo; the optimizer starts fresh at the switch, because its moments point uphill (their code
    keeps them); retain terms end there, since a vector that also learned what is to stay would take that away; of
    LoRA's factors the second alone is tuned from there on, so that the vector is negated exactly.

    Memory: two more copies of what may move, from the switch on; checkpoints have one more.

    Args:
        threshold: as SGA's.
        stop: as SGA's; it ends either part.
        level: as SGA's.
        switch: mean memorisation accuracy at which the second part begins; by default half way to unseen text.
        coefficient: of the vector; the authors write -1.
    """

    name: ClassVar[str] = "tau"
    keeps_weights: ClassVar[bool] = True

    def __init__(
        self,
        threshold: float | None = None,
        stop: Stop = "outliers",
        level: float | None = None,
        switch: float | None = None,
        coefficient: float = 1.0,
    ) -> None:
        super().__init__(threshold, stop, level)
        self.switch, self.coefficient = switch, coefficient
        memorisation = Memorisation(stop, level)
        self._vector = NegatedTaskVector(coefficient, memorisation=memorisation)
        self._vector.began = None
        self._steps: SwitchedSteps = SwitchedSteps(memorisation, threshold, switch, self._vector)

    @override
    def prepare(self, module: Any) -> list[str]:
        by = "half way to unseen text" if self.switch is None else f"at most {self.switch:g}"
        then = f"then, once the mean is {by}, a task vector with coefficient {self.coefficient:g}"
        return [*super().prepare(module), then]

    @override
    def callbacks(self) -> list[Callback]:
        return [self._steps, self._vector]

    @override
    def notes(self) -> list[str]:
        return [said for said in (*super().notes(), self._vector.said()) if said]

    @override
    def problems(self) -> list[str]:
        found = level_problems(None, switch=self.switch)
        return [*super().problems(), *found, *coefficient_problems(self.coefficient)]

    @override
    def holdout_problems(self) -> list[str]:
        return holdout_problems(self.name, threshold=self.threshold, level=self.level, switch=self.switch)


class SwitchedSteps(SelectedSteps):
    """Selected steps that give way to a task vector.

    Args:
        memorisation: measures, and says when it is enough.
        threshold: from which on a text is selected.
        switch: mean memorisation accuracy at which the vector begins; None for half way to unseen text.
        vector: what takes over; to stand after this callback.
    """

    def __init__(
        self, memorisation: Memorisation, threshold: float | None, switch: float | None, vector: NegatedTaskVector
    ) -> None:
        super().__init__(memorisation, threshold)
        self.switch, self.vector = switch, vector
        self._before: Objective | None = None

    @property
    def switched(self) -> bool:
        """Whether the vector has begun."""
        return self.vector.began is not None

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        if self.switched:  # a run that goes on
            self._turn(pl_module)

    @override
    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        super().on_train_epoch_start(trainer, pl_module)
        self.vector.began = None
        if self._before is not None:
            pl_module.unlearning_objective, self._before = self._before, None

    @override
    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: LanguageBatch, batch_idx: int) -> None:
        if not self.switched:
            super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
            return
        for stream in [key for key, value in batch.items() if isinstance(value, dict)]:
            del batch[stream]  # type: ignore[misc]

    @override
    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any,
                           batch_idx: int) -> None:  # fmt: skip
        if not self.switched:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    @override
    def _judge(self, trainer: L.Trainer, module: Any, batch_idx: int) -> None:
        super()._judge(trainer, module, batch_idx)
        if self.reason is None and self.memorisation.mean <= self._level():
            self.vector.standing, self.standing = self.standing, None
            self.vector.begin(module, batch_idx + 1)
            for optimizer in trainer.optimizers:
                optimizer.state.clear()
            self._queue = []
            self._turn(module)

    def _level(self) -> float:
        if self.switch is not None:
            return self.switch
        known = self.memorisation
        assert known.unseen is not None  # `problems` has asked
        return (known.start_mean + known.unseen.mean) / 2

    def _turn(self, module: Any) -> None:
        self._before = module.unlearning_objective
        module.unlearning_objective = Objective(Descent())

    @override
    def said(self) -> str:
        found = super().said()
        if not found or not self.switched:
            return found + ("; the switch to a task vector was not reached" if found and self.reason is None else "")
        return f"{found}; then a task vector from {counted(sum(self.steps.values()), 'step')} on"
