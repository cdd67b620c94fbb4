"""What a model knows of the forget set beyond retrained models, and how much of that came back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lightning_untrac.examinations.bench import Bench
from lightning_untrac.examinations.columns import Number
from lightning_untrac.functional.recovery import share_of
from lightning_untrac.functional.resampled import Resampled, mean_of_models
from lightning_untrac.metrics import Measure
from lightning_untrac.results.judged import Value
from lightning_untrac.results.measures import measure_text
from lightning_untrac.results.recovered_section import share_text

KNOWN: Final = "known_beyond"
"""``statistic``: ``(S_u - S_r) / (S_o - S_r)`` of a measure: 1 as the original, 0 as the retrained models."""

BACK: Final = "back"
"""``statistic``: how much of that came back: what it is after something was done to all models, less what it was."""

Means = Mapping[tuple[str, str], Resampled]
"""Path of a model and what was done to it (nothing: empty) to a mean, all on the same resamples."""


def what_is_known(bench: Bench, means: Means, measure: Measure) -> list[Number]:
    """The share of what the original knows beyond retrained models, before and after, and how much came back.

    What is done to an unlearned model is done to the retrained ones too, and it is with those that it is compared.
    Shares are of the original as it is.

    Args:
        bench: the models.
        means: of the forget set, of the original and at least one retrained model also as they are.
        measure: that they are of.

    Returns:
        Numbers of the unlearned models; none where the original does not know the set measurably better than the
        retrained models do, so that nothing could come back.
    """
    sign = 1.0 if measure.direction == "higher" else -1.0
    conditions = dict.fromkeys(condition for _, condition in means)
    if not bench.retrained:
        return []
    control = {one: mean_of_models([means[path, one] for path in bench.retrained]) for one in conditions}
    whole = means[bench.models.original, ""].minus(control[""]).times(sign)
    if not whole.mean.low > 0:
        return []
    found = []
    for path in bench.models.unlearned:
        before = means[path, ""].minus(control[""]).times(sign)
        for one in conditions:
            now = means[path, one].minus(control[one]).times(sign)
            where: dict[str, Any] = {"measure": measure.name, "dataset": bench.forget, "condition": one}
            found.append(Number(path, KNOWN, *share_of(now, whole), **where))
            if one:
                found.append(Number(path, BACK, *share_of(now.minus(before), whole), **where))
    return found


def what_came_back(bench: Bench, numbers: Sequence[Number], measure: Measure) -> dict[str, str]:
    """A sentence an unlearned model about what came back where most of it did.

    Args:
        bench: the models.
        numbers: of :func:`what_is_known`.
        measure: that they are of.
    """
    title = measure_text(measure.name).title
    if not numbers:
        why = f"the original does not know {bench.forget} measurably better than models retrained without it ({title})"
        nothing = f"{why}, so that nothing could come back with quantisation"
        return {path: f"{Path(path).name}: {nothing}." for path in bench.models.unlearned}
    said = {}
    for path in bench.models.unlearned:
        mine = {(one.statistic, one.condition): one for one in numbers if one.model == path}
        back = max((one for (statistic, _), one in mine.items() if statistic == BACK), key=lambda one: one.value)
        before, after = mine[KNOWN, ""], mine[KNOWN, back.condition]
        known = (
            f"{Path(path).name} knows {_text(before)} of what the original knows of {bench.forget} beyond retrained "
            f"models ({title}), and {_text(after)} after {back.condition}"
        )
        came = f"{_text(back)} came back" if back.low > 0 else "that more came back than by chance can't be told"
        said[path] = f"{known}: {'it still knows less than they do' if after.high < 0 else came}."
    return said


def _text(share: Number) -> str:
    return share_text(Value(share.value, share.low, share.high))
