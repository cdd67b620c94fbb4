"""The ledger of a self-taught unlearning: a line a question and round as it happens, and a table at the end."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lightning_untrac.tables.files import write_table
from lightning_untrac.tables.measurements import rows_if_there
from lightning_untrac.tables.schema import ResultsError, schema_of
from lightning_untrac.text_lines import lines_of

if TYPE_CHECKING:
    import pyarrow as pa

LEDGER_LINES: Final = ".ledger.jsonl"
LEDGER: Final = ".ledger.parquet"
"""Endings of the files beside the model's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """A question in a round.

    Attributes:
        round: from 1 on.
        step: optimizer steps before it.
        kind: ``forget`` or ``retain``.
        dataset: that the question, or the one it was reworded from, stands in.
        fact: group of the question, or its answer.
        question: in plain text.
        origin: ``given`` or ``reworded``.
        answer: the right one.
        said: what the model answered, greedily.
        known: whether a judge finds the right answer in it (or in a draw).
        draws_known: in how many of the further draws.
        wrong: the wrong answer that an anti-sample was asked for; empty where none was.
        text: the newest text that was written for it: the anti-sample, or what is rehearsed.
        verdict: ``taken``; else why the text was not, or ``broken`` for a retained answer that went wrong and could
            not be rehearsed with a reason.
        tries: texts that were written for it.
    """

    round: int
    step: int
    kind: str
    dataset: str
    fact: str
    question: str
    origin: str
    answer: str
    said: str
    known: bool
    draws_known: int = 0
    wrong: str = ""
    text: str = ""
    verdict: str = ""
    tries: int = 0


@cache
def ledger_schema() -> pa.Schema:
    """Columns of the table, those of :class:`LedgerRow`."""
    kinds = {"round": "int", "step": "int", "known": "bool", "draws_known": "int", "tries": "int"}
    return schema_of([(name, kinds.get(name, "string"), False) for name in LedgerRow.__dataclass_fields__])


class Ledger:
    """Append rows to ``<model folder>.ledger.jsonl``; each round reaches the disk before the next one begins.

    Args:
        model: folder of the model that comes out, beside which it lies.
    """

    def __init__(self, model: Path) -> None:
        self.lines = model.with_name(model.name + LEDGER_LINES)
        self.table = model.with_name(model.name + LEDGER)

    def begin(self, rows: int = 0) -> None:
        """Keep the first rows, which a run that goes on knows of, and drop the others.

        Args:
            rows: how many; 0 for a new run.

        Raises:
            ResultsError: if the file has fewer.
        """
        self.lines.parent.mkdir(parents=True, exist_ok=True)
        kept = lines_of(self.lines)[:rows] if self.lines.exists() else []
        if len(kept) < rows or not all(line.endswith("\n") for line in kept):
            raise ResultsError(
                f"{self.lines} has {len(kept)} of the {rows} lines that the checkpoint knows of; put the file back, or "
                "begin anew with --overwrite true"
            )
        beside = self.lines.with_name(self.lines.name + ".new")
        beside.write_text("".join(kept), encoding="utf-8")
        os.replace(beside, self.lines)
        self.table.unlink(missing_ok=True)

    def append(self, rows: Iterable[LedgerRow]) -> None:
        """Write rows at the end."""
        with self.lines.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(row)) + "\n" for row in rows)
            file.flush()
            os.fsync(file.fileno())

    def finish(self) -> None:
        """Write the table."""
        import pyarrow as pa

        found = [json.loads(line) for line in lines_of(self.lines)]
        write_table(self.table, pa.Table.from_pylist(found, schema=ledger_schema()))

    def telling(self) -> list[list[Any]]:
        """What a person looks at: all of the forget side, then retained questions that were wrong or rehearsed.

        Returns:
            Cells in the order of :func:`ledger_schema`.
        """
        rows = rows_if_there(self.table, ledger_schema())
        forgotten = [row for row in rows if row["kind"] == "forget"]
        kept = [row for row in rows if row["kind"] != "forget" and (row["verdict"] or not row["known"])]
        return [list(row.values()) for row in [*forgotten, *kept]]


def read_ledgers(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The ledgers of a run folder by the model's name; of a run that has not ended, the lines that it has written.

    Raises:
        ResultsError: if one is damaged.
    """
    tables = {path.name.removesuffix(LEDGER): path for path in folder.glob(f"*{LEDGER}")}
    lines = {path.name.removesuffix(LEDGER_LINES): path for path in folder.glob(f"*{LEDGER_LINES}")}
    return {
        name: rows_if_there(tables[name], ledger_schema()) if name in tables else _whole_lines(lines[name])
        for name in sorted({*tables, *lines})
    }


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a file whose last line may be cut off."""
    found = lines_of(path)
    try:
        return [json.loads(line) for line in found if line.endswith("\n")]
    except ValueError as error:
        raise ResultsError(f"{path}: is damaged ({error}); put a copy in its place, or delete it") from error
