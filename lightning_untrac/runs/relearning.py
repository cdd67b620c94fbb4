"""What models are fine-tuned on to see what comes back, and how one of them is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from lightning.pytorch.callbacks import Callback

from lightning_untrac.callbacks import EpisodeProgress, WeightsMustMove
from lightning_untrac.callbacks.episode_callbacks import episode_callbacks
from lightning_untrac.data.forget_set import ForgetChoice
from lightning_untrac.errors import raise_if_any
from lightning_untrac.functional.relearning import disjoint_part
from lightning_untrac.modules import LanguageModule, Unlearning
from lightning_untrac.objectives import Objective
from lightning_untrac.objectives.forget.descent import Descent
from lightning_untrac.runs.stage import Stage, finish_loggers, run_trainer

PartBy = Literal["row", "group"]


class Part(NamedTuple):
    """What is fine-tuned on, and what of the forget set is not.

    Attributes:
        trained: name of the dataset.
        rest: name of the rest of the forget set; None where all of it is trained on.
    """

    trained: str
    rest: str | None

    @property
    def names(self) -> list[str]:
        """Names of what is measured of the forget set: first what was not trained on."""
        return [self.trained] if self.rest is None else [self.rest, self.trained]


def take_part(stage: Stage, forget: str, share: float, by: PartBy, seed: int) -> Part:
    """Take a random part of the forget set to fine-tune on; the data are prepared again where there is a rest.

    Args:
        stage: the verb's, checked.
        forget: the forget set.
        share: of its rows or groups.
        by: what stays together: the copies of a row, or all rows of a group.
        seed: of the draw.

    Raises:
        ConfigurationError: if the set can't be divided so.
    """
    if share == 1:
        return Part(forget, None)
    dataset = stage.data.tokenized[forget]
    groups = dataset.marks.groups if by == "group" else [dataset.content_hash(row) for row in range(len(dataset))]
    if groups is None:
        raise_if_any([f"by: {forget} names no `group`; give it one, or divide it by row"])
    rows = disjoint_part(list(groups or ()), share, seed)
    what = f"one {by}" if len(dataset) else "no row"
    raise_if_any(
        [] if rows else [f"share: {forget} has {what}, which can't be divided; give share: 1, or another `by`"]
    )
    of_forget = forget in stage.data.tokenized_forget
    choice = ForgetChoice(forget, tuple(map(str, rows)), f"share ({share:g} by {by})", of_forget)
    stage.data.choose(choice)
    stage.data.prepare(stage.module)
    stage.data.never_shots = (choice.rest,)
    return Part(choice.chosen, choice.rest)


def trained(module: LanguageModule) -> LanguageModule:
    """A module that unlearns, made to fine-tune instead: each step descends on the set, with all weights.

    Adapters are merged first: trained alone they would move more slowly than the control's weights, and look forgotten.

    Args:
        module: whose weights are not loaded yet.
    """
    assert isinstance(module, Unlearning)
    module.unlearning_objective = Objective.of(Descent())
    module.merges_adapters = True
    return module


def relearn(
    stage: Stage, module: LanguageModule, recorder: Callback, readings: int | Sequence[int], logger: Any = False
) -> None:
    """Fine-tune a model, reading it before, along the way and at the end; it is not saved.

    Args:
        stage: whose data have the plan.
        module: of :func:`trained`.
        recorder: keeps what is measured.
        readings: how many, or after which steps.
        logger: loggers of the run; False for none, and none of the user's callbacks.
    """
    trainer = stage.build_trainer(
        callbacks=episode_callbacks([EpisodeProgress("relearn"), WeightsMustMove()], [recorder], readings, None),
        logger=logger,
        max_epochs=1,
        enable_checkpointing=False,
    )
    run_trainer(lambda: trainer.fit(module, datamodule=stage.data))
    finish_loggers(trainer)
