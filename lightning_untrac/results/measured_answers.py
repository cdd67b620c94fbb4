"""What measurements say, in sentences: what was forgotten, what it cost, and what is left."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from lightning_untrac.naming import counted
from lightning_untrac.results.measured import Measured, UnlearningRun, main_measure
from lightning_untrac.results.measures import measure_text
from lightning_untrac.results.methods import method_title
from lightning_untrac.results.sentence import NAMED_AT_MOST, Name, Part, Sentence, listed
from lightning_untrac.results.soundness import FLAG_TITLES
from lightning_untrac.results.style import format_number, unit_title

_BEHAVIOUR: Final = "test set"
"""Role of a dataset that shows a behaviour."""

_FORGOTTEN: Final = "forget set"
"""Role of a dataset that is there to be forgotten: one that was not is neither forgotten nor to stay."""


def measured_answers(measured: Measured) -> list[Sentence]:
    """What each unlearning run did, the most important first.

    Args:
        measured: all of a folder.
    """
    return [sentence for run in measured.runs for sentence in run_answers(run, measured.roles)]


def run_answers(run: UnlearningRun, roles: Mapping[str, str] | None = None) -> list[Sentence]:
    """What one run did to the forget set, to the rest, and which examples are left.

    Args:
        run: what was unlearned.
        roles: dataset to what it is.

    Returns:
        At most four sentences.
    """
    measure = main_measure(run)
    if run.forget_set is None or (measure, run.forget_set) not in run.curves:
        return []
    named = roles or {}
    return [
        _forgotten(run, measure),
        *_cost(run, measure, named),
        *_behaviours(run, measure, named),
        *_left(run, measure),
    ]


def change_of(run: UnlearningRun, measure: str, dataset: str) -> float:
    """The change of a mean since the model before."""
    readings = run.curves[measure, dataset]
    return readings[-1].value - readings[0].value


def _forgotten(run: UnlearningRun, measure: str) -> Sentence:
    assert run.forget_set is not None
    text, readings = measure_text(measure), run.curves[measure, run.forget_set]
    before, after = readings[0].value, readings[-1].value
    seed = "" if run.seed is None else f", seed {run.seed}"
    unfinished = "" if run.changes else ", not finished"
    steps = counted(run.last_step, "step")
    start: Sentence = (f"{method_title(run.method)} on ", Name(run.forget_set), f" ({steps}{seed}{unfinished}): ")
    if run.status != "ok":
        flag = FLAG_TITLES.get(run.status, run.status)
        return (*start, f"the model is {flag}, so that its numbers say how a broken model is broken.")
    if len(readings) == 1:
        return (*start, "the tables hold what was measured before the first step.")
    moved = "stayed as it was" if after == before else "rose" if after > before else "fell"
    values = f"from {format_number(before, signed=False)} to {format_number(after, signed=False)}"
    unit = f" {unit_title(text.unit)}" if text.unit else ""
    said = f"its {text.title.lower()} {moved} {values}{unit}"
    if text.forgetting and (after - before) * text.forgetting <= 0:
        return (*start, f"nothing was forgotten; {said}.")
    return (*start, f"{said}.")


def _cost(run: UnlearningRun, measure: str, roles: Mapping[str, str]) -> list[Sentence]:
    """What moved beside the forget set, and how far for each unit that the forget set moved."""
    assert run.forget_set is not None
    sign = measure_text(measure).forgetting
    forgotten = change_of(run, measure, run.forget_set) * sign
    every = [name for name in _beside(run, roles) if (measure, name) in run.curves]
    # A test set shows a behaviour, which may well be what was to go.
    others = [name for name in every if roles.get(name) != _BEHAVIOUR] or every
    if not sign or forgotten <= 0 or run.status != "ok" or not others:
        return []
    changes = {name: change_of(run, measure, name) * sign for name in others}
    if not all(math.isfinite(change) for change in (forgotten, *changes.values())):
        return []
    worst = max(others, key=lambda name: changes[name])
    share = changes[worst] / forgotten
    size = format_number(change_of(run, measure, worst))
    if share <= 0:
        return [("It cost nothing that this measure sees: no other dataset is known less than before.",)]
    sentence: list[Part] = [
        "It cost most on ",
        Name(worst),
        f" ({size}), {share:.0%} of the change aimed at",
    ]
    spared = [name for name in others if not _moved(run, measure, name)]
    if spared:
        sentence += ["; no change can be told from chance on ", *listed(spared)]
    return [(*sentence, ".")]


def _beside(run: UnlearningRun, roles: Mapping[str, str]) -> list[str]:
    """The datasets of which something can be lost."""
    return [name for name in run.datasets if name != run.forget_set and roles.get(name) != _FORGOTTEN]


def _behaviours(run: UnlearningRun, measure: str, roles: Mapping[str, str]) -> list[Sentence]:
    """How the test sets moved, where there is something else that was to stay."""
    shown = [name for name in run.datasets if roles.get(name) == _BEHAVIOUR and (measure, name) in run.curves]
    shown = [name for name in shown if name != run.forget_set]
    stays = [name for name in _beside(run, roles) if roles.get(name) != _BEHAVIOUR]
    if not shown or not stays or run.status != "ok" or len(run.curves[measure, shown[0]]) < 2:
        return []
    sentence: list[Part] = ["The test sets moved with it: " if len(shown) > 1 else "The test set moved with it: "]
    for place, name in enumerate(shown[:NAMED_AT_MOST]):
        sentence += [", " if place else "", Name(name), f" by {format_number(change_of(run, measure, name))}"]
    if len(shown) > NAMED_AT_MOST:
        sentence.append(f", and {len(shown) - NAMED_AT_MOST} more")
    return [(*sentence, ".")]


def _moved(run: UnlearningRun, measure: str, dataset: str) -> bool:
    """Whether a change can be told from chance in the choice of examples."""
    changes = run.changes.get((measure, dataset))
    if changes is None:
        return True
    mean = changes.mean_change()
    return not mean.low <= 0 <= mean.high


def _left(run: UnlearningRun, measure: str) -> list[Sentence]:
    """How many examples (or blocks) of the forget set are known as well as before."""
    assert run.forget_set is not None
    sign, changes = measure_text(measure).forgetting, run.changes.get((measure, run.forget_set))
    if not sign or changes is None or run.status != "ok":
        return []
    gone = (changes.after - changes.before) * sign
    kept, count, parts = int(np.count_nonzero(gone <= 0)), len(gone), run.parts_of(run.forget_set)
    if kept == 0:
        least = format_number(float(np.min(gone)) * sign)
        return [(f"None of its {count:,} {parts} is known as well as before; the least changed moved by {least}.",)]
    verb = "is" if kept == 1 else "are"
    return [(f"{kept:,} of its {count:,} {parts} {verb} known as well as before, or better: see the survivors below.",)]
