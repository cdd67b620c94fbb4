"""Conditions on what was measured that end a command with an exit code of their own, for pipelines."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lightning_untrac.errors import ConditionMetError
from lightning_untrac.registry import did_you_mean
from lightning_untrac.results.style import format_number

OF_SUMMARY: Final = ("mean", "example_mean", "perplexity", "worst_in_group")
OF_EXAMPLES: Final[dict[str, Callable[[Iterable[float]], float]]] = {"max": max, "min": min}
COMPARES: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge
}  # fmt: skip

_CONDITION: Final = re.compile(
    r"\s*([A-Za-z_]\w*)(?:\.([\w.]+))?(?:@([^/<>=@]+?))?\s*(?:/\s*([^/<>=@]+?))?\s*(<=|>=|<|>)\s*([-+\w.]+)\s*"
)


@dataclass(frozen=True)
class Condition:
    """Such as ``extraction_strength.max > 0.2``, ``answered/held_out > 0.05`` or ``loss < 2``.

    Of a judgement also ``memorisation_accuracy.survivors > 0``, ``attack_loss.auc > 0.6`` or ``loss.mean@nf4 < 2``.

    Attributes:
        measure: name of the measure, attack, or measure of an examination.
        statistic: ``mean`` (the default), ``example_mean``, ``perplexity`` (of a loss) or ``worst_in_group``, as
            ``summary.parquet`` has them, or ``max`` or ``min`` of single examples; of a judgement also any other that
            ``judgements.parquet``, ``memorisation_summary.parquet`` and ``examination_summary.parquet`` have.
        where: the ``condition`` or the place ``at`` that an examination has the number of; None for the number of the
            model as it is, or for the only one that there is.
        dataset: its name; None for each that was measured.
        sign: ``<``, ``<=``, ``>`` or ``>=``.
        value: that it is held against.
    """

    measure: str
    statistic: str
    where: str | None
    dataset: str | None
    sign: str
    value: float

    @classmethod
    def of(cls, text: str) -> Condition:
        """Read a condition.

        Raises:
            ValueError: if the text is none.

        Example:
            >>> str(Condition.of("answered.worst_in_group/held_out>=0.1")), str(Condition.of("loss < 2"))
            ('answered.worst_in_group/held_out >= 0.1', 'loss.mean < 2')
        """
        match = _CONDITION.fullmatch(text)
        value = math.nan
        if match is not None:
            try:
                value = float(match[6])
            except ValueError:
                match = None
        if match is None or math.isnan(value):
            raise ValueError(
                f"{text!r} is no condition; write MEASURE>VALUE, MEASURE.STATISTIC>VALUE or "
                "MEASURE.STATISTIC/DATASET>VALUE (of an examination MEASURE.STATISTIC@CONDITION>VALUE), with <, <=, > "
                "or >= and a number"
            )
        return cls(match[1], match[2] or "mean", match[3], match[4], match[5], value)

    def __str__(self) -> str:
        where = "" if self.where is None else f"@{self.where}"
        dataset = "" if self.dataset is None else f"/{self.dataset}"
        return f"{self.measure}.{self.statistic}{where}{dataset} {self.sign} {self.value:g}"

    def problems(self, measures: Sequence[str], datasets: Sequence[str]) -> list[str]:
        """Why it can't be looked at.

        Args:
            measures: names of what is measured.
            datasets: names of what it is measured on.
        """
        found = []
        if self.measure not in measures:
            hint = did_you_mean(self.measure, measures)
            found.append(f"fail_if: {self.measure!r} is not measured; {hint}add it to the measures")
        if self.dataset is not None and self.dataset not in datasets:
            hint = did_you_mean(self.dataset, datasets)
            found.append(f"fail_if: no dataset is named {self.dataset!r}; {hint}there are {', '.join(datasets)}")
        return found

    def met(self, summary: Sequence[Mapping[str, Any]], examples: Sequence[Mapping[str, Any]]) -> list[str]:
        """Where it is met, a clause each.

        What is no number (NaN) meets every condition: it is no good sign. So does a number that is not there.

        Args:
            summary: what was measured and concluded of one model, with ``measure``, ``statistic``, ``dataset`` and
                ``value``, maybe with ``condition`` and ``at``.
            examples: what was measured of its examples, with ``measure``, ``dataset``, ``value`` and ``weight``.
        """
        if self.statistic in OF_EXAMPLES:
            by_dataset: dict[str, list[float]] = {}
            for row in examples:
                if row["measure"] == self.measure and row["weight"] > 0:
                    by_dataset.setdefault(row["dataset"], []).append(row["value"])
            worst = OF_EXAMPLES[self.statistic]
            values = {name: worst(some) if all(map(math.isfinite, some)) else math.nan
                      for name, some in by_dataset.items()}  # fmt: skip
        else:
            values = self._concluded(summary)
        if not any(self.dataset in (None, name) for name in values):
            there = dict.fromkeys(one for row in summary if self._is_of(row) for one in _places(row))
            hint = f" (there is {', '.join(f'@{one}' for one in there)})" if there else ""
            return [f"{self}: there is no such number{hint}, so that nothing shows that it is not so"]
        return [
            f"{self}: {name} has {format_number(value, signed=False)}"
            for name, value in values.items()
            if self.dataset in (None, name) and (math.isnan(value) or COMPARES[self.sign](value, self.value))
        ]

    def _is_of(self, row: Mapping[str, Any]) -> bool:
        return (row["measure"], row["statistic"]) == (self.measure, self.statistic)

    def _concluded(self, summary: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Dataset to the number that is meant."""
        mine = [row for row in summary if self._is_of(row)]
        if self.where is not None:
            return {row["dataset"]: row["value"] for row in mine if self.where in _places(row)}
        as_it_is = {row["dataset"]: row["value"] for row in mine if not _places(row)}
        datasets = [row["dataset"] for row in mine]
        only = {row["dataset"]: row["value"] for row in mine if datasets.count(row["dataset"]) == 1}
        return {**only, **as_it_is}


def _places(row: Mapping[str, Any]) -> list[str]:
    """What was done to the model, and how much of it, as a condition names them; nothing of a model as it is."""
    condition, at = row.get("condition") or "", row.get("at")
    return [*([condition] if condition else []), *([] if at is None or math.isnan(at) else [f"{at:g}"])]


def conditions(asked: str | Sequence[str] | None, concluded: Sequence[str] = ()) -> tuple[list[Condition], list[str]]:
    """The conditions of an option, and what is wrong with them, without a look at data and measures.

    Args:
        asked: one, several in a list, or several separated by commas.
        concluded: statistics that a judgement has beside; none where nothing is judged.
    """
    texts = asked.split(",") if isinstance(asked, str) else asked or []
    found, problems, known = [], [], (*OF_SUMMARY, *OF_EXAMPLES, *concluded)
    for text in filter(str.strip, texts):
        try:
            one = Condition.of(text)
        except ValueError as error:
            problems.append(f"fail_if: {error}")
            continue
        if one.statistic not in known:
            hint = did_you_mean(one.statistic, known)
            problems.append(f"fail_if: {one.statistic!r} is unknown; {hint}use one of {', '.join(known)}")
        elif one.where is not None and not concluded:
            problems.append(f"fail_if: @{one.where}: only a judgement makes examinations; leave it out")
        else:
            found.append(one)
    return found, problems


def fail_if_met(
    asked: Sequence[Condition], summary: Sequence[Mapping[str, Any]], examples: Sequence[Mapping[str, Any]]
) -> None:
    """End the command if a condition is met; everything that was measured is kept.

    Args:
        asked: the conditions.
        summary: as of :meth:`Condition.met`.
        examples: likewise.

    Raises:
        ConditionMetError: with all that are met.
    """
    met = [said for one in asked for said in one.met(summary, examples)]
    if met:
        raise ConditionMetError("fail_if is met:\n" + "\n".join(f"  - {said}" for said in met))
