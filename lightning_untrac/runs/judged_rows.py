"""What a judgement has measured of one model, as rows that conditions are held against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning_untrac.metrics import MEASURES
from lightning_untrac.tables.distances import read_judgements
from lightning_untrac.tables.examinations import read_examination_summary
from lightning_untrac.tables.judged import read_judged_examples, read_judged_measures
from lightning_untrac.tables.memorisation import read_memorisation_summary

Rows = list[dict[str, Any]]


def judged_rows(folder: Path, forget: str, model: str) -> tuple[Rows, Rows]:
    """Means and what was concluded of a model, and its single examples.

    Args:
        folder: of the run.
        forget: the forget set.
        model: its path.

    Returns:
        Rows with ``measure``, ``dataset``, ``statistic`` and ``value`` (of examinations also ``condition`` and ``at``);
        and rows of examples with ``measure``, ``dataset``, ``value`` and ``weight``.
    """
    mine = {"forget_set": forget, "model": model}

    def of_it(rows: Rows) -> Rows:
        return [row for row in rows if all(row[key] == value for key, value in mine.items())]

    examples = read_judged_examples(folder)
    means = of_it(read_judged_measures(folder))
    for row in [row for row in means if row["statistic"] == "mean" and row["measure"] in MEASURES]:
        of_mean = MEASURES[row["measure"]]().of_mean(row["value"])
        means += [{**row, "statistic": name, "value": value} for name, value in of_mean.items()]
    for read in (read_judgements, read_memorisation_summary, read_examination_summary):
        means += of_it(read(folder))
    return means, [] if examples is None else of_it(examples.to_pylist())
