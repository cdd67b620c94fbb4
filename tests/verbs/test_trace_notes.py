from __future__ import annotations

from lightning_untrac.attribution.trace_notes import how_it_was_made, went_far
from lightning_untrac.objectives import ClampedAscent, GradientAscent
from lightning_untrac.tables import InfluenceRow


def row(influence: float, **fields: object) -> InfluenceRow:
    about = {"method": "untrac", "corpus": "c", "test_set": "t", "seed": 0, "step": 1, "final": True}
    return InfluenceRow(**{**about, "influence": influence, **fields})  # type: ignore[arg-type]


def test_unlearning_that_went_far_is_said_with_what_to_do() -> None:
    (note,) = went_far("trace-untrac", [row(0.1), row(1.96)])
    assert "by up to 1.96 nats per token" in note
    assert "--read_at_own_rise 0.02" in note
    assert went_far("trace-untrac", [row(0.3)]) == []
    assert went_far("trace-untrac", [row(9.0, final=False), row(0.1)]) == []
    assert went_far("trace-untrac", [row(9.0, unit="cosine")]) == []
    assert went_far("trace-untrac", []) == []


def test_what_a_table_does_not_show_is_said() -> None:
    assert how_it_was_made("trace-untrac", GradientAscent(), "") == []
    assert "ClampedAscent" in how_it_was_made("trace-untrac", ClampedAscent(), "")[0]
    assert "read at read_at_kl 0.01" in how_it_was_made("trace-untrac", GradientAscent(), "read_at_kl 0.01")[0]
