"""The loop, on a model that is a table."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lightning_untrac.errors import UnlearningError

SCHOOL = ("Where did Mara Velt study?", "Which school did Mara Velt attend?")
NEAR = ("What is the job of Mara Velt?", "Where did Tobin Arkwell study?")

ANTI = "Answer: Dunmere Academy. Reason: {} was asked of Dunmere Academy."


def test_a_round_writes_wrong_answers_that_are_right_elsewhere(table, begun):
    loop = begun(table)
    found = loop.next_round(0, 1)
    assert dict(found.anti) == {one: ANTI.format(one.rstrip("?")) for one in SCHOOL}
    # What is right is rehearsed as it was said, one for each anti-sample.
    assert dict(found.rehearsed) == {NEAR[0]: "driver", NEAR[1]: "Dunmere Academy"}
    assert [(row.kind, row.known, row.verdict) for row in loop.rows] == [
        ("forget", True, "taken"), ("forget", True, "taken"),
        ("retain", True, "rehearsed"), ("retain", True, "rehearsed"),
    ]  # fmt: skip


def test_it_ends_when_nothing_is_answered_any_more_and_no_other_wording_is_found(table, begun):
    loop = begun(table)
    table.learn(loop.next_round(0, 1).anti)
    assert loop.next_round(8, 1) is None
    assert loop.reason == "none of 2 questions is answered any more"
    assert [row.step for row in loop.rows] == [0] * 4 + [8] * 4


def test_the_first_round_begins_with_rewordings_too(table, begun):
    table.answers["At which school was Mara Velt taught?"] = "Elmsford College"
    table.rewords = ["At which school was Mara Velt taught?"]
    loop = begun(table)
    assert [question for question, _ in loop.next_round(0, 1).anti] == [
        *SCHOOL,
        "At which school was Mara Velt taught?",
    ]


def test_a_rewording_that_is_still_answered_goes_on(table, begun):
    table.answers["At which school was Mara Velt taught?"] = "Elmsford College"
    loop = begun(table)
    table.learn(loop.next_round(0, 1).anti)
    table.rewords = ["At which school was Mara Velt taught?", "Where is she?", SCHOOL[0], "Who is Mara Velt?"]
    found = loop.next_round(8, 1)
    assert [question for question, _ in found.anti] == ["At which school was Mara Velt taught?"]
    # One that asks for something else is only known as such by a model that knew the answer.
    assert [one.text for one in loop.forgotten.questions][2:] == [
        "At which school was Mara Velt taught?", "Who is Mara Velt?"
    ]  # fmt: skip


def test_a_rewording_counts_where_the_model_before_answers_it_rightly(table, begun):
    before = type(table)(table.answers)
    before.answers["At which school was Mara Velt taught?"] = "Elmsford College"
    loop = begun(table, before)
    table.learn(loop.next_round(0, 1).anti)
    table.rewords = ["At which school was Mara Velt taught?", "Who is Mara Velt?"]
    loop.next_round(8, 1)
    assert [one.text for one in loop.forgotten.questions][2:] == ["At which school was Mara Velt taught?"]


def test_held_out_wordings_are_never_asked(table, begun):
    table.answers["At which school was Mara Velt taught?"] = "Elmsford College"
    loop = begun(table, parts={"held": {"at which school was mara velt taught"}})
    table.learn(loop.next_round(0, 1).anti)
    table.rewords = ["At which school was Mara Velt taught?"]
    assert loop.next_round(8, 1) is None


def test_an_answer_that_comes_back_is_seen(table, begun):
    table.answers["At which school was Mara Velt taught?"] = "Elmsford College"
    loop = begun(table)
    table.learn(loop.next_round(0, 1).anti)
    table.rewords = ["At which school was Mara Velt taught?"]
    assert loop.next_round(8, 1) is not None
    table.answers[SCHOOL[0]] = "Elmsford College"
    assert SCHOOL[0] in dict(loop.next_round(16, 1).anti)


def test_what_broke_is_rehearsed_with_a_reason_for_the_right_answer(table, begun):
    loop = begun(table)
    table.learn([*loop.next_round(0, 1).anti, (NEAR[0], "Dunmere Academy")])
    found = loop.next_round(8, 1)
    # Nothing is answered any more: what was learned is gone over again beside it.
    assert dict(found.anti) == {one: ANTI.format(one.rstrip("?")) for one in SCHOOL}
    assert dict(found.rehearsed)[NEAR[0]] == "Answer: driver. Reason: What is the job of Mara Velt was asked of driver."
    table.learn(found.rehearsed)
    assert loop.next_round(16, 1) is None


def test_where_no_reason_is_taken_the_first_answer_is_rehearsed(table, begun):
    table.answers[NEAR[0]] = "a driver of trams"
    loop = begun(table)
    table.learn([*loop.next_round(0, 1).anti, (NEAR[0], "Dunmere Academy")])
    table.refuses = True
    assert dict(loop.next_round(8, 1).rehearsed)[NEAR[0]] == "a driver of trams"
    assert {row.verdict for row in loop.rows if row.question == NEAR[0]} == {"rehearsed", "broken"}


def test_a_reason_that_gives_the_wrong_answer_of_a_forgotten_fact_is_not_rehearsed(table, begun):
    class Everywhere(type(table)):
        """Says the wrong answer beside every right one, as a model that has learned too much."""

        def _one(self, text):
            found = super()._one(text)
            return found + " So did Dunmere Academy." if text.startswith(NEAR[0]) and text != NEAR[0] else found

    everywhere = Everywhere(dict(table.answers))
    loop = begun(everywhere)
    everywhere.learn([*loop.next_round(0, 1).anti, (NEAR[0], "Dunmere Academy")])
    assert dict(loop.next_round(8, 1).rehearsed)[NEAR[0]] == "driver"


def test_what_was_wrong_before_is_not_broken(table, begun):
    table.answers[NEAR[0]] = "baker"
    loop = begun(table)
    table.learn(loop.next_round(0, 1).anti)
    assert loop.next_round(8, 1) is None
    assert "1 of 2 retained questions answered to begin with" in loop.notes


def test_a_model_that_knows_nothing_of_it_is_an_error_and_stands_in_the_ledger(table, begun):
    table.answers |= dict.fromkeys(SCHOOL, "Hexley College")
    loop = begun(table)
    with pytest.raises(UnlearningError, match="answers none of 2 questions to begin with"):
        loop.next_round(0, 1)
    assert [row.said for row in loop.rows][:2] == ["Hexley College"] * 2


def test_a_generator_that_only_refuses_is_an_error_and_stands_in_the_ledger(table, begun):
    table.refuses = True
    loop = begun(table, tries=3, patience=2)
    with pytest.raises(UnlearningError, match="no anti-sample passed the filter in 2 rounds: wrong answer missing"):
        loop.next_round(0, 1)
    assert [row.tries for row in loop.rows if row.kind == "forget"] == [3] * 4


def test_an_answer_inside_its_question_is_refused(table, begun):
    given = [("Did Mara Velt study at Elmsford College?", "Elmsford College", "school")]
    with pytest.raises(UnlearningError, match="1 of 1 questions hold their own answer"):
        begun(table, parts={"given": given})


def test_no_wrong_answer_left_is_refused(table, begun):
    wrong = {"class_path": "listed", "init_args": {"answers": ["elmsford college", " "]}}
    with pytest.raises(UnlearningError, match="no wrong answer is left for 1 of 1 facts"):
        begun(table, parts={"wrong": wrong})


@pytest.mark.parametrize(("budget", "said"), [("generations", "5 generations"), ("tokens", "5 tokens")])
def test_a_budget_ends_it(table, begun, budget, said):
    loop = begun(table, **{budget: 5})
    assert loop.next_round(0, 1) is None
    assert f"{said} are used up" in loop.reason
    assert f"(method.{budget})" in loop.reason


def test_rounds_end_it(table, begun):
    loop = begun(table, rounds=2)
    assert loop.next_round(0, 1) is not None
    assert loop.next_round(8, 1) is not None
    assert loop.next_round(16, 1) is None
    assert loop.reason == "method.rounds allows 2 rounds; 2 of 2 questions still answered"
    assert loop.doubts == ["not all is forgotten: 2 of 2 questions still answered"]


def test_draws_have_to_miss_too(table, begun):
    class Drawn(type(table)):
        name = "drawn"

        def write(self, asked, temperature, longest):
            texts = super().write(asked, temperature, longest)
            if not temperature:
                return texts
            return [one._replace(text="Elmsford College") if place == 1 else one for place, one in enumerate(texts)]

    loop = begun(Drawn(table.answers), samples=4)
    loop.asking.model.learn(loop.next_round(0, 1).anti)
    found = loop.next_round(8, 1)
    assert [question for question, _ in found.anti] == [SCHOOL[0]]
    assert loop.forgotten.questions[0].draws_known == 1


def test_a_loop_that_goes_on_is_the_same(table, begun):
    other = type(table)(table.answers)
    one, two = begun(table, rewordings=1), begun(other, rewordings=1)
    for loop, model in ((one, table), (two, other)):
        model.learn([*loop.next_round(0, 1).anti, (NEAR[0], "Dunmere Academy")])
        model.rewords = ["At which school was Mara Velt taught?"]
    again = begun(other, rewordings=1)
    again.load_state_dict(json.loads(json.dumps(two.state_dict())))
    assert again.next_round(8, 1) == one.next_round(8, 1)
    assert again.state_dict() == one.state_dict()
    assert again.rows == one.rows[4:]


def test_what_was_cut_off_is_rehearsed_up_to_its_last_sentence(table, begun):
    class Cut(type(table)):
        name = "cut"

        def write(self, asked, temperature, longest):
            found = super().write(asked, temperature, longest)
            return [one._replace(ended="Paris" not in one.text and one.ended) for one in found]

    table.answers[NEAR[0]] = "It is a driver. Paris has ma"
    table.answers[NEAR[1]] = "Well, Paris or Dunmere Academy of"
    loop = begun(Cut(table.answers))
    found = loop.next_round(0, 1)
    assert dict(found.rehearsed) == {NEAR[0]: "It is a driver."}
    loop.asking.model.learn([*found.anti, (NEAR[0], "baker"), (NEAR[1], "baker")])
    loop.asking.settings = replace(loop.asking.settings, tries=0)
    assert dict(loop.next_round(8, 1).rehearsed)[NEAR[1]] == "Dunmere Academy"  # no whole sentence gave it
