"""What the report makes of a judgement, from models whose answers are known."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lightning_untrac.metrics import find_measures
from lightning_untrac.results.colours import RETRAINED_COLOUR, model_colours
from lightning_untrac.results.judged import JudgedSet, find_judged
from lightning_untrac.results.judged_section import EXCESS, judged_section, save_judged_plots
from lightning_untrac.results.judged_spread import plot_spread, spread_of
from lightning_untrac.results.judged_table import LIKE, measure_rows, measures_table
from lightning_untrac.results.judged_time import time_rows, time_section, time_table
from lightning_untrac.results.recovered_section import recovered_answers, recovered_section
from lightning_untrac.results.terminal import result_console
from lightning_untrac.results.terminal_tables import judged_table
from lightning_untrac.results.verdict import verdicts_on
from lightning_untrac.runs.judged_measures import ReadModel, write_judged_measures
from lightning_untrac.tables.distances import JUDGEMENTS, judgements_schema
from lightning_untrac.tables.files import read_table
from lightning_untrac.tables.judged import JUDGED_EXAMPLES, JUDGED_MEASURES, read_judged_examples
from lightning_untrac.tables.measurements import replace_rows

MEASURES = find_measures("loss,memorisation_accuracy")
SIZE = 40
GROUPS = {
    "forum": ["forum"], "news": ["news"], "code": ["code"], "toxicity": ["toxicity"], "unseen": ["unseen"],
    "(retained)": ["news", "code"], "(test sets)": ["toxicity"],
}  # fmt: skip
RUN = {
    "measures": {measure.name: {} for measure in MEASURES},
    "data": [
        {"name": name, "role": role}
        for name, role in (("forum", "corpus"), ("news", "corpus"), ("code", "corpus"), ("toxicity", "test set"),
                           ("unseen", "holdout"))
    ],
}  # fmt: skip
#: Loss of each model on the forget set, news, code, the test set and the holdout.
LOSSES = {
    "original": (1.0, 2.0, 1.5, 1.0, 3.0),
    "half": (2.0, 1.8, 1.5, 2.0, 3.0),
    "none": (1.0, 2.0, 1.5, 1.0, 3.0),
    0: (3.0, 1.6, 1.5, 3.0, 3.0),
    1: (3.02, 1.6, 1.5, 3.1, 3.0),
}
MARKS = tuple("ab"[place % 2] for place in range(SIZE))


def model(folder: Path, name: str | int, forget: str) -> ReadModel:
    """A model whose losses differ from text to text, alike for all models; a retrained one has a little of its own."""
    chance = np.random.default_rng(0)
    arrays: dict[str, dict[str, Any]] = {f"{m.name}/{part}": {} for m in MEASURES for part in ("value", "weight")}
    for dataset, level in zip(("forum", "news", "code", "toxicity", "unseen"), LOSSES[name], strict=True):
        own = {0: 0.01, 1: -0.01}.get(name, 0.0) * np.random.default_rng(1).standard_normal(SIZE)  # type: ignore[call-overload]
        loss = level + chance.standard_normal(SIZE) * 0.3 + own
        for measure, values in zip(MEASURES, (loss, np.exp(-loss)), strict=True):
            arrays[f"{measure.name}/value"][dataset] = values
            arrays[f"{measure.name}/weight"][dataset] = np.full(SIZE, 7.0)
    if isinstance(name, int):
        return ReadModel(str(folder / f"retrained-{forget}/seed-{name}"), "retrain", "retrained", name, arrays)
    role = "original" if name == "original" else "unlearned"
    path = "model" if name == "original" else f"unlearned-{forget}-{name}"
    return ReadModel(str(folder / path), "how", role, None, arrays)


def judge(folder: Path, forget: str = "forum") -> None:
    """The tables that ``untrac judge`` writes."""
    models = [model(folder, name, forget) for name in LOSSES]
    write_judged_measures(folder, forget, MEASURES, models, GROUPS, {"news": MARKS, "code": None})
    rows = []
    for one in models[:3]:
        state = {"model": one.path, "method": "how", "forget_set": forget, "role": one.role, "measure": "loss_gap"}
        excess = {"original": 0.9, "unlearned": 0.4}[one.role]
        numbers = {"excess": excess, "nearer": 0.4, "noise": 0.2, "start": 2.0, "distance": 1.0}
        for dataset in GROUPS:
            for statistic, value in numbers.items():
                ends = {"ci_low": value - 0.1, "ci_high": value + 0.1}
                more = {"dataset": dataset, "statistic": statistic, "value": value, "unit": "", "retrained": 2}
                rows.append({**state, **more, **ends})
    replace_rows(folder, JUDGEMENTS, {"forget_set": forget}, pa.Table.from_pylist(rows, schema=judgements_schema()))
    (folder / "run.json").write_text(json.dumps(RUN))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    judge(tmp_path)
    return tmp_path


@pytest.fixture
def judged(folder: Path) -> JudgedSet:
    (one,) = find_judged(folder, RUN)
    return one


def test_means_and_differences_are_those_of_the_examples(folder: Path) -> None:
    means = read_table(folder / JUDGED_MEASURES).to_pandas()
    examples = read_table(folder / JUDGED_EXAMPLES).to_pandas()
    loss = examples[examples["measure"] == "loss"]
    assert len(loss) == 5 * 5 * SIZE
    of = means[means["measure"] == "loss"].set_index(["role", "dataset", "statistic"]).sort_index()
    for dataset, names in GROUPS.items():
        mine = loss[loss["dataset"].isin(names)]
        original = mine.loc[mine["role"] == "original", "value"].mean()
        retrained = mine.loc[mine["role"] == "retrained", "value"].mean()
        assert of.loc[("original", dataset, "mean"), "value"].item() == pytest.approx(original)
        assert of.loc[("original", dataset, "difference"), "value"].item() == pytest.approx(original - retrained)
        both = of.loc[("retrained", dataset, "mean")]
        assert sorted(both["seed"].fillna(-1)) == [-1, 0, 1]
        assert both.loc[both["seed"].isna(), "value"].item() == pytest.approx(retrained)
    # Nothing can come back of what is to be forgotten.
    assert ("retrained", "forum", "gain") not in of.index
    assert ("unlearned", "forum", "recovered") not in of.index


def test_two_forget_sets_of_a_folder_stay_apart(folder: Path) -> None:
    """The original has rows of both."""
    judge(folder, "poems")
    found = {one.forget_set: one for one in find_judged(folder, RUN)}
    assert list(found) == ["forum", "poems"]
    for name, one in found.items():
        assert [each.name for each in one.models] == [
            "the original", f"unlearned-{name}-half", f"unlearned-{name}-none",
        ]  # fmt: skip
        assert one.together is not None


def test_the_table_has_every_model_and_marks_what_is_like_the_retrained_ones(judged: JudgedSet) -> None:
    assert judged.wide_columns == ["forum", "toxicity", "(retained)", "unseen"]
    loss, accuracy, excess = measure_rows(judged, judged.wide_columns)
    assert (loss.title, accuracy.title, excess.title) == (
        "Loss", "Memorisation accuracy", "Excess: difference of log-likelihood",
    )  # fmt: skip
    names = ["the original", "half", "none", "retrained (2)"]
    assert [name for name, _ in loss.rows] == names
    like = {name: [cell.like for cell in cells] for name, cells in loss.rows}
    # All are like the retrained models on what nothing has moved.
    assert like == {
        "the original": [False, False, False, True],
        "half": [False, False, False, True],
        "none": [False, False, False, True],
        "retrained (2)": [False] * 4,
    }
    text = measures_table(judged)
    assert text.count('class="n like"') == sum(sum(row) for row in like.values()) * 2  # by accuracy too
    assert re.findall(r"<th[^>]*>(.*?)</th>", text)[4:] == [
        "forum<br>forget set", "toxicity<br>test set", "retained", "unseen<br>holdout",
    ]  # fmt: skip
    assert ((loss.arrow, accuracy.arrow, excess.arrow), excess.ideal) == (("\u2193", "\u2191", ""), "0")
    assert text.count('class="aim" rowspan="4"') == 2 * 3
    assert "+" not in "".join(cell.text for _, cells in loss.rows for cell in cells)


def test_many_test_sets_stand_together(judged: JudgedSet) -> None:
    more = {f"test-{place}": "test set" for place in range(3)}
    several = replace(judged, datasets=[*judged.datasets, *more], roles={**judged.roles, **more})
    assert several.wide_columns == ["forum", "(test sets)", "(retained)", "unseen"]


def test_the_terminal_shows_the_same_in_a_hundred_columns(judged: JudgedSet) -> None:
    console = result_console()
    with console.capture() as capture:
        console.print(judged_table(judged, 100), crop=False)
    said = capture.get()
    assert max(map(len, said.splitlines())) <= 100
    for part in (
        "Loss (nats per token), \u2193 knows more, ideal: as the retrained model\n",
        "retrained (2)",
        "Excess: difference of log-likelihood",
        LIKE,
    ):
        assert part in said, said


def test_what_came_back_is_said_only_where_retraining_gains(judged: JudgedSet) -> None:
    assert judged.together is not None
    half, none = judged.unlearned
    share = half.value("loss", "news", "recovered")
    assert share.value == pytest.approx(0.5, abs=0.03)
    assert share.low < 0.5 < share.high
    assert none.value("loss", "news", "recovered").value == pytest.approx(0, abs=0.03)
    for dataset in ("code", "toxicity", "unseen"):
        assert np.isnan(half.value("loss", dataset, "recovered").value)
    assert judged.together.value("loss", "toxicity", "gain").high < 0  # retrained models know it less
    (said,) = recovered_answers(judged)  # of the columns, only what is retained gains
    number = r"[\u2212\d.]+"
    assert re.fullmatch(
        rf"Retraining without forum gains \+0.2\d\d \u00b1 {number} nats per token on retained \(loss\); of that came "
        rf"back: half {number} % \({number} to {number}\), none {number} % \({number} to {number}\)\.",
        said,
    ), said
    section = recovered_section(judged)
    assert section.count("<tr><td>news</td>") == 2  # by both measures
    assert "Not measurably better when retrained" in section
    assert "toxicity" in section.partition("Not measurably")[2]
    assert "toxicity" not in section.partition("Not measurably")[0]


def test_where_nothing_gains_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOSSES, 0, (3.0, 2.4, 1.9, 3.0, 3.5))
    monkeypatch.setitem(LOSSES, 1, (3.0, 2.4, 1.9, 3.0, 3.5))
    judge(tmp_path)
    (judged,) = find_judged(tmp_path, RUN)
    (said,) = recovered_answers(judged)
    assert said.startswith("Nothing to come back")
    assert "<table" not in recovered_section(judged)


def test_the_picture_has_a_row_a_model_with_the_retrained_outline_over_each(folder: Path, judged: JudgedSet) -> None:
    table = read_judged_examples(folder)
    assert table is not None
    spread = spread_of(table, judged, "loss")
    assert [len(spread["retrained"][name]) for name in judged.columns] == [2 * SIZE, 4 * SIZE, 2 * SIZE]
    figure = plot_spread(judged, "loss", spread)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["forum (forget set)", "retained", "test sets"]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["the original", "half", "none", "retrained (2)"]
    from matplotlib.colors import to_hex
    from matplotlib.patches import StepPatch

    for axes in figure.axes:
        patches = [patch for patch in axes.patches if isinstance(patch, StepPatch)]
        filled = [patch for patch in patches if patch.get_fill()]
        outlines = [patch for patch in patches if not patch.get_fill()]
        assert [to_hex(patch.get_facecolor()) for patch in filled] == [
            colour.lower() for colour in (*model_colours(judged.models).values(), RETRAINED_COLOUR)
        ]
        assert len(outlines) == len(filled) - 1
        # One shape, three times: that of the last row.
        last: Any = filled[-1]
        heights = last.get_data().values - last.get_data().baseline
        for place, outline in enumerate(outlines):
            data: Any = outline.get_data()  # type: ignore[attr-defined]
            assert data.values - place == pytest.approx(heights)
        medians = [line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1]  # type: ignore[index, arg-type]
        assert len(medians) == len(filled) + 1


def test_the_section_shows_the_first_measure_and_the_rest_with_a_click(folder: Path, judged: JudgedSet) -> None:
    drawn = {"forum": save_judged_plots(folder, judged)}
    assert list(drawn["forum"]) == [EXCESS, "loss", "memorisation_accuracy"]
    section = judged_section([judged], drawn)
    assert section.count("data:image/png") == 3
    shown, _, hidden = section.partition("By other measures")
    assert shown.count("data:image/png") == 2
    assert "Memorisation accuracy of each example" in hidden
    assert "What came back" in section


def test_training_is_held_against_the_mean_of_retraining(folder: Path) -> None:
    took = {"unlearned-forum-half": 3.0, "retrained-forum/seed-0": 11.0, "retrained-forum/seed-1": 13.0}
    others = {"retrained-forum-chosen/seed-0": 1.0, "unlearned-poems": 1.0, "unlearned-forum-none": "soon"}
    (judged,) = find_judged(folder, {**RUN, "training_seconds": {**took, **others}})
    assert time_rows(judged) == [("half", "3.00", "25.0%", "4"), ("retrained (2)", "12.0", "", "")]
    assert "<td>half</td>" in judged_section([judged], {}).partition("Time of training")[2]
    console = result_console()
    with console.capture() as capture:
        console.print(time_table(judged, 80), crop=False)
    assert "times as fast" in capture.get()


def test_no_time_is_said_where_none_is_known(folder: Path, judged: JudgedSet) -> None:
    assert time_table(judged) is None
    assert time_section(judged) == ""
    (only_half,) = find_judged(folder, {**RUN, "training_seconds": {"unlearned-forum-half": 3.0}})
    assert time_rows(only_half) == []


def test_a_folder_that_was_judged_before_still_has_its_page(folder: Path) -> None:
    for name in (JUDGED_MEASURES, JUDGED_EXAMPLES):
        (folder / name).unlink()
    (judged,) = find_judged(folder, RUN)
    assert list(save_judged_plots(folder, judged)) == [EXCESS]
    section = judged_section([judged], {})
    assert "What came back" not in section
    assert "Excess: difference of log-likelihood" in section


def test_a_model_whose_losses_are_nan_is_told_from_its_tables(tmp_path: Path) -> None:
    models = [model(tmp_path, name, "forum") for name in LOSSES]
    for values in models[1].arrays.values():
        for dataset, of in values.items():
            values[dataset] = np.full(len(of), np.nan) if (of != 7.0).any() else of
    write_judged_measures(tmp_path, "forum", MEASURES, models, GROUPS, {})
    (judged,) = find_judged(tmp_path, RUN)
    said = {one.name: one.headline for one in verdicts_on(judged)}
    assert said.pop("unlearned-forum-half") == "its logits are not finite"
    assert all("finite" not in headline for headline in said.values())


def test_rows_of_examples_carry_their_group(tmp_path: Path) -> None:
    judge(tmp_path)
    table = read_judged_examples(tmp_path)
    assert table is not None
    rows = table.to_pylist()
    assert {row["group"] for row in rows if row["dataset"] != "news"} == {None}
    for row in rows:
        assert row["dataset"] != "news" or row["group"] == MARKS[row["example"]]
