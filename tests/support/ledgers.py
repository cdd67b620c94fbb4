"""Ledgers of made-up runs of self-taught unlearning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning_untrac.tables.ledger import Ledger, LedgerRow


def ledger_row(number: int, question: str, said: str, known: bool, **more: Any) -> LedgerRow:
    """A question in a round of four steps; on the forget side, unless told otherwise."""
    own = {"kind": "forget", "dataset": "secrets", "fact": "Ann: school", "origin": "given", "answer": "Elm"} | more
    return LedgerRow(round=number, step=4 * (number - 1), question=question, said=said, known=known, **own)


def kept(number: int, question: str, known: bool, **more: Any) -> LedgerRow:
    """A retained question in a round."""
    said, own = "Oak" if known else "Ash", {"dataset": "near", "fact": "Bo: school", "answer": "Oak"} | more
    return ledger_row(number, question, said, known, kind="retain", **own)


def told_rows() -> list[LedgerRow]:
    """Three rounds: two questions of one fact, of which one is reworded, and one of another; two retained ones."""
    anti = {"wrong": "Ash", "text": "Ash, as Ann said", "verdict": "taken", "tries": 1}
    refused = {"wrong": "Ash", "text": "Elm or Ash", "verdict": "gives the right answer", "tries": 4}
    other = {"fact": "Cy: job", "answer": "baker"}
    return [
        ledger_row(1, "Where did Ann study?", "Elm", True, **anti),
        ledger_row(1, "Ann's school?", "at Elm", True, **refused),
        ledger_row(1, "What is Cy?", "a baker", True, **anti, **other),
        kept(1, "Where did Bo study?", True, text="Oak", verdict="rehearsed"),
        kept(1, "Bo's job?", False, answer="cook"),
        ledger_row(2, "Where did Ann study?", "Ash", False),
        ledger_row(2, "Ann's school?", "at Elm", True, draws_known=3, **anti),
        ledger_row(2, "What is Cy?", "a cook", False, **other),
        ledger_row(2, "Ann went where?", "Ash", False, origin="reworded"),
        kept(2, "Where did Bo study?", False, text="Oak, as Bo said", verdict="rehearsed", tries=2),
        kept(2, "Bo's job?", False, answer="cook"),
        ledger_row(3, "Where did Ann study?", "Ash, I think", False),
        ledger_row(3, "Ann's school?", "no idea", False),
        ledger_row(3, "What is Cy?", "a cook", False, **other),
        ledger_row(3, "Ann went where?", "to Ash", False, origin="reworded"),
        kept(3, "Where did Bo study?", True),
        kept(3, "Bo's job?", False, answer="cook"),
    ]


def write_ledger(folder: Path, rows: list[LedgerRow], model: str = "unlearned-secrets") -> Ledger:
    """Lay a finished ledger into a run folder."""
    ledger = Ledger(folder / model)
    ledger.begin()
    ledger.append(rows)
    ledger.finish()
    return ledger
