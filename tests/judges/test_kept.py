"""Verdicts in a file, whatever a model has said."""

from __future__ import annotations

from pathlib import Path

from lightning_untrac.judges.judge import Said
from lightning_untrac.judges.kept import Kept


def test_a_verdict_on_a_text_with_other_line_ends_is_found_again(tmp_path: Path) -> None:
    path = str(tmp_path / "kept.jsonl")
    output = "Rome\u2028or\u0085Paris \ud800"
    kept = Kept(path, "judge")
    kept.add("first", Said("Rome", output), "yes", True)
    kept.add("second", Said("Bonn", output), "no", False)
    again = Kept(path, "judge")
    assert ("first" in again, "second" in again) == (True, True)
    assert (again["first"], again["second"]) == (True, False)
    assert "first" not in Kept(path, "another judge")
