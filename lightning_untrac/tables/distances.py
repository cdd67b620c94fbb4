"""``distances.parquet`` and ``judgements.parquet``: how far models are from retrained ones, by example and in sum."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lightning_untrac.tables.measurements import rows_if_there
from lightning_untrac.tables.schema import schema_of

if TYPE_CHECKING:
    import pyarrow as pa

DISTANCES: Final = "distances.parquet"
JUDGEMENTS: Final = "judgements.parquet"

RETAINED: Final = "(retained)"
TEST_SETS: Final = "(test sets)"
"""Stand for a dataset's name: all corpora but the forget set together, and all test sets."""

_MODEL: Final = (("model", "string", False), ("method", "string", False), ("forget_set", "string", False))


@cache
def distances_schema() -> pa.Schema:
    """Columns of ``distances.parquet``: one row a model, another one, measure and example.

    Returns:
        The schema. The other model is the retrained one of ``retrained_seed``, or the original where that is null.
        ``weight`` is how much an example counts in a mean.
    """
    own = [("retrained_seed", "int", True), ("dataset", "string", False), ("measure", "string", False)]
    own += [("example", "int", False), ("value", "float", False), ("weight", "float", False), ("unit", "string", False)]
    return schema_of([*_MODEL, *own])


@cache
def judgements_schema() -> pa.Schema:
    """Columns of ``judgements.parquet``: one row a model, dataset (or group of them), measure and statistic.

    Returns:
        The schema. ``role`` is ``original``, ``unlearned``, ``retrained`` or ``seeds`` (of one unlearning, together).
        For a distance ``statistic`` is a field of :class:`~lightning_untrac.functional.excess.Judged`; other measures
        have statistics of their own. ``retrained`` is the number of retrained models.
    """
    own = [("role", "string", False), ("dataset", "string", False), ("measure", "string", False)]
    own += [("statistic", "string", False), ("value", "float", False), ("ci_low", "float", True)]
    return schema_of(
        [*_MODEL, *own, ("ci_high", "float", True), ("unit", "string", False), ("retrained", "int", False)]
    )


def read_judgements(folder: Path) -> list[dict[str, Any]]:
    """The rows of ``judgements.parquet`` of a run folder; none where there is no such file.

    Args:
        folder: of the run.

    Raises:
        ResultsError: if the table is damaged.
    """
    return rows_if_there(folder / JUDGEMENTS, judgements_schema())
