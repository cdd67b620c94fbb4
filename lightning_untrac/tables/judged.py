"""``judged_examples.parquet`` and ``judged_measures.parquet``: what was measured of all models of a judgement."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lightning_untrac.tables.measurements import read_if_there, rows_if_there
from lightning_untrac.tables.schema import schema_of

if TYPE_CHECKING:
    import pyarrow as pa

JUDGED_EXAMPLES: Final = "judged_examples.parquet"
JUDGED_MEASURES: Final = "judged_measures.parquet"

ORIGINAL: Final = "original"
UNLEARNED: Final = "unlearned"
RETRAINED: Final = "retrained"
"""What a model is in a judgement (``role``)."""

OF_MODEL: Final = (
    ("model", "string", False),
    ("method", "string", False),
    ("forget_set", "string", False),
    ("role", "string", False),
    ("seed", "int", True),
)
"""The columns that tables of a judgement begin with: which model, and what it is."""

_MODEL: Final = (*OF_MODEL, ("dataset", "string", False), ("measure", "string", False))


@cache
def judged_examples_schema() -> pa.Schema:
    """Columns of ``judged_examples.parquet``: one row a model, measure and example (or block).

    Returns:
        The schema. ``role`` is ``original``, ``unlearned`` or ``retrained``; ``seed`` is that of a retrained model.
        ``group`` is what the dataset's ``group`` says of an example. ``weight`` is how much it counts in a mean.
    """
    own = [("example", "int", False), ("group", "string", True), ("value", "float", False), ("weight", "float", False)]
    own += [("unit", "string", False)]
    return schema_of([*_MODEL, *own])


@cache
def judged_measures_schema() -> pa.Schema:
    """Columns of ``judged_measures.parquet``: one row a model, dataset (or group of them), measure and statistic.

    Returns:
        The schema. ``statistic`` is ``mean``; ``worst_in_group``, as in ``summary.parquet``; ``difference``, to the
        mean of the retrained models; ``gain``, how much better a retrained model knows the dataset than the original;
        ``recovered``, the share of the gain that came back with unlearning; or ``ks_p_value``, of the two-sample
        Kolmogorov-Smirnov test between the examples' values of a model and of a retrained one (``seed``; null for the
        median over all others), of measures that ask for it. ``model`` is the folder of all retrained
        models where ``role`` is ``retrained`` and ``seed`` is null. ``ci_low`` and ``ci_high`` are the ends of 95 %
        intervals over examples and retrained models; ``retrained`` is the number of these.
    """
    own = [("statistic", "string", False), ("value", "float", False), ("ci_low", "float", True)]
    own += [("ci_high", "float", True), ("unit", "string", False), ("retrained", "int", False)]
    return schema_of([*_MODEL, *own])


def read_judged_measures(folder: Path) -> list[dict[str, Any]]:
    """The rows of ``judged_measures.parquet`` of a run folder; none where there is no such file.

    Args:
        folder: of the run.

    Raises:
        ResultsError: if the table is damaged.
    """
    return rows_if_there(folder / JUDGED_MEASURES, judged_measures_schema())


def read_judged_examples(folder: Path) -> pa.Table | None:
    """The table of every example of a run folder; None where there is no such file.

    Args:
        folder: of the run.

    Raises:
        ResultsError: if the table is damaged.
    """
    return read_if_there(folder / JUDGED_EXAMPLES, judged_examples_schema())
