"""``measurements.parquet`` and ``summary.parquet``: what was measured of a model, example by example and in sum."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lightning_untrac.errors import DamageWarning
from lightning_untrac.tables.files import conform, read_table, write_table
from lightning_untrac.tables.locking import locked
from lightning_untrac.tables.recovery import set_aside
from lightning_untrac.tables.schema import ResultsError, schema_of

if TYPE_CHECKING:
    import pyarrow as pa

MEASUREMENTS: Final = "measurements.parquet"
SUMMARY: Final = "summary.parquet"

STATE: Final = (
    ("model", "string", False),
    ("method", "string", False),
    ("forget_set", "string", True),
    ("seed", "int", True),
    ("step", "int", True),
    ("measure", "string", False),
    ("dataset", "string", False),
)
"""The columns that both tables begin with: which state of which model, and what was measured of it."""


@cache
def measurements_schema() -> pa.Schema:
    """Columns of ``measurements.parquet``: one row an example (or block) of a dataset, and measure.

    Returns:
        The schema. ``model`` is what was measured; ``method`` is ``evaluate`` for a model as it is, and otherwise how
        it was made from the one of step 0, with ``forget_set``, ``seed`` and ``step``. ``group`` is what the dataset's
        ``group`` says of an example. ``weight`` is how much an example counts in the mean.
    """
    own = [("example", "int", False), ("group", "string", True), ("value", "float", False), ("weight", "float", False)]
    return schema_of([*STATE, *own, ("unit", "string", False), ("status", "string", False)])


@cache
def summary_schema() -> pa.Schema:
    """Columns of ``summary.parquet``: one row a dataset, measure, state of a model and statistic.

    Returns:
        The schema. ``statistic`` is ``mean`` (weighted), ``example_mean`` (every example alike), ``worst_in_group``
        (the mean of each group's largest value, of measures that look at groups), what follows from the mean
        (``perplexity`` of a loss), ``weight`` (the sum of all weights) or ``count`` (of examples or, as its unit says,
        of blocks); ``ci_low`` and ``ci_high`` bound a mean (95 %, bootstrap over them). A method of unlearning may add
        statistics of its own, ``pass_...``, of the steps after which it measures.
    """
    own = [("statistic", "string", False), ("value", "float", False), ("ci_low", "float", True)]
    return schema_of([*STATE, *own, ("ci_high", "float", True), ("unit", "string", False), ("status", "string", False)])


def measurements_table(state: Mapping[str, Any], columns: Mapping[str, Any]) -> pa.Table:
    """Rows of ``measurements.parquet`` for one measure of one dataset.

    Args:
        state: what all rows share, by column.
        columns: ``[examples]`` each, by column.

    Returns:
        A table with all columns; those in neither are null.
    """
    return filled(measurements_schema(), state, columns)


def filled(schema: pa.Schema, state: Mapping[str, Any], columns: Mapping[str, Any]) -> pa.Table:
    """Rows with the columns of a schema.

    Args:
        schema: of the table.
        state: what all rows share, by column.
        columns: ``[rows]`` each, by column.

    Returns:
        A table with all columns; those in neither are null.
    """
    import pyarrow as pa

    count = len(next(iter(columns.values())))
    made = [
        pa.array(columns[field.name], field.type)
        if field.name in columns
        else pa.nulls(count, field.type)
        if state.get(field.name) is None
        else pa.repeat(pa.scalar(state[field.name], field.type), count)
        for field in schema
    ]
    return pa.Table.from_arrays(made, schema=schema)


def read_measurements(folder: Path) -> pa.Table | None:
    """The rows of every example of a run folder; None where there are none.

    Args:
        folder: of the run.

    Raises:
        ResultsError: if the table is damaged.
    """
    return read_if_there(folder / MEASUREMENTS, measurements_schema())


def read_summary(folder: Path) -> pa.Table | None:
    """The sums and means of a run folder; None where there are none.

    Args:
        folder: of the run.

    Raises:
        ResultsError: if the table is damaged.
    """
    return read_if_there(folder / SUMMARY, summary_schema())


def read_if_there(path: Path, schema: pa.Schema) -> pa.Table | None:
    """A table with exactly the columns of a schema; None where there is no such file.

    Args:
        path: of the table.
        schema: what is wanted.

    Raises:
        ResultsError: if the table is damaged.
    """
    return conform(read_table(path), schema, path) if path.exists() else None


def rows_if_there(path: Path, schema: pa.Schema) -> list[dict[str, Any]]:
    """The rows of such a table as plain values; none where there is no such file.

    Args:
        path: of the table.
        schema: what is wanted.

    Raises:
        ResultsError: if the table is damaged.
    """
    table = read_if_there(path, schema)
    return [] if table is None else table.to_pylist()


def replace_rows(folder: Path, name: str, mine: Mapping[str, Any], rows: pa.Table) -> None:
    """Put rows into a table in the place of those that the same command wrote before.

    The file is sorted, and whole or not there at all. A damaged one is moved aside, and that is said.

    Args:
        folder: of the run.
        name: ``measurements.parquet`` or ``summary.parquet``.
        mine: column to value, or to a list of values; rows that have (one of) these values in all columns give way.
        rows: the new ones, with the columns of the table.
    """
    import pyarrow as pa

    path, schema = folder / name, rows.schema
    with locked(folder):
        kept = [rows]
        try:
            if path.exists():
                table = conform(read_table(path), schema, path)
                kept.insert(0, table.filter(_others(table, mine)))
        except ResultsError as error:
            aside = set_aside(path)
            warnings.warn(
                f"{error} It was moved to {aside.name}, and {name} holds what is measured now; run the commands again "
                "that wrote the rest",
                DamageWarning,
                stacklevel=2,
            )
        table = pa.concat_tables(kept)
        keys = [field.name for field in schema if field.name not in ("value", "weight", "ci_low", "ci_high")]
        write_table(path, table.sort_by([(key, "ascending") for key in keys]).combine_chunks())


def drop_rows(folder: Path, name: str, gone: Callable[[str, str, str | None], bool]) -> None:
    """Remove the rows of models that are gone; where there is no table, do nothing.

    Args:
        folder: of the run.
        name: of the table.
        gone: says of a model, a method and a forget set whether their rows are removed.

    Raises:
        ResultsError: if the table is damaged.
    """
    import pyarrow as pa

    path = folder / name
    with locked(folder):
        if not path.exists():
            return
        table = read_table(path)
        rows = list(zip(*(table[key].to_pylist() for key in ("model", "method", "forget_set")), strict=True))
        dropped = {row: gone(*row) for row in dict.fromkeys(rows)}
        kept = table.filter(pa.array([not dropped[row] for row in rows], pa.bool_()))
        if kept.num_rows == 0:
            path.unlink()
        elif kept.num_rows < table.num_rows:
            write_table(path, kept)


def _others(table: pa.Table, mine: Mapping[str, Any]) -> Any:
    """Which rows differ in at least one column; null is a value like any other."""
    import pyarrow as pa
    import pyarrow.compute as pc

    same: Any = pa.chunked_array([pa.repeat(True, table.num_rows)])
    for column, value in mine.items():
        values = table[column]
        if isinstance(value, list):
            here = pc.is_in(values, pa.array(value, values.type))
        else:
            here = pc.is_null(values) if value is None else pc.fill_null(pc.equal(values, value), False)
        same = pc.and_(same, here)
    return pc.invert(same)


if TYPE_CHECKING:
    MEASUREMENTS_SCHEMA: pa.Schema
    SUMMARY_SCHEMA: pa.Schema


def __getattr__(name: str) -> pa.Schema:
    """Make a schema the first time that its constant is asked for."""
    if name in ("MEASUREMENTS_SCHEMA", "SUMMARY_SCHEMA"):
        return measurements_schema() if name == "MEASUREMENTS_SCHEMA" else summary_schema()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
