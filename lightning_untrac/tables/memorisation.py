"""``memorisation.parquet``, its summary and ``outliers.parquet``: what models know of each sequence of a forget set."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lightning_untrac.tables.measurements import read_if_there, rows_if_there
from lightning_untrac.tables.schema import schema_of

if TYPE_CHECKING:
    import pyarrow as pa

MEMORISATION: Final = "memorisation.parquet"
OUTLIERS: Final = "outliers.parquet"
MEMORISATION_SUMMARY: Final = "memorisation_summary.parquet"

SURVIVOR: Final = "survivor"
OVER_FORGOTTEN: Final = "over-forgotten"
"""``side`` of a sequence that is known better than unseen text, or worse."""

_MODEL: Final = (
    ("model", "string", False),
    ("method", "string", False),
    ("role", "string", False),
    ("forget_set", "string", False),
    ("dataset", "string", False),
    ("example", "int", False),
)


@cache
def memorisation_schema() -> pa.Schema:
    """Columns of ``memorisation.parquet``: one row a model, sequence and measure.

    Returns:
        The schema. ``role`` is ``original``, ``unlearned``, ``seeds`` (several seeds of one unlearning together) or
        ``retrained``; ``dataset`` is the forget set or one of its unseen twins; of these there are the loss, the
        measure that survivors are counted by, and what attacks tell members by. ``weight`` is the number of target
        tokens.
    """
    own = [("measure", "string", False), ("value", "float", False), ("weight", "float", False)]
    return schema_of([*_MODEL, *own, ("unit", "string", False)])


@cache
def memorisation_summary_schema() -> pa.Schema:
    """Columns of ``memorisation_summary.parquet``: one row a model, measure and statistic of a forget set.

    Returns:
        The schema. ``retrained`` is the number of retrained models.
    """
    own = [("measure", "string", False), ("statistic", "string", False), ("value", "float", False)]
    own += [("ci_low", "float", True), ("ci_high", "float", True), ("unit", "string", False)]
    return schema_of([*_MODEL[:-1], *own, ("retrained", "int", False)])


@cache
def outliers_schema() -> pa.Schema:
    """Columns of ``outliers.parquet``: one row a model and sequence that stands outside of the level of unseen text.

    Returns:
        The schema. ``side`` is :data:`SURVIVOR` or :data:`OVER_FORGOTTEN`; ``value`` is that of ``measure`` under the
        model, ``original`` that under the model before, ``retrained`` the mean over retrained models, ``level_low`` and
        ``level_high`` where unseen text ends; ``genex`` is in nats. ``content_hash`` names the text for
        ``--forget_examples``; it is empty for a block. ``text`` is how it begins, where texts are quoted.
    """
    own: list[tuple[str, str, bool]] = [("side", "string", False), ("measure", "string", False)]
    own += [(name, "float", False) for name in ("value", "original", "retrained", "level_low", "level_high", "genex")]
    return schema_of([*_MODEL, *own, ("content_hash", "string", True), ("text", "string", True)])


def read_memorisation(folder: Path) -> pa.Table | None:
    """The rows of ``memorisation.parquet`` of a run folder; None where there is no such file.

    Raises:
        ResultsError: if the table is damaged.
    """
    return read_if_there(folder / MEMORISATION, memorisation_schema())


def read_memorisation_summary(folder: Path) -> list[dict[str, Any]]:
    """The rows of ``memorisation_summary.parquet`` of a run folder; none where there is no such file.

    Raises:
        ResultsError: if the table is damaged.
    """
    return rows_if_there(folder / MEMORISATION_SUMMARY, memorisation_summary_schema())


def read_outliers(folder: Path) -> list[dict[str, Any]]:
    """The rows of ``outliers.parquet`` of a run folder; none where there is no such file.

    Raises:
        ResultsError: if the table is damaged.
    """
    return rows_if_there(folder / OUTLIERS, outliers_schema())
