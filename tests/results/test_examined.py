"""What pages show of examinations, by what tables and run.json say of them alone."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lightning_untrac.results.examined import Examined, Line, find_examined, said_of
from lightning_untrac.results.examined_section import draw_examined, examined_section
from lightning_untrac.results.judged import JudgedModel, JudgedSet, Value
from lightning_untrac.results.judged_table import measure_rows, measures_table
from lightning_untrac.results.measures import MeasureText, describe_measure
from lightning_untrac.tables.examinations import EXAMINATION_SUMMARY, examination_summary_schema
from lightning_untrac.tables.files import write_table

describe_measure("shaken", MeasureText("Shaken", "cm", "lower", "as the retrained model", "whether it hurts"))
RUN = {
    "examinations": {"shaking": {"title": "Shaking", "axis": "shakes", "measure": "shaken"}},
    "examined": {
        "forum/shaking": {"u": "u comes back after 5 shakes.", "o": "The original never <moves>.", "r/0": ""},
        "poems/shaking": {"u": "Elsewhere."},
    },
}
ROLES = {"o": "original", "u": "unlearned", "r/0": "retrained", "r/1": "retrained"}
MODELS = [JudgedModel("o", "evaluate", "original", {}), JudgedModel("u", "how", "unlearned", {})]
JUDGED = JudgedSet("forum", 2, MODELS, [], ["forum"], JudgedModel("r", "retrain", "retrained", {}))


def rows() -> list[dict[str, Any]]:
    """Means of the own and of another measure, at places and without, and a number that is concluded."""
    found = []
    for place, (model, role) in enumerate(ROLES.items()):
        state = {"model": model, "method": "how", "forget_set": "forum", "role": role, "seed": None}
        state |= {"examination": "shaking", "dataset": "forum", "condition": "", "unit": "cm"}
        for at in (None, *range(20)):
            value = float(place if at is None else place + at)
            ends = {"ci_low": value - 0.5, "ci_high": value + 0.5}
            found.append({**state, "at": at, "measure": "shaken", "statistic": "mean", "value": value, **ends})
        more = {"ci_low": None, "ci_high": None, "at": None}
        found.append({**state, **more, "measure": "loss_after", "statistic": "mean", "value": 7.0})
        found.append({**state, **more, "dataset": "far", "measure": "shaken", "statistic": "mean", "value": 9.0})
        if role == "unlearned":
            steps = {**more, "measure": "shaken", "statistic": "steps_to_half", "value": 5.0, "unit": "shakes"}
            found.append({**state, **steps, "condition": "by hand"})
    return found


@pytest.fixture
def examined(tmp_path: Path) -> Examined:
    table = pa.Table.from_pylist(rows(), schema=examination_summary_schema())
    write_table(tmp_path / EXAMINATION_SUMMARY, table)
    found = {one.forget_set: one for one in find_examined(tmp_path, RUN)}
    assert set(found) == {"forum", "poems"}  # of poems there is a sentence alone
    return found["forum"]


def test_numbers_without_a_place_are_in_the_table_of_methods_by_measures(examined: Examined) -> None:
    mean, steps = measure_rows(JUDGED, ["forum"], [examined])
    assert (mean.title, mean.unit, mean.arrow, mean.ideal) == ("Shaking", "cm", "\u2193", "as the retrained model")
    assert [(name, cells[0].text) for name, cells in mean.rows] == [
        ("the original", "0 \u00b1 0.500"), ("u", "1.00 \u00b1 0.50"), ("retrained (2)", "2.50"),
    ]  # fmt: skip
    # Of what is concluded nobody has said which numbers are good, and models that have none have no row.
    assert (steps.title, steps.unit, steps.arrow, steps.ideal) == (
        "Shaking: by hand, steps to half", "shakes", "", "",
    )  # fmt: skip
    assert [(name, cells[0].text) for name, cells in steps.rows] == [("u", "5.00")]
    page = measures_table(JUDGED, [examined])
    assert '<td class="aim" rowspan="3">\u2193</td><td class="aim" rowspan="3">as the retrained model</td>' in page
    assert measure_rows(JUDGED, ["forum"]) == []


def test_a_statistic_may_be_the_main_number_and_the_first_measure_stands_for_all(examined: Examined) -> None:
    """Steps until half is back, of several measures: never is infinite."""
    describe_measure("to_half", MeasureText("Back", "steps", "lower", "as the control"))
    by = {measure: Line(measure, "to_half", "forum", "", None, "steps") for measure in ("loss_after", "shaken")}
    lines = {line: {"u": Value(math.inf), "r/0": Value(3.0), "r/1": Value(4.0)} for line in by.values()}
    back = replace(examined, title="Back", measure="to_half", lines=lines)
    (group,) = measure_rows(JUDGED, ["forum"], [back])
    assert (group.title, group.arrow, group.ideal) == ("Back: loss_after", "\u2193", "as the control")
    assert [(name, cells[0].text) for name, cells in group.rows] == [("u", "\u221e"), ("retrained (2)", "3.50")]
    page = examined_section([back], [JUDGED], {})
    assert page.count("<td>Shaken</td>") == 1
    assert "loss_after" not in page


def test_the_section_says_what_does_not_lead_the_page(examined: Examined) -> None:
    page = examined_section([examined], [JUDGED], {})
    assert "comes back after 5 shakes" not in page
    assert "The original never &lt;moves&gt;." in page
    assert "whether it hurts" in page
    others = page.partition("Other numbers")[2].partition("</table>")[0]
    assert re.findall(r"<td>(.*?)</td>", others) == ["loss_after", "forum", "cm", "Shaken", "far", "cm"]
    along = page.partition("In numbers")[2]
    assert "<details open>" in page
    places = re.findall(r'<th class="n">(\d+)</th>', along)
    assert len(places) <= 9
    assert places[-1] == "19"
    assert along.count("<tr><td>") == 3
    assert examined_section([], [], {}) == ""


def test_a_picture_shuts_the_numbers(examined: Examined, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"picture")
    page = examined_section([examined], [JUDGED], {"forum": {"shaking": tmp_path / "x.png"}})
    assert "a line a model, over the shakes" in page
    assert "<details open>" not in page


def test_examinations_with_an_axis_are_drawn_by_forget_set(examined: Examined, tmp_path: Path) -> None:
    drawn = draw_examined(tmp_path, RUN)
    assert list(drawn) == ["forum"]
    assert list(drawn["forum"]) == ["shaking"]
    page = examined_section([examined], [JUDGED], drawn)
    assert page.count("data:image/png") == 1
    assert draw_examined(tmp_path / "nowhere", RUN) == {}


def test_sentences_of_all_examinations_are_by_model(examined: Examined) -> None:
    other = replace(examined, name="other", said={"u": "And it squeaks."})
    poems = replace(examined, forget_set="poems")
    assert said_of([examined, other, poems], "forum") == {
        "u": ["u comes back after 5 shakes.", "And it squeaks."],
        "o": ["The original never <moves>."],
    }


def test_a_folder_without_examinations_has_none(tmp_path: Path) -> None:
    assert find_examined(tmp_path, {}) == []
    assert find_examined(tmp_path, {"examined": ["x"], "examinations": "y"}) == []
