"""What a run's folder holds, read and computed once for everything that shows it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lightning_untrac.results.doubts import doubts
from lightning_untrac.results.examined import Examined, find_examined
from lightning_untrac.results.judged import JudgedSet, find_judged
from lightning_untrac.results.ledgers import LedgerStory, find_ledgers
from lightning_untrac.results.matrix import InfluenceMatrix
from lightning_untrac.results.measured import Measured, find_measured
from lightning_untrac.results.measures import read_measure_texts
from lightning_untrac.results.memorised import MemorisedSet, find_memorised
from lightning_untrac.results.memorised_steps import ForgettingSteps, find_memorisation_steps
from lightning_untrac.results.methods import REFERENCE, read_texts
from lightning_untrac.results.narrative import headline_method
from lightning_untrac.results.ordering import in_configured_order
from lightning_untrac.results.plots import matrices_of
from lightning_untrac.results.run_facts import sound_facts, sound_notes
from lightning_untrac.results.self_check import self_check
from lightning_untrac.results.sentence import Sentence
from lightning_untrac.results.uncertainty import InfluenceIntervals, influence_intervals
from lightning_untrac.tables.files import read_table
from lightning_untrac.tables.schema import ResultsError

if TYPE_CHECKING:
    import pyarrow as pa

_LEVELS: Final = ("error", "warning", "info")


@dataclass(frozen=True)
class Found:
    """What a run's folder holds.

    Attributes:
        folder: the run's folder.
        reference: the method that counts as truth.
        run: content of ``run.json``.
        table: the influences, in their configured order; None where nothing was traced.
        measured: what was measured before and after unlearning, and of models as they are; None where nothing was.
        matrices: by method.
        intervals: by method, of those that have any.
        failed: methods that did not find what is known.
        headline: the method that the answers are read from; empty where nothing was traced.
        comparison: how methods agree with the reference, if that was asked.
        examples: influences of single examples, if there are any.
        notes: remarks of the run and doubts about its numbers, by level, the worst first.
        judged: what unlearned models are like beside retrained ones, a forget set each.
        memorised: what models know of each sequence of a forget set, a forget set each.
        forgetting: how each model forgot its set step by step, and where retrained models stand.
        ledgers: how models forgot that taught themselves, question by question.
        examined: what examinations found of models, an examination and forget set each.
    """

    folder: Path
    reference: str
    run: Mapping[str, Any]
    table: pa.Table | None
    measured: Measured | None
    matrices: Mapping[str, InfluenceMatrix]
    intervals: Mapping[str, InfluenceIntervals]
    failed: frozenset[str]
    headline: str
    comparison: pa.Table | None
    examples: pa.Table | None
    notes: list[tuple[str, Sentence]]
    judged: Sequence[JudgedSet] = ()
    memorised: Sequence[MemorisedSet] = ()
    forgetting: Sequence[ForgettingSteps] = ()
    ledgers: Sequence[LedgerStory] = ()
    examined: Sequence[Examined] = ()


def find(folder: str | os.PathLike[str], reference: str = REFERENCE) -> Found:
    """Read the tables of a run and compute what they say.

    Args:
        folder: The run's folder.
        reference: The method that counts as truth.

    Raises:
        ResultsError: If there are neither influences nor measurements, or a file is damaged.
    """
    folder = Path(folder)
    table = _optional(folder / "influence.parquet")
    run: dict[str, Any] = sound_facts(_json(folder / "run.json", dict))
    read_texts(run.get("methods"))
    read_measure_texts(run.get("measures"))  # before anything asks for a title, whatever tables there are
    measured = find_measured(folder, run)
    judged = find_judged(folder, run)
    if table is None or not table.num_rows:
        if measured is None and not judged:
            raise ResultsError(
                f"{folder} holds no influences (influence.parquet) and no measurements (summary.parquet): there is "
                "nothing to report yet. Run `untrac trace`, `untrac unlearn` or `untrac evaluate` first."
            )
        table = None
    else:
        table = in_configured_order(table, run.get("data") or [])
    comparison = _optional(folder / "comparison.parquet")
    remarks: list[Any] = sound_notes(_json(folder / "notes.json", list))
    matrices = {} if table is None else matrices_of(table)
    chance = {method: _intervals(table, method) for method in matrices}
    intervals = {method: its for method, its in chance.items() if its is not None}
    checks = {method: self_check(matrix) for method, matrix in matrices.items()}
    failed = frozenset(method for method, check in checks.items() if check is not None and not check.passed)
    notes: list[tuple[str, Sentence]] = [(_level(remark), (_text(remark),)) for remark in remarks]
    if matrices:
        notes += doubts(list(matrices.values()), reference, comparison, intervals)
    return Found(
        folder,
        reference,
        run,
        table,
        measured,
        matrices,
        intervals,
        failed,
        headline_method(list(matrices), reference, failed) if matrices else "",
        comparison,
        _optional(folder / "examples.parquet"),
        sorted(notes, key=lambda note: _LEVELS.index(note[0])),
        judged,
        find_memorised(folder),
        find_memorisation_steps(folder),
        find_ledgers(folder),
        find_examined(folder, run),
    )


def _intervals(table: Any, method: str) -> InfluenceIntervals | None:
    import pyarrow.compute as pc

    return influence_intervals(table.filter(pc.equal(table["method"], method)), method)


def _json(path: Path, kind: type) -> Any:
    """A JSON file beside the tables; an empty ``kind`` if it is not there."""
    if not path.exists():
        return kind()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ResultsError(
            f"{path} cannot be read as JSON ({error}). Mend it, or delete it and write the report again."
        ) from error
    if not isinstance(content, kind):
        raise ResultsError(f"{path} holds a {type(content).__name__}, not a {kind.__name__}. Mend it or delete it.")
    return content


def _optional(path: Path) -> pa.Table | None:
    return read_table(path) if path.exists() else None


def _level(remark: object) -> str:
    level = remark.get("level") if isinstance(remark, Mapping) else None
    return level if level in _LEVELS else "warning"


def _text(remark: object) -> str:
    return str(remark.get("text", "")) if isinstance(remark, Mapping) else str(remark)
