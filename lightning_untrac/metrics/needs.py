"""Whether a pass gives what measures ask for beside logits and targets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from lightning_untrac.errors import ConfigurationError
from lightning_untrac.metrics.measure import Measure, Named, find_measures
from lightning_untrac.outputs import MeasureNeed


def measure_problems(names: str | Iterable[Named], given: Iterable[MeasureNeed]) -> list[str]:
    """What is wrong with the names of measures.

    Args:
        names: as :func:`find_measures` takes them.
        given: what a pass gives beside logits and targets.
    """
    try:
        return need_problems(find_measures(names), given)
    except ConfigurationError as error:
        return error.problems


DATA_ROLES: Final = ("corpora", "test_sets", "forget", "holdout")
"""Lists of datasets that give what measures may ask for."""


def given_by(data: Any) -> frozenset[MeasureNeed]:
    """What data give that a measure may ask for.

    Args:
        data: their configuration, with the lists of :data:`DATA_ROLES` that there are.
    """
    given: dict[str, MeasureNeed] = {"holdout": "unseen", "corpora": "shots"}
    found: set[MeasureNeed] = {need for role, need in given.items() if data.get(role)}
    entries = [entry for role in DATA_ROLES for entry in data.get(role) or ()]
    if any(getattr(entry, "wrong_answers", None) or getattr(entry, "choices", None) for entry in entries):
        found.add("wrong_answers")
    return frozenset(found)


def need_problems(measures: Iterable[Measure], given: Iterable[MeasureNeed]) -> list[str]:
    """Which measures ask for what a pass does not give.

    Args:
        measures: whose needs are looked at.
        given: what a pass gives beside logits and targets.
    """
    known = ", ".join(sorted({"logits", "targets", *given}))
    return [
        f"measures: {what}, and a pass here gives {known}; leave it out" + (f", or {mend}" if mend else "")
        for what, mend in unmet_needs(measures, given)
    ]


def unmet_needs(measures: Iterable[Measure], given: Iterable[MeasureNeed]) -> list[tuple[str, str]]:
    """What measures need that a pass does not give, and what to do about it (empty where nothing helps).

    Args:
        measures: whose needs are looked at.
        given: what a pass gives beside logits and targets.
    """
    known, found = {"logits", "targets", *given}, []
    for measure in measures:
        if missing := sorted(measure.needs - known):
            mend = _ELSEWHERE.get(missing[-1], _ELSEWHERE.get(missing[-1].partition("_")[0], ""))
            found.append((f"{measure.name} needs {', '.join(missing)}", mend))
    return found


_ELSEWHERE: Final = {
    "reference_log_probs": "measure it in `untrac unlearn`, which knows the model before unlearning, in `untrac "
    "judge`, which knows the original, or with `untrac evaluate --reference MODEL`",
    "reference": "measure it in `untrac unlearn`, which knows the model before unlearning",
    "unseen": "give text that was never trained on (data.holdout)",
    "answers": "measure it of a model that writes text",
    "continuations": "measure it of a model that writes text",
    "shots": "give it pairs (`path`), or corpora (data.corpora) with questions and answers beside the forgotten",
    "wrong_answers": "name the column of a dataset that holds a list of wrong answers to each prompt, e.g. "
    "{prompt: question, target: answer, wrong_answers: perturbed_answer}, or of lists of choices (choices: choices)",
    "neighbours": "measure it in `untrac evaluate`, which reads a model that stays as it is",
}
"""What to do about a need that is not met, by its name or the first word of it."""
