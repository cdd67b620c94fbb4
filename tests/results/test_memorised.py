"""What pages, pictures and the terminal show of the memorisation of single sequences."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

from lightning_untrac.results.judged import NONE, Value
from lightning_untrac.results.memorised import (
    REACH,
    MemorisedSet,
    find_memorised,
    memorised_answers,
    shown_value,
    sides,
)
from lightning_untrac.results.memorised_plot import LINES, plot_memorised, save_memorised_plot
from lightning_untrac.results.memorised_section import memorised_section
from lightning_untrac.results.memorised_terminal import memorised_table, outlier_lines
from lightning_untrac.tables.files import read_table, write_table
from lightning_untrac.tables.memorisation import (
    MEMORISATION,
    MEMORISATION_SUMMARY,
    OUTLIERS,
    memorisation_schema,
    memorisation_summary_schema,
    outliers_schema,
)

LOW, HIGH = 0.2, 0.6


def write(folder: Path, values: dict[str, tuple[str, Any]], quoted: bool = True) -> None:
    """Tables of models by name, with their role and what they know of each sequence."""
    summary, examples, outliers = [], [], []
    original = next(known for role, known in values.values() if role == "original")
    for model, (role, known) in values.items():
        state = {
            "model": f"a/{model}",
            "method": "unlearn",
            "role": role,
            "forget_set": "secrets",
            "dataset": "secrets",
        }
        above, below = (np.asarray(known) >= HIGH, np.asarray(known) <= LOW)
        numbers = {"survivors": above.sum(), "over_forgotten": below.sum(), "mean": np.mean(known), "level_low": LOW,
                   "level_high": HIGH}  # fmt: skip
        for name, value in numbers.items():
            row = {"measure": "memorisation_accuracy", "statistic": name, "value": float(value), "unit": ""}
            summary.append({**state, **row, "retrained": 2})
        more = {"measure": "genex", "statistic": "mean", "value": -1.5, "ci_low": -2.0, "ci_high": -1.0, "unit": "nats"}
        summary.append({**state, **more, "retrained": 2})
        for place, value in enumerate(known):
            own = {"example": 3 * place, "measure": "memorisation_accuracy", "value": value, "weight": 9.0, "unit": ""}
            examples.append({**state, **own})
            if role == "unlearned" and (above[place] or below[place]):
                side = "survivor" if above[place] else "over-forgotten"
                row = {"example": 3 * place, "side": side, "measure": "memorisation_accuracy", "value": value,
                       "original": original[place], "retrained": 0.4, "level_low": LOW, "level_high": HIGH,
                       "genex": 2.5,
                       "content_hash": "f" * 16, "text": f"the secret <{place}>" if quoted else None}  # fmt: skip
                outliers.append({**state, **row})
    summary.sort(key=lambda row: row["model"])
    table = pa.Table.from_pylist(summary, schema=memorisation_summary_schema())
    write_table(folder / MEMORISATION_SUMMARY, table)
    write_table(folder / MEMORISATION, pa.Table.from_pylist(examples, schema=memorisation_schema()))
    write_table(folder / OUTLIERS, pa.Table.from_pylist(outliers, schema=outliers_schema()))


@pytest.fixture
def memorised(tmp_path: Path) -> MemorisedSet:
    write(tmp_path, {
        "unlearned-secrets-npo": ("unlearned", [0.9, 0.4, 0.1, 0.65]),
        "model": ("original", [0.95, 0.9, 0.8, 0.7]),
        "seed-0": ("retrained", [0.4, 0.4, 0.3, 0.61]),
        "seed-1": ("retrained", [0.4, 0.4, 0.3, 0.5]),
    })  # fmt: skip
    (found,) = find_memorised(tmp_path)
    return found


def test_the_tables_are_read(memorised: MemorisedSet, tmp_path: Path) -> None:
    assert [one.name for one in memorised.models] == ["the original", "unlearned-secrets-npo"]
    assert [one.name for one in memorised.retrained] == ["seed-0", "seed-1"]
    assert (memorised.counted, memorised.sequences) == ("memorisation_accuracy", 4)
    assert memorised.cells[0] == ("memorisation_accuracy", "survivors")
    assert memorised.mean_retrained("memorisation_accuracy", "survivors") == (0.5, 0.0, 1.0)
    assert sides(memorised.models[1]) == {0: 1, 6: -1, 9: 1}
    assert find_memorised(tmp_path / "nowhere") == []


def test_of_a_model_without_numbers_nothing_is_counted(tmp_path: Path) -> None:
    nan = [math.nan] * 4
    write(tmp_path, {"a": ("unlearned", nan), "model": ("original", [0.95, 0.9, 0.8, 0.7])})
    (found,) = find_memorised(tmp_path)
    assert (
        "of 4 sequences of secrets \u2013 survive, known better than unseen text, and \u2013 are"
        in (memorised_answers(found)[0])
    )
    assert shown_value("survivors", found.models[1].value(found.counted, "survivors")) == "\u2013"


def test_two_forget_sets_of_one_original_each_have_all_of_their_models(memorised: MemorisedSet, tmp_path: Path) -> None:
    for name in (MEMORISATION_SUMMARY, MEMORISATION, OUTLIERS):  # written in the order of the models
        table = read_table(tmp_path / name)
        other = pa.Table.from_pylist(
            [{**row, "forget_set": "birds", "dataset": "birds"} for row in table.to_pylist()], schema=table.schema
        )
        write_table(tmp_path / name, pa.concat_tables([table, other]).sort_by([("model", "ascending")]))
    found = find_memorised(tmp_path)
    assert {one.forget_set for one in found} == {"secrets", "birds"}
    for one in found:
        assert [model.role for model in one.models] == ["original", "unlearned"]
        assert len(one.retrained) == 2
        assert save_memorised_plot(tmp_path, one) is not None


def test_a_sentence_says_both_sides_beside_the_original_and_retraining(memorised: MemorisedSet) -> None:
    (said,) = memorised_answers(memorised)
    assert said.startswith("unlearned-secrets-npo: of 4 sequences of secrets 2 survive")
    assert "1 is known worse" in said
    assert "of the original 4 and 0, of a retrained model 0.5 and 0" in said


def test_the_page_lists_the_farthest_first_and_escapes_texts(memorised: MemorisedSet) -> None:
    page = memorised_section([memorised], {})
    assert "the secret &lt;0&gt;" in page
    assert "<0>" not in page
    assert page.index("the secret &lt;0&gt;") < page.index("the secret &lt;3&gt;")
    assert "2 retrained" in page
    assert memorised_section([], {}) == ""


def test_where_no_text_is_quoted_the_numbers_stand_alone(tmp_path: Path) -> None:
    write(tmp_path, {"model": ("original", [0.9]), "u": ("unlearned", [0.8])}, quoted=False)
    (found,) = find_memorised(tmp_path)
    assert "begins with" not in memorised_section([found], {})
    assert outlier_lines(found.models[1]) == ["u:", "  survivor 0: 0.900 \u2192 0.800 (retrained 0.400)"]


def test_the_terminal_shows_counts_and_means(memorised: MemorisedSet) -> None:
    console = Console(width=90, record=True, file=io.StringIO())
    console.print(memorised_table(memorised, 90))
    text = console.export_text()
    line = next(line.split() for line in text.splitlines() if "survivors" in line)
    assert line == ["survivors", "4", "2", "0.5"]
    assert "npo" in text
    assert outlier_lines(memorised.models[0]) == []


def test_the_picture_has_a_panel_a_model_and_a_line_a_sequence(memorised: MemorisedSet, tmp_path: Path) -> None:
    figure = plot_memorised(memorised)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["npo", "retrained, seed-0"]
    lines = [line for line in figure.axes[0].get_lines() if line.get_linestyle() == "-"]
    assert sorted(tuple(np.round(line.get_ydata(), 3)) for line in lines) == [
        (0.7, 0.65), (0.8, 0.1), (0.9, 0.4), (0.95, 0.9)
    ]  # fmt: skip
    (band,) = [patch for patch in figure.axes[0].patches if patch.get_zorder() == 0]
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx((LOW, HIGH))
    path = save_memorised_plot(tmp_path, memorised)
    assert path is not None
    assert path.is_file()


def test_many_sequences_keep_all_outliers_in_the_picture(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    after = chance.uniform(0.25, 0.55, 1000)
    after[[17, 911]] = (0.9, 0.05)
    write(tmp_path, {"model": ("original", chance.uniform(0.7, 1.0, 1000)), "u": ("unlearned", after)})
    (found,) = find_memorised(tmp_path)
    figure = plot_memorised(found)
    lines = [line for line in figure.axes[0].get_lines() if line.get_linestyle() == "-"]
    ends = [float(line.get_ydata()[1]) for line in lines]
    assert len(ends) == LINES
    assert {0.9, 0.05} <= {round(end, 6) for end in ends}
    said = " ".join(text.get_text().replace("\n", " ") for text in figure.texts)
    assert "200 of 1000 sequences" in said


def test_where_each_sequence_has_its_own_level_what_retrained_models_know_is_taken_off(
    memorised: MemorisedSet,
) -> None:
    for one in (*memorised.models, *memorised.retrained):
        cells = {cell: value for cell, value in one.values.items() if not cell[1].startswith("level_")}
        object.__setattr__(one, "values", cells | {("memorisation_accuracy", REACH): Value(0.2)})
    axes = plot_memorised(memorised).axes[0]
    ends = sorted(float(line.get_ydata()[1]) for line in axes.get_lines() if line.get_linestyle() == "-")
    assert ends == pytest.approx(sorted([0.9 - 0.4, 0.4 - 0.4, 0.1 - 0.3, 0.65 - 0.555]))
    (band,) = [patch for patch in axes.patches if patch.get_zorder() == 0]
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx((-0.2, 0.2))


def test_nothing_to_draw_and_numbers_that_are_none(tmp_path: Path) -> None:
    write(tmp_path, {"model": ("original", [0.9])})
    (found,) = find_memorised(tmp_path)
    assert save_memorised_plot(tmp_path, found) is None
    assert memorised_answers(found) == []
    assert shown_value("mean", NONE) == "\u2013"
    assert shown_value("survivors", Value(3.0, 1.0, 6.0)) == "3"
    assert shown_value("mean", Value(-1.5, -2.0, math.nan)) != ""
