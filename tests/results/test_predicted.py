"""What the report makes of predictions in ``run.json``, beside measurements whose answer is known."""

from typing import Any

import pytest

from lightning_untrac.results.measured import Measured, Reading, UnlearningRun
from lightning_untrac.results.measures import read_measure_texts
from lightning_untrac.results.predicted import predicted_section

RISES = {"news": (0.1, 0.0, 0.2), "chat": (0.5, 2.0, -0.1), "code": (-0.2, -1.0, 0.1)}


def measured() -> Measured:
    read_measure_texts({"loss": {"title": "Loss", "unit": "nats/token", "direction": "lower"}})
    ends = {name: (peak, end) for name, (_, peak, end) in RISES.items()} | {"forum": (3.0, 1.0)}
    curves = {
        ("loss", name): [Reading(step, 1.0 + rise, 0.0, 9.0, "ok") for step, rise in ((0, 0.0), (1, peak), (2, end))]
        for name, (peak, end) in ends.items()
    }
    return Measured([UnlearningRun("how", "forum", 0, "m", curves, {})], {}, {}, {})


def test_it_is_held_against_what_came() -> None:
    rows = [{"dataset": name, "rise": rise, "influence": None} for name, (rise, _, _) in RISES.items()]
    told = {"unlearn-forum": {"method": "how", "forget_set": "forum", "seed": 0, "rows": rows}}
    page = predicted_section({"predicted": told}, measured())
    # Ranks: predicted news 2, chat 3, code 1; at the peak the same; at the end news 3, chat 1, code 2.
    assert "(n = 3): +1.00 where" in page
    assert "\u22120.500 at the end" in page


@pytest.mark.parametrize("told", [None, 3, {"a": 3}, {"a": {"rows": 3}}, {"a": {"rows": [], "method": "how"}}])
def test_another_form_is_passed_over(told: Any) -> None:
    assert predicted_section({"predicted": told}, measured()) == ""
