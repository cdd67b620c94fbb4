"""The ledger on the disk, and what of it is shown as a table."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
from ledgers import kept, told_rows, write_ledger

from lightning_untrac.tables.ledger import Ledger, ledger_schema, read_ledgers
from lightning_untrac.tables.schema import ResultsError


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    write_ledger(tmp_path, told_rows())
    assert read_ledgers(tmp_path) == {"unlearned-secrets": [asdict(row) for row in told_rows()]}


def test_the_telling_rows_leave_out_retained_answers_at_rest(tmp_path: Path) -> None:
    at_rest = kept(4, "Where did Bo study?", True)
    rehearsed, wrong = replace(at_rest, verdict="rehearsed"), replace(at_rest, known=False)
    forgotten = next(row for row in told_rows() if row.kind == "forget")
    ledger = write_ledger(tmp_path, [at_rest, rehearsed, wrong, forgotten])
    assert ledger.telling() == [list(asdict(row).values()) for row in (forgotten, rehearsed, wrong)]
    assert list(asdict(forgotten)) == ledger_schema().names


def test_of_a_run_that_was_cut_the_whole_lines_are_read(tmp_path: Path) -> None:
    ledger = write_ledger(tmp_path, told_rows())
    ledger.table.unlink()
    text = ledger.lines.read_text()
    ledger.lines.write_text(text[:-5])
    assert read_ledgers(tmp_path) == {"unlearned-secrets": [asdict(row) for row in told_rows()][:-1]}
    ledger.lines.write_text("{" + text)
    with pytest.raises(ResultsError, match="is damaged"):
        read_ledgers(tmp_path)


def test_a_run_that_goes_on_keeps_the_lines_that_it_knows_of(tmp_path: Path) -> None:
    ledger = write_ledger(tmp_path, told_rows())
    ledger.begin(2)
    assert len(ledger.lines.read_text().splitlines()) == 2
    assert not ledger.table.exists()
    with pytest.raises(ResultsError, match="has 2 of the 3 lines"):
        ledger.begin(3)
    ledger.begin()
    assert ledger.lines.read_text() == ""


def test_line_ends_of_other_kinds_and_halves_of_characters_stay_inside_a_text(tmp_path: Path) -> None:
    rows = [replace(row, said="a\u2028b\u0085c\ud800") for row in told_rows()[:2]]
    ledger = Ledger(tmp_path / "unlearned-x")
    ledger.begin()
    ledger.append(rows)
    ledger.begin(2)
    assert read_ledgers(tmp_path) == {"unlearned-x": [asdict(row) for row in rows]}
