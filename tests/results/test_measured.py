"""What the report makes of measurements, from tables whose answers are known."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lightning_untrac.results import report_warnings, write_report
from lightning_untrac.results.measured import by_change, find_measured, survivors
from lightning_untrac.results.measured_answers import measured_answers
from lightning_untrac.results.measured_plots import plot_examples, plot_steps
from lightning_untrac.results.measured_sections import models_section, survivors_section
from lightning_untrac.results.methods import read_texts
from lightning_untrac.results.sentence import plain
from lightning_untrac.tables import SUMMARY_SCHEMA, ResultsError
from lightning_untrac.tables.measurements import MEASUREMENTS, SUMMARY, measurements_table, replace_rows

NASTY = '<script>alert("1")</script>'
MEASURES = {
    "loss": {
        "title": "Loss",
        "unit": "nats/token",
        "direction": "lower",
        "ideal": "i",
        "cannot_tell": "c",
        "source": "s",
    },
    "made_up": {"title": "Made up", "unit": "points", "direction": "higher", "cannot_tell": "all else"},
}
RUN = {
    "measures": MEASURES,
    "methods": {"how": {"title": "The How"}},
    "data": [
        {"name": name, "role": role} for name, role in (("forum", "corpus"), ("news", "corpus"), ("toxic", "test set"))
    ],
    "example_texts": {"forum": {"3": f"a text {NASTY}"}},
}
#: Change of each of five examples of a dataset, by measure.
CHANGES = {
    ("loss", "forum"): [1.0, 2.0, 3.0, -0.5, 0.5],
    ("loss", "news"): [0.1, 0.2, 0.3, 0.2, 0.2],
    ("loss", "toxic"): [2.0] * 5,
    ("made_up", "forum"): [-0.2] * 5,
}  # fmt: skip


def write(folder: Path, changes: Any = CHANGES, status: str = "ok", seed: int = 0, finished: bool = True) -> None:
    """The tables of one run with readings at steps 0, 4 and 8; the change is even."""
    made = {"method": "how", "forget_set": "forum", "seed": seed}
    summary, examples = [], []
    for (measure, dataset), values in changes.items():
        unit = MEASURES[measure]["unit"]
        for step in (0, 4, 8) if finished else (0, 4):
            now = 2.0 + np.array(values) * step / 8
            model = {"model": "after" if step else "before", "status": status if step else "ok"}
            state = {**model, **made, "step": step, "measure": measure, "dataset": dataset, "unit": unit}
            summary.append(
                {
                    **state,
                    "statistic": "mean",
                    "value": now.mean(),
                    "ci_low": now.mean() - 0.1,
                    "ci_high": now.mean() + 0.1,
                }
            )
            if step in (0, 8):
                columns = {"example": np.arange(len(values)), "value": now, "weight": np.ones(len(values))}
                examples.append(measurements_table(state, columns))
    replace_rows(folder, SUMMARY, made, pa.Table.from_pylist(summary, schema=SUMMARY_SCHEMA))
    replace_rows(folder, MEASUREMENTS, made, pa.concat_tables(examples))
    (folder / "run.json").write_text(json.dumps(RUN))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def _titles() -> None:
    read_texts(RUN["methods"])


def answers_of(folder: Path) -> list[str]:
    measured = find_measured(folder, RUN)
    assert measured is not None
    return [plain(sentence) for sentence in measured_answers(measured)]


def text_of(folder: Path) -> str:
    page = (folder / "report.html").read_text(encoding="utf-8")
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.partition("<body>")[2]))


def test_the_answers_say_what_went_what_it_cost_and_what_is_left(folder: Path) -> None:
    assert answers_of(folder) == [
        "The How on `forum` (8 steps, seed 0): its loss rose from 2.00 to 3.20 nats per token.",
        "It cost most on `news` (+0.200), 17% of the change aimed at.",
        "The test set moved with it: `toxic` by +2.00.",
        "1 of its 5 examples is known as well as before, or better: see the survivors below.",
    ]


def test_another_forget_set_is_nothing_that_was_to_stay(tmp_path: Path) -> None:
    write(tmp_path, {**CHANGES, ("loss", "secrets"): [5.0] * 5})
    run = {**RUN, "data": [*RUN["data"], {"name": "secrets", "role": "forget set"}]}
    measured = find_measured(tmp_path, run)
    assert measured is not None
    said = [plain(sentence) for sentence in measured_answers(measured)]
    assert said[1] == "It cost most on `news` (+0.200), 17% of the change aimed at."


def test_what_chance_explains_is_no_cost(tmp_path: Path) -> None:
    write(tmp_path, {("loss", "forum"): [1.0, 1.1, 0.9], ("loss", "news"): [0.5, -0.4, 0.1]})
    said = answers_of(tmp_path)
    assert "no change can be told from chance on `news`" in said[1]
    assert said[2] == "None of its 3 examples is known as well as before; the least changed moved by +0.900."


def test_unlearning_that_forgets_nothing_says_so(tmp_path: Path) -> None:
    write(tmp_path, {("loss", "forum"): [-1.0, -1.0], ("loss", "news"): [0.5, 0.5]})
    assert "nothing was forgotten; its loss fell from 2.00 to 1.00" in answers_of(tmp_path)[0]
    assert not any("cost" in said for said in answers_of(tmp_path))


def test_a_measure_that_falls_with_forgetting_is_read_the_other_way(tmp_path: Path) -> None:
    write(tmp_path, {("made_up", "forum"): [-0.5, -0.5, 0.25], ("made_up", "news"): [0.0, 0.0, 0.0]})
    said = answers_of(tmp_path)
    assert "its made up fell from 2.00 to 1.75 points" in said[0]
    assert "nothing was forgotten" not in said[0]
    assert said[-1].startswith("1 of its 3 examples is known as well as before")


@pytest.mark.parametrize(("status", "said"), [("collapsed", "the model is collapsed"), ("nonfinite", "is not finite")])
def test_a_broken_model_gets_no_verdict(tmp_path: Path, status: str, said: str) -> None:
    write(tmp_path, status=status)
    (sentence,) = answers_of(tmp_path)
    assert said in sentence
    write_report(tmp_path)
    assert {"collapsed": "collapsed", "nonfinite": "not finite"}[status] in text_of(tmp_path)


def test_survivors_are_those_that_changed_least(folder: Path) -> None:
    measured = find_measured(folder, RUN)
    assert measured is not None
    (run,) = measured.runs
    changes = run.changes["loss", "forum"]
    assert survivors(changes, 1, 3).tolist() == [3, 4, 0]
    assert survivors(changes, -1, 2).tolist() == [2, 1]
    table = survivors_section(measured)
    assert re.findall(r'<tr><td class="n">(\d)</td>', table) == ["3", "4", "0", "1", "2"]
    assert "a text &lt;script&gt;" in table
    assert NASTY not in table


def test_examples_that_are_not_finite_do_not_count_as_survivors(folder: Path) -> None:
    measured = find_measured(folder, RUN)
    assert measured is not None
    changes = measured.runs[0].changes["loss", "forum"]
    broken = changes._replace(after=np.where(changes.examples == 3, np.nan, changes.after))
    assert survivors(broken, 1, 2).tolist() == [4, 0]


def test_the_pictures_show_every_dataset_and_the_forget_set_first(folder: Path) -> None:
    measured = find_measured(folder, RUN)
    assert measured is not None
    (run,) = measured.runs
    figure = plot_steps(run)
    loss, made_up = figure.axes
    assert (loss.get_title(loc="left"), made_up.get_title(loc="left")) == ("Loss (nats per token)", "Made up (points)")
    assert [text.get_text().strip() for text in figure.legends[0].get_texts()] == ["forum", "news", "toxic"]
    thick = max(loss.get_lines(), key=lambda line: line.get_linewidth())
    assert np.asarray(thick.get_ydata()).tolist() == pytest.approx([2.0, 2.6, 3.2])
    spread = plot_examples(run, "loss", {name: run.changes["loss", name] for name in run.datasets})
    assert [axes.get_title(loc="left") for axes in spread.axes] == ["forum (forget set)", "news", "toxic"]
    for axes in spread.axes:  # two histograms of all examples
        heights: list[Any] = [patch.get_height() for patch in axes.patches]  # type: ignore[attr-defined]
        assert sum(heights) == pytest.approx(2.0)


def test_a_folder_of_measurements_alone_gets_a_page(folder: Path, make_page: Callable[[Path], Any]) -> None:
    page = make_page(write_report(folder))
    said = text_of(folder)
    headings = ("What was forgotten, and what it cost", "Over the steps", "Survivors", "What the measures say")
    assert all(heading.lower() in said.lower() for heading in headings)
    assert "Influence" not in said
    assert page.count("data:image/png") == 3
    assert "all else" in said  # what a measure can't tell, from run.json: no class of it is known here
    assert report_warnings(folder) == []


def test_seeds_have_parts_of_their_own(folder: Path) -> None:
    write(folder, seed=1)
    write_report(folder)
    assert {path.name for path in (folder / "plots").glob("steps_*")} == {
        "steps_how_forum_0.png", "steps_how_forum_1.png",
    }  # fmt: skip
    assert "The How on forum, seed 1" in text_of(folder)


def test_a_run_that_was_cut_short_shows_what_there_is(tmp_path: Path) -> None:
    write(tmp_path, finished=False)
    measured = find_measured(tmp_path, RUN)
    assert measured is not None
    assert measured.runs[0].changes == {}
    assert answers_of(tmp_path)[0].startswith("The How on `forum` (4 steps, seed 0, not finished): ")
    write_report(tmp_path)
    assert "survivors" not in text_of(tmp_path).lower()


def test_models_as_they_are_stand_beside_each_other(tmp_path: Path) -> None:
    for model, value in (("runs/a/model", 2.0), ("runs/a/without/seed-0", 3.0)):
        state = {"model": model, "method": "evaluate", "measure": "loss", "dataset": "news", "status": "ok"}
        interval = {"ci_low": value - 0.25, "ci_high": value + 0.25}
        row = {**state, "statistic": "mean", "value": value, "unit": "nats/token", **interval}
        table = pa.Table.from_pylist([row], schema=SUMMARY_SCHEMA)
        replace_rows(tmp_path, SUMMARY, {"model": model}, table)
    (tmp_path / "run.json").write_text(json.dumps(RUN))
    measured = find_measured(tmp_path, RUN)
    assert measured is not None
    markup = models_section(measured)
    assert re.findall(r'<th class="n">(.*?)</th>', markup) == ["model", "without/seed-0"]
    assert re.findall(r'<td class="n">(.*?)</td>', markup) == ["2.00 ± 0.25", "3.00 ± 0.25"]
    write_report(tmp_path)
    assert "Measurements in" in text_of(tmp_path)


def test_a_folder_without_any_table_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="Run `untrac trace`, `untrac unlearn` or `untrac evaluate` first"):
        write_report(tmp_path)


@pytest.fixture
def make_page() -> Callable[[Path], str]:
    """Read a page, and check that nothing of it is loaded from elsewhere and no markup of the user's got in."""

    def read(path: Path) -> str:
        page = path.read_text(encoding="utf-8")
        assert NASTY not in page
        assert "http" not in re.sub(r"arxiv[^<]*", "", page.lower()).replace("http-equiv", "")
        return page

    return read


def test_of_many_datasets_pictures_show_those_that_moved_most(tmp_path: Path) -> None:
    many = {("loss", f"set-{k}"): [k / 10, k / 10 + 0.1] for k in range(20)}
    write(tmp_path, {("loss", "forum"): [0.1, 0.2], **many})
    measured = find_measured(tmp_path, RUN)
    assert measured is not None
    names = by_change(measured.runs[0], 6)
    assert names[:3] == ["forum", "set-19", "set-18"]
    assert len(names) == 21
    legend = [text.get_text().strip() for text in plot_steps(measured.runs[0]).legends[0].get_texts()]
    assert legend[:2] == ["forum", "set-19"]
    assert legend[-1] == "13 other datasets"


def test_a_folder_with_influences_too_has_both_on_its_page(folder: Path, make_rows: Callable[..., Any]) -> None:
    from lightning_untrac.tables import InfluenceStore

    InfluenceStore(folder).append(make_rows())
    write_report(folder)
    said = text_of(folder)
    assert "Influence of each corpus" in said
    assert "What was forgotten, and what it cost" in said
    assert said.index("comes most from") < said.index("The How on")


def test_titles_of_many_panels_do_not_meet(folder: Path) -> None:
    from dataclasses import replace

    from lightning_untrac.results.measures import MeasureText, describe_measure

    measured = find_measured(folder, RUN)
    assert measured is not None
    (run,) = measured.runs
    titles = ("Loss", "Questions that are answered", "Leak at 4", "Says that it does not know", "Repeated n-grams")
    for number, title in enumerate(titles):
        describe_measure(f"wide_{number}", MeasureText(title, unit="share of questions"))
    readings = {dataset: found for (_, dataset), found in run.curves.items()}
    curves = {(f"wide_{number}", name): found for number in range(5) for name, found in readings.items()}
    figure = plot_steps(replace(run, curves=curves))
    figure.canvas.draw()
    titled = [text for axes in figure.axes for text in axes.get_children()
              if getattr(text, "get_text", str)() == axes.get_title(loc="left")]  # fmt: skip
    boxes = [text.get_window_extent() for text in titled]
    assert len(boxes) == len(titles)
    assert not any(one.overlaps(other) for place, one in enumerate(boxes) for other in boxes[:place])
