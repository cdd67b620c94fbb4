"""Attacks that tell a forget set from its unseen twins, of each model beside the retrained ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional.membership_auc import membership_auc
from lightning_untrac.functional.privleak import privleak
from lightning_untrac.functional.rates_at_fpr import least_sequences, rates_at_fpr
from lightning_untrac.functional.resampled import Resampled, mean_of_models
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics import Measure, find_measures
from lightning_untrac.metrics.against.attacks import LossAttack, NeighbourhoodAttack, ScoreAttack
from lightning_untrac.metrics.against.measure import statistic
from lightning_untrac.metrics.canary_audit import canary_note, canary_statistics
from lightning_untrac.metrics.measure import MeasureNeed, Named
from lightning_untrac.metrics.needs import measure_problems
from lightning_untrac.metrics.summary import Statistic
from lightning_untrac.runs.memorised_data import LOSS, Memorised
from lightning_untrac.runs.stage import Stage

FPRS: Final = {"tpr_at_1_percent": 0.01, "tpr_at_0.1_percent": 0.001}
"""Rates of false positives at which members are counted, by the statistic that says it."""

NEIGHBOURHOOD: Final = "neighbourhood"


def attack_problems(attacks: str | Sequence[Named], given: frozenset[MeasureNeed]) -> list[str]:
    """What is wrong with measures by which members are to be told.

    Args:
        attacks: their names, as measures are named.
        given: what a pass gives beside logits and targets.
    """
    problems = measure_problems(attacks, given)
    for measure in [] if problems else find_measures(attacks):
        if measure.direction == "none":
            problems.append(
                f"measures: {measure.name} does not say by itself how well a text is known; give another one"
            )
        if measure.name == NEIGHBOURHOOD:
            problems.append(
                f"measures: {NEIGHBOURHOOD} would give each model neighbours of its own; --neighbours 25 gives all of "
                "them the same ones"
            )
    return [problem.replace("measures:", "attacks:", 1) for problem in problems]


def find_attacks(attacks: str | Sequence[Named]) -> tuple[Measure, ...]:
    """The measures by which members are told beside the loss, which always is one.

    Args:
        attacks: their names, as measures are named.
    """
    return tuple(measure for measure in find_measures(attacks) if measure.name != LOSS)


def check_unseen(stage: Stage, forget: str, twins: Sequence[str]) -> None:
    """Refuse unseen twins whose texts stand in the forget set too; before any model is loaded.

    Args:
        stage: the verb's, with prepared data.
        forget: the forget set.
        twins: names of its unseen twins.

    Raises:
        ConfigurationError: naming each of them.
    """
    tokenized: Any = stage.data.tokenized
    forgotten = {*_texts(tokenized[forget])}
    problems = []
    for name in twins:
        texts = _texts(tokenized[name])
        if both := sum(text in forgotten for text in texts):
            problems.append(
                f"data.holdout: {both} of the {len(texts)} texts of {name} stand in {forget} too, and {name} is to be "
                f"text that was never trained on; take them out, or say whose twins it is (`twins_of`)"
            )
    if problems:
        raise ConfigurationError(problems)


def _texts(dataset: Any) -> list[str]:
    found: list[str] = dataset.content_hashes(np.arange(len(dataset))).to_pylist()
    return found


def attacks_of(read: Memorised, measures: Sequence[Measure]) -> list[LossAttack]:
    """All attacks that are made: by loss, by neighbours where they were read, and by further measures.

    Args:
        read: what was read.
        measures: the further ones.
    """
    return [LossAttack(), *([NeighbourhoodAttack()] if read.scores else []), *map(ScoreAttack, measures)]


def beside_retrained(read: Memorised, attack: LossAttack) -> dict[str, list[Statistic]]:
    """What an attack finds of each model at low rates of false positives, and all beside the retrained models.

    Where the forget set and twins of it are the two sides of a coin flip, also a lower bound on epsilon.

    A retrained model stands beside the other ones. Intervals are of resamples of sequences, twins and retrained models
    that all models share.

    Args:
        read: what was read.
        attack: how members are told.

    Returns:
        Path of a model to statistics; empty where there are no twins.
    """
    retrained = list(read.models.retrained.values())
    scores: dict[str, tuple[Floats, Floats]] = {}
    for name, role, paths in read.judged():
        if role == "seeds":
            continue
        seen = read.sequences(role, paths)
        if not attack.suits(seen):
            return {}
        scores[name] = (attack.sign * attack(seen), attack.sign * attack.unseen(seen))
    return {
        name: [
            *_statistics(scores[name], [scores[path] for path in retrained if path != name], name in retrained),
            *_of_canaries(read, attack, *scores[name]),
        ]
        for name in scores
    }


def _of_canaries(read: Memorised, attack: LossAttack, members: Floats, unseen: Floats) -> list[Statistic]:
    """What a flip proves, where the forget set is the side that entered, and twins of it are the other one."""
    if read.stayed_out is None or not attack.is_of_one_text:
        return []
    return canary_statistics(members, read.of_stayed_out(unseen))


def _statistics(
    mine: tuple[Floats, Floats], others: Sequence[tuple[Floats, Floats]], is_retrained: bool
) -> Iterator[Statistic]:
    """Of one model beside those that never saw the set; without these there is only the model's own."""
    members, unseen = (np.stack(side) for side in zip(mine, *others, strict=True))
    members, unseen = (side[:, ~np.isnan(side).any(axis=0)] for side in (members, unseen))
    own, *truth = membership_auc(members, unseen)
    retrained = mean_of_models(truth) if truth and len(own.drawn) else None
    if retrained is not None:
        yield _row("auc_difference", own.minus(retrained), "")
        if not is_retrained:
            yield _row("privleak", privleak(own, retrained), "%")
    for name, fpr in FPRS.items():
        rate, *truth = rates_at_fpr(members, unseen, fpr)
        if math.isnan(rate.value):
            continue
        yield _row(name, rate, "share of members")
        if truth:
            yield _row(f"{name}_difference", rate.minus(mean_of_models(truth)), "share of members")


def _row(name: str, found: Resampled, unit: str) -> Statistic:
    return statistic(name, *found.mean, unit)


def attack_notes(read: Memorised) -> list[str]:
    """What sizes say of attacks, a sentence each.

    Args:
        read: what was read.
    """
    n, m = len(read.forget.examples), len(read.unseen(read.models.original, LOSS))
    if not m:
        return []
    error = 0.29 * math.sqrt(1 / n + 1 / m)
    said = [
        f"attacks tell {n:,} sequences of {read.forget.name} from {m:,} unseen ones: an AUC near .5 has a standard "
        f"error of about {error:.2g} from so many"
    ]
    if read.stayed_out is not None:
        sides = (n, next(len(twin.examples) for twin in read.twins if twin.name == read.stayed_out))
        said.append(canary_note(read.forget.name, sides))
    few = {fpr: least_sequences(fpr) for fpr in FPRS.values()}
    if missing := [fpr for fpr, least in few.items() if min(n, m) < least]:
        rates = " and ".join(f"{100 * fpr:g} %" for fpr in missing)
        least = " and ".join(str(few[fpr]) for fpr in missing)
        said.append(f"rates of true positives at {rates} false positives take {least} of each and are left out")
    if rough := [fpr for fpr in FPRS.values() if fpr not in missing and m < 10 / fpr]:
        rates = " and ".join(f"{100 * fpr:g} %" for fpr in rough)
        said.append(
            f"at {rates} false positives a rate rests on {', '.join(str(math.floor(fpr * m + 1e-9)) for fpr in rough)} "
            f"of {m:,} unseen sequences, and its interval knows little; 10 or more make it steady"
        )
    return said


Found = Mapping[str, Mapping[str, Sequence[Statistic]]]
"""Name of an attack to path of a model to statistics."""


def beside_all(read: Memorised, measures: Sequence[Measure]) -> Found:
    """What :func:`beside_retrained` says of every attack, by its name.

    Args:
        read: what was read.
        measures: further measures by which members are told.
    """
    return {attack.name: beside_retrained(read, attack) for attack in attacks_of(read, measures)}
