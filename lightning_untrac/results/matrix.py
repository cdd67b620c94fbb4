"""The matrix of corpora x test sets that a table of influences holds for one method."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from lightning_untrac.results.soundness import MISSING, learned_of, sound_columns
from lightning_untrac.tables.schema import (
    NATS_PER_TOKEN_MEAN_OF_EXAMPLES,
    PARTS,
    RELATIVE,
    STATUSES,
    InfluenceRow,
    ResultsError,
)

if TYPE_CHECKING:
    import pyarrow as pa

Readout = Literal["difference", "example", "relative"]


@dataclass(frozen=True, slots=True)
class InfluenceMatrix:
    """Influences of one method, K corpora x M test sets.

    Args:
        method: As in the ``method`` column.
        corpora: K names, one a row.
        test_sets: M names, one a column.
        values: Mean over seeds, float64 ``[K, M]``, in ``unit``; positive = the corpus helps the model to produce the
            test set; NaN where nothing was read.
        std: Standard deviation over seeds (with ``ddof=1``) ``[K, M]``; NaN where fewer than two seeds were read.
        flags: Worst status of the readings behind a cell, strings ``[K, M]``: a status of :class:`InfluenceRow`
            or ``"missing"``.
        learned: How far the loss before the first step lay below that of a uniform guess ``[K, M]``; NaN where that is
            not known.
        seeds: The seeds that were read, sorted.
        unit: Unit of the values.
    """

    method: str
    corpora: tuple[str, ...]
    test_sets: tuple[str, ...]
    values: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]
    flags: npt.NDArray[np.str_]
    learned: npt.NDArray[np.float64]
    seeds: tuple[int, ...]
    unit: str

    @property
    def num_seeds(self) -> int:
        """How many seeds were read."""
        return len(self.seeds)

    @property
    def usable(self) -> npt.NDArray[np.bool_]:
        """Cells that may be compared and ranked: status ok and a finite value; ``[K, M]``."""
        usable: npt.NDArray[np.bool_] = (self.flags == "ok") & np.isfinite(self.values)
        return usable

    def select(self, corpora: Sequence[str], test_sets: Sequence[str]) -> InfluenceMatrix:
        """The same influences with these rows and columns, in this order."""
        cells = np.ix_([self.corpora.index(c) for c in corpora], [self.test_sets.index(t) for t in test_sets])
        return replace(
            self,
            corpora=tuple(corpora),
            test_sets=tuple(test_sets),
            values=self.values[cells],
            std=self.std[cells],
            flags=self.flags[cells],
            learned=self.learned[cells],
        )

    def strongest(self) -> list[str]:
        """The corpus with the largest influence on each test set.

        Returns:
            M names; an empty string where the column allows no verdict (see :func:`why_no_verdict`).
        """
        sound = sound_columns(self)
        return [
            self.corpora[int(np.argmax(self.values[:, column]))] if sound[column] else ""
            for column in range(len(self.test_sets))
        ]

    def runner_up(self, test_set: str) -> tuple[str, float] | None:
        """The corpus that comes second for a test set, and its influence; ``None`` where there is none, or no first."""
        column = self.test_sets.index(test_set)
        best = self.strongest()[column]
        others = [(float(self.values[row, column]), name) for row, name in enumerate(self.corpora) if name != best]
        if not best or not others:
            return None
        value, name = max(others)
        return name, value


def as_records(rows: pa.Table | Iterable[InfluenceRow], parts: bool = False) -> list[dict[str, Any]]:
    """Rows as plain dicts, whatever they came as.

    Args:
        rows: A table or rows.
        parts: Whether to have the losses by parts too, from a table: they are most of its bytes.
    """
    if hasattr(rows, "to_pylist"):
        table: Any = rows
        wanted = [name for name in table.column_names if parts or name not in PARTS]
        records: list[dict[str, Any]] = table.select(wanted).to_pylist()
        return records
    return [row.as_dict() for row in rows]


def methods_of(rows: pa.Table | Iterable[InfluenceRow]) -> list[str]:
    """The methods in a table, in order of first appearance."""
    if hasattr(rows, "to_pylist"):
        table: Any = rows
        return list(table["method"].unique().to_pylist())
    return list(dict.fromkeys(record["method"] for record in as_records(rows)))


def _read(record: dict[str, Any], readout: Readout) -> float:
    if readout == "difference":
        return float(record["influence"])
    before, after = (
        (record["example_loss_before"], record["example_loss_after"])
        if readout == "example"
        else (record["loss_before"], record["loss_after"])
    )
    if before is None or after is None:
        raise ResultsError(
            f"Method {record['method']!r} wrote no losses, so the readout {readout!r} cannot be made for it. "
            "Use the readout 'difference'."
        )
    with np.errstate(all="ignore"):  # an overflow or 0/0 gives inf or NaN, which the flag of the cell says
        difference = np.float64(after) - np.float64(before)
        return float(difference if readout == "example" else difference / (np.float64(after) + np.float64(before)))


def _select(records: list[dict[str, Any]], step: int | None) -> dict[tuple[str, str, int], dict[str, Any]]:
    """One record a (corpus, test set, seed): at ``step``, or the final one (the latest, should there be several)."""
    chosen: dict[tuple[str, str, int], dict[str, Any]] = {}
    for record in records:
        if record["final"] if step is None else record["step"] == step:
            key = (record["corpus"], record["test_set"], record["seed"])
            if key not in chosen or record["step"] >= chosen[key]["step"]:
                chosen[key] = record
    return chosen


def _only_final(
    table: Any, method: str, corpora: Sequence[str] | None, test_sets: Sequence[str] | None
) -> tuple[Any, Sequence[str] | None, Sequence[str] | None]:
    """The final readings of a method and the order of all its readings; the whole table where none is final."""
    import pyarrow.compute as pc

    mine = table.filter(pc.equal(table["method"], method))
    final = mine.filter(mine["final"])
    if not final.num_rows:
        return table, corpora, test_sets
    corpora = mine["corpus"].unique().to_pylist() if corpora is None else corpora
    return final, corpora, mine["test_set"].unique().to_pylist() if test_sets is None else test_sets


def _mean_and_std(readings: list[float]) -> tuple[float, float]:
    """Over seeds; of hundreds of corpora with a single seed each NumPy's own way of doing it takes seconds."""
    if len(readings) == 1:
        return readings[0], np.nan
    cell = np.array(readings, dtype=np.float64)
    with np.errstate(all="ignore"):  # readings that are not finite are flagged, not hidden
        return float(cell.mean()), float(cell.std(ddof=1))


def influence_matrix(
    rows: pa.Table | Iterable[InfluenceRow],
    method: str,
    step: int | None = None,
    *,
    corpora: Sequence[str] | None = None,
    test_sets: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    readout: Readout = "difference",
) -> InfluenceMatrix:
    """Gather the influences of one method into a matrix.

    Args:
        rows: Readings, as a table or as rows.
        method: Which method.
        step: Take the readings at this step; the final ones if ``None``.
        corpora: Order and choice of the rows; those of the table, in order of first appearance, if ``None``.
        test_sets: The same for the columns.
        seeds: Average over these seeds only; all of them if ``None``.
        readout: ``"difference"`` takes the ``influence`` column; ``"example"`` the difference of the mean losses over
            examples; ``"relative"`` is (after - before) / (after + before), which has no unit.

    Returns:
        The matrix, mean over seeds.

    Raises:
        ResultsError: If the table has no such readings, or the readout needs losses that the method did not write.

    >>> row = InfluenceRow(method="untrac", corpus="forum", test_set="toxic", seed=0, step=8, final=True, influence=0.5)
    >>> influence_matrix([row], "untrac").values
    array([[0.5]])
    """
    if step is None and hasattr(rows, "to_pylist"):
        rows, corpora, test_sets = _only_final(rows, method, corpora, test_sets)
    records = as_records(rows)
    mine = [record for record in records if record["method"] == method]
    chosen = _select([r for r in mine if seeds is None or r["seed"] in seeds], step)
    if not chosen:
        known = ", ".join(dict.fromkeys(r["method"] for r in records)) or "none"
        what = "no final readings" if step is None else f"no readings at step {step}"
        if not mine:
            raise ResultsError(f"There are no influences of method {method!r}; the table has: {known}. Run it first.")
        steps = ", ".join(str(s) for s in sorted({r["step"] for r in mine})[:12])
        raise ResultsError(f"Method {method!r} has {what} (steps read: {steps}). Let the run finish, or ask for one.")
    rows_order = list(corpora) if corpora is not None else list(dict.fromkeys(r["corpus"] for r in mine))
    columns = list(test_sets) if test_sets is not None else list(dict.fromkeys(r["test_set"] for r in mine))

    shape = (len(rows_order), len(columns))
    values, std = np.full(shape, np.nan), np.full(shape, np.nan)
    flags, learned = np.full(shape, MISSING, dtype="<U9"), np.full(shape, np.nan)
    cells: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for (corpus, test_set, _), record in sorted(chosen.items(), key=lambda item: item[0]):
        cells.setdefault((corpus, test_set), []).append(record)
    for i, corpus in enumerate(rows_order):
        for j, test_set in enumerate(columns):
            readings = cells.get((corpus, test_set))
            if not readings:
                continue
            values[i, j], std[i, j] = _mean_and_std([_read(r, readout) for r in readings])
            flags[i, j] = max((r["status"] for r in readings), key=STATUSES.index)
            learned[i, j] = learned_of(readings)
    flags[(flags == "ok") & ~np.isfinite(values)] = "nonfinite"
    units = dict.fromkeys(r["unit"] for r in chosen.values())
    unit = {"example": NATS_PER_TOKEN_MEAN_OF_EXAMPLES, "relative": RELATIVE}.get(readout, " / ".join(units))
    return InfluenceMatrix(
        method=method,
        corpora=tuple(rows_order),
        test_sets=tuple(columns),
        values=values,
        std=std,
        flags=flags,
        learned=learned,
        seeds=tuple(sorted({seed for _, _, seed in chosen})),
        unit=unit,
    )
