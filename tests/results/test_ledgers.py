"""What a ledger tells: sentences, pictures and the page; whatever a model says stays text."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pytest
from ledgers import kept, ledger_row, told_rows, write_ledger

from lightning_untrac.results.ledger_plot import DATASETS, asked_layers, broken_layers, plot_ledger, save_ledger_plot
from lightning_untrac.results.ledger_section import BROKEN, FACTS, LETTERS, MODELS, QUESTIONS, TEXTS, ledger_section
from lightning_untrac.results.ledgers import LedgerStory, find_ledgers, ledger_sentence, ledger_story
from lightning_untrac.results.report import write_report
from lightning_untrac.tables.ledger import LedgerRow
from lightning_untrac.tables.measurements import SUMMARY, SUMMARY_SCHEMA, replace_rows
from lightning_untrac.tables.schema import ResultsError

NASTY = '<script>alert("1")</script>\x1b'


def story_of(rows: list[LedgerRow], model: str = "unlearned-secrets") -> LedgerStory:
    return ledger_story(model, [asdict(row) for row in rows])


def test_the_sentence_counts_what_happened() -> None:
    assert ledger_sentence(story_of(told_rows())) == (
        "In 3 rounds and 8 steps the model went from 3 of 3 questions about 2 facts answered to 0 of 4, with 1 "
        "rewording added; 7 anti-samples written, 3 of them taken; of 1 retained answer that was right 1 broke on the "
        "way and 1 came back, with 2 reasons written."
    )


def test_what_never_was_right_never_broke() -> None:
    rows = [kept(number, "Bo's job?", False) for number in (1, 2)]
    story = story_of([ledger_row(1, "Where?", "Elm", True), *rows])
    assert story.broke == []
    assert ledger_sentence(story).endswith("of 0 retained answers that were right none broke.")


def test_the_order_of_rows_within_the_file_does_not_matter() -> None:
    rows = told_rows()
    first, second = story_of(rows), story_of(sorted(rows, key=lambda row: -row.round))
    assert ledger_sentence(first) == ledger_sentence(second)
    assert broken_layers(first) == broken_layers(second)
    assert asked_layers(first) == asked_layers(second)


def test_bars_of_a_round_hold_each_question_once() -> None:
    story = story_of(told_rows())
    layers = {name: numbers for name, _, numbers in asked_layers(story)}
    assert layers == {
        "given, still answered": [3, 1, 0],
        "reworded, still answered": [0, 0, 0],
        "given, not answered": [0, 2, 3],
        "reworded, not answered": [0, 1, 1],
    }
    assert [(name, numbers) for name, _, numbers in broken_layers(story)] == [("near", [0, 1, 0])]


def test_many_datasets_share_a_colour() -> None:
    names = [f"kept {number:02}" for number in range(DATASETS + 3)]
    rows = [kept(number, "Where?", number == 1, dataset=name) for number in (1, 2) for name in names]
    layers = broken_layers(story_of(rows))
    assert len(layers) == DATASETS + 1
    assert layers[-1][0] == "3 other datasets"
    assert sum(numbers[1] for _, _, numbers in layers) == len(names)


def test_a_dataset_has_the_same_colour_in_each_picture() -> None:
    colours = []
    for breaks in (("near", "far"), ("far",)):
        rows = [
            kept(number, f"{place}?", number == 1 or name not in breaks, dataset=name)
            for number in (1, 2)
            for name, places in (("near", 1), ("far", 3))
            for place in range(places)
        ]
        colours.append({name: colour for name, colour, _ in broken_layers(story_of(rows))})
    assert set(colours[0]) == {"near", "far"}
    assert colours[1] == {"far": colours[0]["far"]}


@pytest.mark.parametrize("retained", [True, False])
def test_the_picture_has_a_panel_a_side(tmp_path: Path, retained: bool) -> None:
    story = story_of([row for row in told_rows() if retained or row.kind == "forget"])
    assert len(plot_ledger(story).axes) == 1 + retained
    assert save_ledger_plot(tmp_path, story).read_bytes().startswith(b"\x89PNG")


def test_the_fact_that_held_out_longest_lies_open() -> None:
    story = story_of(told_rows())
    assert [fact.name for fact in story.facts] == ["Ann: school", "Cy: job"]
    page = ledger_section([story], {})
    assert "<h4>Ann: school</h4>" in page
    assert "<summary>Cy: job</summary>" in page
    for part in (
        "<strong>Elm</strong>; last given in round 2 of 3.",
        "Elm or Ash",
        "not taken: gives the right answer, the last of 4",
        "reworded, from round 2 on",
        "not right since round 3",
        "Oak, as Bo said",
        "right again since round 3",
    ):
        assert part in page
    assert "Bo&#x27;s job?" not in page  # was never right


def test_what_stays_broken_comes_first_and_says_so() -> None:
    rows = [ledger_row(1, "Where?", "Elm", True)]
    for number in (1, 2, 3):
        rows += [kept(number, "back?", number != 2), kept(number, "gone?", number == 1)]
    page = ledger_section([story_of(rows)], {})
    assert page.index("gone?") < page.index("back?")
    assert page.count("still broken") == 1


def test_texts_are_escaped_and_cut() -> None:
    long = "word " * 200
    own = {"wrong": NASTY, "text": NASTY, "verdict": NASTY}
    rows = [ledger_row(1, NASTY, NASTY, True, fact=NASTY, answer=NASTY, **own), ledger_row(1, long, long, True)]
    rows += [kept(number, f"{NASTY} {number}", number > 1, dataset=NASTY, answer=NASTY) for number in (1, 2)]
    page = ledger_section([story_of(rows, "<script>")], {})
    assert "<script>" not in page
    assert "\x1b" not in page
    assert long.strip()[: LETTERS - 10] in page
    assert long.strip()[: LETTERS + 10] not in page


def test_what_is_left_out_is_counted() -> None:
    rows = [ledger_row(1, f"question {number}?", "Elm", True) for number in range(QUESTIONS + 2)]
    rows += [ledger_row(1, "x?", "y", True, fact=f"fact {number}") for number in range(FACTS + 2)]
    for number in (1, 2):
        rows += [kept(number, f"kept {place}?", number == 1) for place in range(BROKEN + 4)]
    texts = [
        ledger_row(number, "question 0?", "Elm", True, wrong="Ash", text=f"because {number}", verdict="taken")
        for number in range(1, TEXTS + 6)
    ]
    page = ledger_section([story_of([*texts, *rows[1:]], f"model {number}") for number in range(MODELS + 1)], {})
    for left in ("2 more questions", "3 more facts", "4 more questions", "5 earlier texts", "1 more model "):
        assert left in page
    assert f"because {TEXTS + 5}" in page
    assert "because 1<" not in page


def test_the_report_finds_ledgers(tmp_path: Path) -> None:
    state = {"model": "m", "method": "evaluate", "measure": "loss", "dataset": "news", "status": "ok"}
    own = {"statistic": "mean", "value": 2.0, "unit": "nats/token", "ci_low": 1.5, "ci_high": 2.5}
    table = pa.Table.from_pylist([state | own], schema=SUMMARY_SCHEMA)
    replace_rows(tmp_path, SUMMARY, {"model": "m"}, table)
    write_ledger(tmp_path, told_rows())
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert '<section id="ledger">' in page
    assert ledger_sentence(find_ledgers(tmp_path)[0]) in page
    assert (tmp_path / "plots" / "ledger_unlearned-secrets.png").is_file()


def test_a_damaged_ledger_is_named(tmp_path: Path) -> None:
    ledger = write_ledger(tmp_path, told_rows())
    ledger.table.write_bytes(b"PAR1 no table")
    with pytest.raises(ResultsError, match="unlearned-secrets"):
        find_ledgers(tmp_path)


def test_no_ledger_no_section(tmp_path: Path) -> None:
    assert find_ledgers(tmp_path) == []
    assert ledger_section([], {}) == ""
