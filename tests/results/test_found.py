"""What a run's folder holds, found once."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from lightning_untrac.results.found import find
from lightning_untrac.results.measures import MeasureText, measure_text
from lightning_untrac.tables.distances import JUDGEMENTS, judgements_schema
from lightning_untrac.tables.measurements import replace_rows


def test_a_judgement_without_measurements_has_its_titles(tmp_path: Path) -> None:
    """A process that only shows results knows measures by what the run's file says of them."""
    state = {"model": "a/unlearned", "method": "how", "role": "unlearned", "forget_set": "forum", "retrained": 2}
    row = {**state, "measure": "unheard_of", "dataset": "forum", "statistic": "distance", "value": 1.0, "unit": ""}
    replace_rows(tmp_path, JUDGEMENTS, {"forget_set": "forum"}, pa.Table.from_pylist([row], schema=judgements_schema()))
    said = {"title": "Unheard of", "unit": "nats per token", "direction": "lower"}
    (tmp_path / "run.json").write_text(json.dumps({"measures": {"unheard_of": said}}))
    assert measure_text("unheard_of").title == "unheard_of"
    assert find(tmp_path).measured is None
    assert measure_text("unheard_of") == MeasureText("Unheard of", "nats per token", "lower")
