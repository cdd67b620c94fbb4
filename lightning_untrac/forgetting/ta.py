"""TA: the negated task vector of the forget set, ended by how far its texts are memorised."""

from __future__ import annotations

from typing import ClassVar

from lightning_untrac.forgetting.memorised import Stop
from lightning_untrac.forgetting.sga import BATCH_SIZE, RATE, STEPS
from lightning_untrac.forgetting.task_vector import TaskVector


class TA(TaskVector):
    """Task arithmetic as it was published beside SGA: a fixed coefficient, and an end by memorisation accuracy.

    Barbulescu and Triantafillou 2024 (arXiv 2405.03097), by their code: descent on the forget set, a step a pass; after
    each, ``theta_0 - 3 (theta - theta_0)`` is measured, and forgetting ends where its mean memorisation accuracy is
    that of unseen text. Those edited weights are what is saved (their code saves the tuned ones). It is
    :class:`~lightning_untrac.forgetting.task_vector.TaskVector` with other defaults.

    Args:
        coefficient: how far to go; the authors write -3.
        stop: as SGA's.
        level: as SGA's.
    """

    name: ClassVar[str] = "ta"
    batch_size: ClassVar[int | None] = BATCH_SIZE
    steps: ClassVar[int | None] = STEPS
    rate: ClassVar[float] = RATE
    stops: ClassVar[bool] = True

    def __init__(self, coefficient: float = 3.0, stop: Stop = "outliers", level: float | None = None) -> None:
        super().__init__(coefficient, stop=stop, level=level)
