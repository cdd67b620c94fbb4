"""What 95 % intervals allow to state of an unlearned model, with the numbers behind each statement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from lightning_untrac.naming import counted
from lightning_untrac.results import evidence
from lightning_untrac.results.case import Case, Statement
from lightning_untrac.results.evidence import Attacked, Differences, Told
from lightning_untrac.results.judged import in_a_sentence, nearer
from lightning_untrac.results.measures import measure_text
from lightning_untrac.results.memorised import COUNTS, shown_value, survivors_anchor
from lightning_untrac.results.style import format_number, unit_title
from lightning_untrac.tables.distances import RETAINED

HALF_WAY: Final = 0.5
"""An excess that may be as large as that, half of the original's distance, is not known to be small."""

NAMED: Final = 3
"""Numbers that a sentence names at most."""

TOLD: Final = "is told from unseen text"
STANDS_OUT: Final = "stands out as known worse than unseen text, which gives away that it was there"


def statements(case: Case) -> list[Statement]:
    """Everything that can be stated, at least one.

    Args:
        case: the model.
    """
    if not case.is_finite:
        return [Statement("its logits are not finite", "Nothing that was measured says what it knows.")]
    better, worse = known_better(case), known_worse(case)
    left = survivors(case)
    about = [one for one in (better, left, worse and _beside(worse, better or left)) if one is not None]
    if case.judged.retrained == 0:
        about += [*changed(case), untold(case, [])]
        return about
    if not case.knows_noise:
        return [*about, *_beside_one(case, silent=not about)]
    if not about:
        about = [one for one in (unlike(case),) if one is not None]
    doubts = [] if about else doubts_of(case)
    cost = costs(case) or differs_elsewhere(case)
    if not about and not doubts:
        about = [looks_retrained(case, wholly=cost is None)]
    found = [*about, *([cost] if cost is not None else [])]
    return [*found, untold(case, doubts)] if doubts else found


def _beside_one(case: Case, *, silent: bool) -> list[Statement]:
    """What stands beside one retrained model: intervals know examples, and not how far another one would be."""
    differs = differs_from_one(case)
    found = [differs] if differs is not None else []
    alike = silent and differs is None and not doubts_of(case)
    if alike and nearer(case.judged, case.model) == "yes":
        found = [looks_retrained(case, wholly=False)]
    return [*found, untold(case, [])]


def differs_from_one(case: Case) -> Statement | None:
    """Whether anything differs from the only retrained model, which is no proof."""
    said = []
    for dataset, where in ((case.forget, case.forget), (RETAINED, "what is retained")):
        told = case.differences(dataset)
        attacks = case.attacked if dataset == case.forget else []
        if case.is_enough(dataset, [*told.told, *attacks]):
            said += [_by_measures(case, told, knows, where) for knows in (1, -1, 0)]
            said += [_by_attacks(case, [one for one in attacks if one.knows == knows], words)
                     for knows, words in ((1, TOLD), (-1, STANDS_OUT))]  # fmt: skip
    if not said:
        return None
    words = "differs from the one retrained model (another retraining may differ as much)"
    return Statement(words, " ".join(filter(None, said)))


def _beside(worse: Statement, contrary: Statement | None) -> Statement:
    """Only what isn't known in another way is forgotten."""
    return worse if contrary is None else worse._replace(words=worse.words.removeprefix("forgotten, and "))


def known_better(case: Case) -> Statement | None:
    """Whether the forget set is known measurably better than by retrained models, or than unseen text."""
    told, attacks = case.apart(1)
    if not told and not attacks:
        return None
    said = _by_measures(case, case.differences(case.forget), 1, case.forget) if told else ""
    reason = f"{said} {_by_attacks(case, attacks, TOLD)}".strip()
    if not case.judged.retrained:
        return Statement("known better than unseen text", reason)
    if case.apart(-1)[0]:
        return Statement("known better in one way and worse in another", reason)
    is_far = not case.judged.measures or nearer(case.judged, case.model) == "no"
    return Statement("not forgotten" if is_far else "not wholly forgotten", reason)


def survivors(case: Case) -> Statement | None:
    """Whether more single sequences survive than of the retrained models; where that may be chance it is said."""
    found = case.outside(COUNTS[0])
    if found is None or not found.is_more:
        return None
    assert case.memorised is not None
    of = case.memorised.sequences
    words = f"survivors: {shown_value(COUNTS[0], found.number)} of {of}"
    anchor = survivors_anchor(case.forget, case.model.name)
    if found.is_told:
        return Statement(words, "", anchor)
    by_chance = format_number(found.chance, signed=False)
    return Statement(
        f"{words}, perhaps by chance", f"About {by_chance} of {of} unseen sequences would survive by chance.", anchor
    )


def known_worse(case: Case) -> Statement | None:
    """Whether the forget set is known measurably worse than by retrained models, or than unseen text."""
    told, attacks = case.apart(-1)
    count = case.outside(COUNTS[1])
    if told or attacks:
        said = _by_measures(case, case.differences(case.forget), -1, case.forget) if told else ""
        reason = f"{said} {_by_attacks(case, attacks, STANDS_OUT)}".strip()
        words = "forgotten, and over-forgotten" if case.judged.retrained else "known worse than unseen text"
        return Statement(words, reason)
    if count is not None and count.is_told and case.memorised is not None:
        return Statement(f"over-forgotten: {shown_value(COUNTS[1], count.number)} of {case.memorised.sequences}")
    return None


def unlike(case: Case) -> Statement | None:
    """Whether the forget set is known otherwise than by retrained models, where nothing says better or worse."""
    told, beyond = case.differences(case.forget), case.excess(case.forget).beyond(0)
    apart = evidence.distributions(case.judged, case.model, case.forget)
    apart = apart if case.is_enough(case.forget, apart) else []
    differ = case.is_enough(case.forget, [*told.told, *case.attacked])
    if not differ and not beyond and not apart:
        return None
    said = [*filter(None, (_by_measures(case, told, knows, case.forget) for knows in (1, -1, 0)))] if differ else []
    if beyond:
        said.append(f"It is farther from them on {case.forget} than they from each other ({_titles(beyond)}).")
    if apart:
        values = ", ".join(f"{in_a_sentence(one.measure)} {format_number(one.value.value, signed=False)}"
                           for one in apart)  # fmt: skip
        said.append(f"Examples of {case.forget} are of another distribution (p-values: {values}).")
    return Statement("unlike a retrained model", " ".join(said))


def doubts_of(case: Case) -> list[str]:
    """Why it can't be said that the forget set looks as to retrained models, where nothing speaks against it."""
    excess, told = case.excess(case.forget), case.differences(case.forget)
    found = []
    apart = evidence.distributions(case.judged, case.model, case.forget)
    told_apart: list[Told | Attacked] = [*told.told, *case.attacked, *apart]
    some = list(dict.fromkeys(in_a_sentence(one.measure) for one in told_apart))
    if some:
        named = ", ".join(some[:NAMED]) + (f" and {len(some) - NAMED} more" if len(some) > NAMED else "")
        looked_at = counted(case.looked_at(case.forget), "measure")
        found.append(f"on {case.forget} it differs by too few of {looked_at} ({named}), which may be by chance")
    if case.judged.retrained == 1:  # which has no excess
        return [*found, "there are too few examples for an interval"] if told.unknown or not told.measured else found
    if excess.unknown or told.unknown:
        found.append("there are too few examples for an interval")
    if not excess.values and not excess.unknown:
        found.append("no distance to the retrained models was measured")
    if wide := excess.reaches(HALF_WAY):
        ends = ", ".join(f"{in_a_sentence(one)} up to {format_number(value.high)}" for one, value in wide.items())
        found.append(
            f"the excess on {case.forget} may be half of the original's distance or more ({ends}); more examples or "
            "retrained models narrow its interval"
        )
    return found


def looks_retrained(case: Case, *, wholly: bool) -> Statement:
    """That nothing tells the model from a retrained one.

    Args:
        case: the model.
        wholly: whether that holds for what is retained too.
    """
    measured, kept = counted(case.differences(case.forget).measured, "measure"), case.differences(RETAINED)
    wholly = wholly and not kept.told
    where = f"{case.forget} and on what is retained" if wholly and case.has_retained else case.forget
    if case.judged.retrained == 1:
        said = f"By none of {measured} it can be told from the retrained model on {where}."
        return Statement(f"no difference to the retrained model on {case.forget}", said)
    said = f"On {where} it is by no distance measurably farther than the noise of retraining, and differs by none of "
    words = "looks retrained" if wholly and case.has_retained else f"looks retrained on {case.forget}"
    few = f" What is retained differs by few measures, perhaps by chance: {_numbers(kept.told)}." if kept.told else ""
    return Statement(words, f"{said}{measured}.{few}")


def costs(case: Case) -> Statement | None:
    """Whether unlearning made what is retained measurably worse known.

    Retrained models may know it better than the original did. Then a difference to them is no cost of unlearning, and
    the share of that gain which came back has to be below 0.
    """
    told = [one for one in case.differences(RETAINED).known(-1) if _is_cost(case, one)]
    if not case.is_enough(RETAINED, told):
        return None
    return Statement("costs what is retained", _by_measures(case, case.differences(RETAINED), -1, "what is retained"))


def _is_cost(case: Case, told: Told) -> bool:
    gain = case.judged.together.value(told.measure, RETAINED, "gain") if case.judged.together is not None else None
    if gain is not None and gain.low > 0:
        return case.model.value(told.measure, RETAINED, "recovered").high < 0
    before = case.judged.models[0].value(told.measure, RETAINED, "difference").value
    return abs(told.value.value) > abs(before) or told.value.value * before < 0


def differs_elsewhere(case: Case) -> Statement | None:
    """Whether what is retained is known otherwise than by retrained models, though not worse for unlearning."""
    told, beyond = case.differences(RETAINED), case.excess(RETAINED).beyond(0)
    differ = case.is_enough(RETAINED, told.told)
    if not differ and not beyond:
        return None
    said = [_by_measures(case, told, knows, "what is retained") for knows in (1, -1, 0) if told.known(knows)]
    if beyond:
        said.append(f"It is farther from them on what is retained than they from each other ({_titles(beyond)}).")
    return Statement("unlike a retrained model on what is retained", " ".join(said))


def changed(case: Case) -> list[Statement]:
    """What can be told from the original, where there is no retrained model."""
    found = []
    for dataset, knows, words in (
        (case.forget, -1, "known worse than before"),
        (case.forget, 1, "known better than before"),
        (RETAINED, -1, "costs what is retained"),
    ):
        told = [one for one in evidence.changes(case.judged, case.model, dataset) if one.knows == knows]
        if evidence.is_enough([one.measure for one in told], len(case.judged.scored)):
            where = "what is retained" if dataset == RETAINED else dataset
            side = "better" if knows == 1 else "worse"
            said = (
                f"The intervals of the means on {where} lie apart; it is known {side} than before ({_numbers(told)})."
            )
            found.append(Statement(words, said))
    return found


def untold(case: Case, doubts: Sequence[str]) -> Statement:
    """That it can't be said whether the model looks retrained, and why not."""
    words, count = "can't tell whether it looks retrained", case.judged.retrained
    if count == 0:
        reason = "there is no retrained model, which would show what perfect unlearning gives"
        return Statement(f"{words}: no retrained model", f"It can't be told more: {reason}.")
    if count == 1:
        reason = "there is one retrained model, and how far another one would be from it is not known"
        return Statement(f"{words}: one retrained model", f"It can't be told more: {reason}.")
    short = (
        "few measures differ"
        if "by chance" in doubts[0]
        else "too few examples"
        if "too few" in doubts[0]
        else "intervals are too wide"
        if "may be" in doubts[0]
        else ""
    )
    return Statement(f"{words}{f': {short}' if short else ''}", f"It can't be told more: {'; '.join(doubts)}.")


def _by_measures(case: Case, found: Differences, knows: int, where: str) -> str:
    """How many measures say so, and the first of them."""
    if not (told := found.known(knows)):
        return ""
    side = {1: "known better than by", -1: "known worse than by", 0: "known otherwise than by"}[knows]
    said = _numbers(told)
    return f"By {len(told)} of {counted(found.measured, 'measure')} {where} is {side} {case.others}: {said}."


def _numbers(told: Sequence[Told]) -> str:
    said = []
    for one in told[:NAMED]:
        unit = unit_title(measure_text(one.measure).unit)
        said.append(f"{in_a_sentence(one.measure)} {one.value} {unit}".strip())
    more = len(told) - NAMED
    return ", ".join(said) + (f" and {more} more" if more > 0 else "")


def _by_attacks(case: Case, attacks: Sequence[Attacked], what: str) -> str:
    said = []
    for one in attacks[:NAMED]:
        auc = f"AUC {shown_value('auc', one.auc)}"
        if not math.isnan(one.beside):
            auc += f", of retrained models {format_number(one.beside, signed=False)}, difference {one.difference}"
        said.append(f"{measure_text(one.measure).title}: {case.forget} {what}, {auc}.")
    return " ".join(said)


def _titles(measures: Sequence[str]) -> str:
    return " and ".join(map(in_a_sentence, measures))
