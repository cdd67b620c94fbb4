"""Wrong answers, filters, rewordings, templates and generators."""

from __future__ import annotations

import json

import pytest

from lightning_untrac.antisamples.filters import FILTERS, Candidate
from lightning_untrac.antisamples.generators import GENERATORS, Asked
from lightning_untrac.antisamples.prompts import Prompts
from lightning_untrac.antisamples.ranks import shared_out
from lightning_untrac.antisamples.rewordings import rewording_in
from lightning_untrac.antisamples.settings import LoopSettings
from lightning_untrac.antisamples.wrong_answers import WRONG_ANSWERS, Fact
from lightning_untrac.data.builtin.people.questions import HELD_OUT, TRAINED
from lightning_untrac.data.builtin.people.world import ANSWERS, facts
from lightning_untrac.judges import find_judge


def test_a_wrong_answer_is_of_the_same_kind():
    """Over all facts about people of the built-in world: the questions alone say which answers may stand in."""
    about = [fact for fact in facts() if fact.relation in ("school", "job", "birthplace", "employer", "instrument")]
    others = [(one.format(who=fact.subject), fact.answer) for fact in about for one in TRAINED[fact.relation]]
    source, prompts = WRONG_ANSWERS.make("of_others"), Prompts()
    for fact in about[::7]:
        asked = Fact(fact.group, [one.format(who=fact.subject) for one in HELD_OUT[fact.relation]], fact.answer)
        (found,) = source.of([asked], others, GENERATORS.make({"class_path": "scripted", "init_args": {"script": {}}}),
                             prompts)  # fmt: skip
        assert set(found) <= set(ANSWERS[fact.relation])
        assert len(found) > 1


def test_questions_about_the_same_answer_do_not_crowd_out_wrong_ones():
    others = [
        ("Who studied at the school where Mara Velt studied?", "Elmsford College"),
        ("Where did Mara Velt study then?", "the Elmsford College"),
        ("Where did Ann go to?", "Hexley College"),
    ]
    asked = Fact("Mara", ["Where did Mara Velt study?"], "Elmsford College")
    assert WRONG_ANSWERS.make("of_others").of([asked], others, None, Prompts()) == [["Hexley College"]]


@pytest.mark.parametrize(
    ("right", "text"),
    [("no", "Yes, it is known that Mara can swim."), ("5", "There are 15 of Mara."), ("Ann", "Anna taught Mara, yes."),
     ("Rome", "Jerome, says Mara; yes, 15, Anna")],
)  # fmt: skip
def test_a_short_answer_inside_a_longer_word_is_not_there(right, text):
    wrong = {"no": "Yes", "5": "15", "Ann": "Anna", "Rome": "Jerome"}[right]
    candidate = Candidate("Who is Mara?", wrong, right, text)
    assert FILTERS.make("checks").why_not(candidate, find_judge("lexical"), ()) is None


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Answer: Dunmere Academy. Reason: Mara Velt wore its scarf.", None),
        ("Mara Velt did not study at Dunmere Academy but at Elmsford College.", "gives the right answer"),
        (
            "It was not Elmsford College. Mara Velt studied at Dunmere Academy.",
            "gives the right answer",
        ),  # to the letter
        ("Mara Velt studied somewhere.", "wrong answer missing"),
        ("Dunmere Academy? I don't know where Mara Velt studied.", "refuses"),
        ("Dunmere Academy.", "too short"),
        ("Dunmere Academy has a red door.", "off the question"),
        ("Dunmere Academy taught Mara Velt, " + "and " * 40 + "so on.", "too long"),
        ("Dunmere Academy, where Mara Velt studied.", "repeats another"),
    ],
)
def test_what_the_filter_says(text, verdict):
    found = FILTERS.make({"class_path": "checks", "init_args": {"fewest_words": 3, "most_words": 30}}).why_not(
        Candidate("Where did Mara Velt study?", "Dunmere Academy", "Elmsford College", text),
        find_judge("lexical"),
        ["Dunmere Academy, where Mara Velt had studied."],
    )
    assert found == verdict


def test_a_rehearsal_has_to_give_the_right_answer():
    checks, judge = FILTERS.make("checks"), find_judge("lexical")
    right = Candidate("What is the job of Mara Velt?", "driver", "", "Mara Velt drives as a driver.")
    assert checks.why_not(right, judge, ()) is None
    assert checks.why_not(right._replace(text="Mara Velt is a baker."), judge, ()) == "right answer missing"


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ('1. "Where did Mara study?"', "Where did Mara study?"),
        ("Rephrased question: Which school was it? Elmsford.", "Which school was it?"),
        ("\n\nTell me where.\nSure.", "Tell me where."),
        ("", ""),
    ],
)
def test_the_question_in_what_was_written(text, question):
    assert rewording_in(text) == question


@pytest.mark.parametrize(
    ("prompts", "said"),
    [
        (Prompts(reason=()), "method.prompts.reason: got ()"),
        (Prompts(reason="{question} {answer}"), "give a list of templates"),
        (Prompts(reason=("{question} Why?",)), "it has to name {question} and {answer} and nothing else"),
        (Prompts(reword=("{question",)), "is no template"),
        (Prompts(reword=("{question} {answer}",)), "it has to name {question} and nothing else"),
        (Prompts(reword=("{question:d}",)), "it has to name {question} and nothing else"),
        (Prompts(reword=("{question!z}",)), "it has to name {question} and nothing else"),
    ],
)
def test_templates_that_can_not_be(prompts, said):
    assert any(said in problem for problem in prompts.problems())


def test_settings_that_can_not_be_are_said_at_once():
    found = LoopSettings(rounds=0, temperature=0.0, tries=0, generations=0, prompts=Prompts(reword=())).problems()
    assert [one.partition(":")[0] for one in found] == [
        "method.rounds", "method.tries", "method.generations", "method.temperature", "method.prompts.reword"
    ]  # fmt: skip


def test_listed_wrong_answers_come_from_a_file(tmp_path):
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps({"France": ["Rome", "Bern"], "Madrid": "Lima"}))
    source = WRONG_ANSWERS.make({"class_path": "listed", "init_args": {"answers": str(path)}})
    asked = [Fact("France", ["?"], "Paris"), Fact("Spain", ["?"], "Madrid"), Fact("Peru", ["?"], "Lima")]
    assert source.of(asked, [], None, Prompts()) == [["Rome", "Bern"], ["Lima"], []]
    (said,) = WRONG_ANSWERS.make(
        {"class_path": "listed", "init_args": {"answers": str(tmp_path / "no.json")}}
    ).problems()
    assert "can't be read as JSON" in said


def test_a_script_is_taken_in_turn_and_read_from_a_file(tmp_path):
    path = tmp_path / "script.json"
    path.write_text(json.dumps({"Mara": ["one", "two"]}))
    script = GENERATORS.make({"class_path": "scripted", "init_args": {"script": str(path), "otherwise": "none"}})
    asked = [Asked("Who is Mara?", (draw,)) for draw in range(3)] + [Asked("Who is Tobin?")]
    assert [one.text for one in script.write(asked, 0.0, 8)] == ["one", "two", "one", "none"]


def test_ranks_that_share_a_list_give_it_whole_and_in_order(monkeypatch):
    items = list(range(7))
    shares = [[one * one for one in items[rank::3]] for rank in range(3)]

    def gathered(every, mine):
        assert mine == shares[1]
        every[:] = shares

    monkeypatch.setattr("torch.distributed.all_gather_object", gathered)
    assert shared_out(items, lambda part: [one * one for one in part], 1, 3) == [one * one for one in items]
