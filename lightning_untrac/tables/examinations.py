"""``examinations.parquet`` and ``examination_summary.parquet``: what came of doing something to the models judged."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lightning_untrac.tables.judged import OF_MODEL
from lightning_untrac.tables.measurements import rows_if_there
from lightning_untrac.tables.schema import schema_of

if TYPE_CHECKING:
    import pyarrow as pa

EXAMINATIONS: Final = "examinations.parquet"
EXAMINATION_SUMMARY: Final = "examination_summary.parquet"

_MODEL: Final = (
    *OF_MODEL,
    ("examination", "string", False),
    ("condition", "string", False),
    ("at", "float", True),
    ("measure", "string", False),
    ("dataset", "string", False),
)


@cache
def examinations_schema() -> pa.Schema:
    """Columns of ``examinations.parquet``: one row a model, condition, measure and example.

    Returns:
        The schema. ``role`` is ``original``, ``unlearned`` or ``retrained``; ``seed`` is that of a retrained model.
        ``condition`` says what was done to the model, and ``at`` how much of it, where that is a number: a layer, an
        optimizer step, a place on a line. ``weight`` is how much an example counts in a mean.
    """
    own = [("example", "int", False), ("value", "float", False), ("weight", "float", False), ("unit", "string", False)]
    return schema_of([*_MODEL, *own])


@cache
def examination_summary_schema() -> pa.Schema:
    """Columns of ``examination_summary.parquet``: one row a model, condition, measure, dataset and statistic.

    Returns:
        The schema. ``statistic`` is ``mean``, or what an examination concludes; ``ci_low`` and ``ci_high`` bound it
        (95 %).
    """
    own = [("statistic", "string", False), ("value", "float", False), ("ci_low", "float", True)]
    return schema_of([*_MODEL, *own, ("ci_high", "float", True), ("unit", "string", False)])


def read_examination_summary(folder: Path) -> list[dict[str, Any]]:
    """The rows of ``examination_summary.parquet`` of a run folder; none where there is no such file.

    Args:
        folder: of the run.

    Raises:
        ResultsError: if the table is damaged.
    """
    return rows_if_there(folder / EXAMINATION_SUMMARY, examination_summary_schema())
