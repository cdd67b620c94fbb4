"""Rules that end an unlearning early: which are asked for, what is wrong with them, and what they did."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback

from lightning_untrac.callbacks import (
    EndsForgetting,
    Healing,
    StopAtHoldout,
    StopAtMeasure,
    StopAtRetainedLoss,
    StoppingRule,
)
from lightning_untrac.config.trainer_callbacks import effective
from lightning_untrac.data import EpisodePlan
from lightning_untrac.data.config import as_names, unseen_names
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.metrics import find_measures
from lightning_untrac.naming import counted
from lightning_untrac.runs.asked import Checked


def shows_unseen(forget: str, holdouts: Sequence[Any]) -> bool:
    """Whether a holdout shows the level of unseen text for a forget set.

    Args:
        forget: its name.
        holdouts: configurations of all that was never trained on.
    """
    return bool(unseen_names(forget, {str(place): as_names(one.get("twins_of")) for place, one in enumerate(holdouts)}))


def asked_rules(options: Any, forget: str, holdouts: Sequence[Any]) -> tuple[list[StoppingRule], list[str]]:
    """The rules that a verb's own options ask for, and what is wrong with these.

    Args:
        options: of ``unlearn``.
        forget: what is unlearned.
        holdouts: configurations of all that was never trained on.
    """
    rules: list[StoppingRule] = []
    problems = []
    if options.stop_at_holdout or (options.stop_at_holdout is None and shows_unseen(forget, holdouts)):
        rules.append(StopAtHoldout())
    conditions = options.stop_at.split(",") if isinstance(options.stop_at, str) else options.stop_at or []
    for condition in dict.fromkeys(map(str.strip, conditions)):
        try:
            rules.append(StopAtMeasure.of(condition))
        except ValueError as error:
            problems.append(f"stop_at: {error}")
    if options.stop_at_retained_rise is not None:
        try:
            rules.append(StopAtRetainedLoss(options.stop_at_retained_rise, options.stop_patience))
        except ValueError as error:
            problems.append(f"stop_at_retained_rise, stop_patience: {error}")
    return rules, problems


def rule_problems(stage: Checked, rules: Sequence[StoppingRule], plan: EpisodePlan) -> list[str]:
    """What is wrong with a verb's rules, and with those among the Trainer's callbacks.

    Args:
        stage: the verb's, with prepared data.
        rules: the verb's own.
        plan: what it is going to do.
    """
    given = effective(stage.trainer_arguments.get("callbacks"), stage.column)
    every = [*rules, *(one for one in given if isinstance(one, StoppingRule))]
    if not every or not any(stage.data.episode_names(plan)):
        return []
    try:
        measures = [one.name for one in find_measures(getattr(stage.parsed.options, "measures", ()))]
    except ConfigurationError:  # the verb says it
        measures = []
    twice = {one.state_key for one in every if sum(other.state_key == one.state_key for other in every) > 1}
    found = [f"trainer.callbacks: {key} is asked for twice; leave one out" for key in sorted(twice)]
    return found + [problem for one in every for problem in one.problems(stage.module, stage.data, plan, measures)]


@dataclass(frozen=True)
class Ending:
    """How an unlearning came to its end.

    Attributes:
        step: optimizer steps that it took.
        steps: that it would have taken.
        healing: how many of its steps healed; ``steps`` has them too.
        reason: of the rule that ended it; None where none did.
        standing: how far each rule was from being met.
    """

    step: int
    steps: int
    healing: int
    reason: str | None
    standing: Sequence[str]

    def __str__(self) -> str:
        of = f"{self.step - self.healing} of {counted(self.steps - self.healing, 'step')}"
        then = f"; then healed for {counted(self.healing, 'step')}" if self.healing else ""
        if self.reason is not None:
            return f"stopped after {of}: {self.reason}{then}"
        if not self.standing:
            return f"took {of}{then}"
        return f"no stopping rule was met in {of}: {'; '.join(self.standing)}{then} (--steps or --passes give it more)"


def ending(trainer: L.Trainer) -> Ending:
    """How a fit of one episode ended.

    Args:
        trainer: that has made it.
    """
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    rules = [one for one in callbacks if isinstance(one, EndsForgetting)]
    healed = next((one for one in callbacks if isinstance(one, Healing) and one.began is not None), None)
    healing = 0 if healed is None else healed.steps
    steps = math.ceil(int(trainer.num_training_batches) / trainer.accumulate_grad_batches)
    reason = next((rule.reason for rule in rules if rule.reason is not None), None)
    return Ending(
        trainer.global_step, steps, healing, reason, [rule.standing for rule in rules if rule.standing is not None]
    )


def tell_ending(stage: Any, ended: Ending) -> None:
    """Print how it ended, and write it into ``run.json`` (``endings``) and into the notes of the report.

    Args:
        stage: the verb's.
        ended: how.
    """
    plain = {"step": ended.step, "steps": ended.steps, "healing": ended.healing, "reason": ended.reason}
    stage.folder.add_to_run(endings={stage.name: plain})
    if ended.reason is not None or ended.standing or ended.healing:
        stage.tell("info", str(ended))
