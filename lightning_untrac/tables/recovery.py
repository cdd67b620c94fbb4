"""A damaged table makes way for the state before its last change; nothing is thrown away."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_untrac.tables import schema as schemas
from lightning_untrac.tables.examples import check_examples
from lightning_untrac.tables.files import atomic_path, read_table
from lightning_untrac.tables.schema import ResultsError
from lightning_untrac.tables.store import InfluenceStore, conform

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class Damage:
    """A table that could not be read, and what became of it.

    Attributes:
        path: Where the table belongs.
        aside: Where the damaged file is now.
        rows: Rows of the state that took its place; None where there was none.
        cause: What was wrong.
    """

    path: Path
    aside: Path
    rows: int | None
    cause: str

    def __str__(self) -> str:
        instead = (
            "there is no earlier state, so that all it held is computed anew"
            if self.rows is None
            else f"its state before the last change ({self.rows} rows) took its place, and what is missing is "
            "computed anew"
        )
        return (
            f"{self.path} was damaged ({self.cause}); it is kept as {self.aside.name}; {instead} by the command that "
            "wrote it"
        )


def recover(store: InfluenceStore) -> list[Damage]:
    """Check both tables of a run against their checksums, and mend those that are damaged.

    Call it while holding ``store.locked()``: several ranks begin at the same time, and the first one mends.

    Args:
        store: Of the run.

    Returns:
        What was damaged; nothing where all is well.
    """
    found = []
    for path, schema, check in (
        (store.path, schemas.influence_schema(), read_table),
        (store.examples_path, schemas.examples_schema(), check_examples),
    ):
        if path.is_file() and os.access(path, os.R_OK):
            try:
                check(path)
            except ResultsError as error:
                found.append(_mend(path, store.previous(path), schema, error))
    return found


def set_aside(path: Path) -> Path:
    """Rename a damaged file to ``<name>.damaged`` (``-2``, ``-3``, ... where that is taken).

    Args:
        path: A file.

    Returns:
        Its new path.
    """
    aside, number = path.with_name(f"{path.name}.damaged"), 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{number}")
    os.replace(path, aside)
    return aside


def _mend(path: Path, previous: Path, schema: pa.Schema, error: ResultsError) -> Damage:
    cause = str(error.__cause__ or "its content does not match its checksum").splitlines()[0]
    rows = None
    if previous.is_file():
        try:
            rows = conform(read_table(previous), schema, previous).num_rows
        except ResultsError:
            previous.unlink()
    aside = set_aside(path)
    if rows is not None:
        with atomic_path(path) as beside:
            shutil.copyfile(previous, beside)
    return Damage(path, aside, rows, cause)
