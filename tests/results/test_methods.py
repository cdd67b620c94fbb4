import json

import pytest

from lightning_untrac.attribution import METHODS, SCORINGS, Attribution, LeaveOut
from lightning_untrac.attribution.methods.fisher import Fisher
from lightning_untrac.results.methods import method_text, method_title, read_texts, texts_of

EVERY = {**METHODS, **SCORINGS, LeaveOut.method: LeaveOut}


@pytest.mark.parametrize("name", EVERY)
def test_every_method_says_what_it_is_called_and_does_in_one_sentence(name):
    text = method_text(name)
    assert text.title == vars(EVERY[name])["title"] != name
    assert text.summary[0].isupper()
    assert text.summary.endswith(".")
    assert text.summary.count(". ") == 0
    assert sum(method_title(other) == text.title for other in EVERY) == 1


def test_a_new_method_is_known_by_being_defined():
    class Mine(Attribution):
        method = "mine_of_this_test"
        title = "Mine"
        summary = "It does this."
        kind = "each_corpus"

    assert method_text("mine_of_this_test (other seeds)").title == "Mine (other seeds)"
    assert method_text("mine_of_this_test").steps == "unlearning steps"

    class Child(Fisher):  # says nothing of its own, and is not to be taken for its parent
        method = "child_of_this_test"

    assert method_title("child_of_this_test") == "child_of_this_test"
    assert method_text("child_of_this_test").summary == ""


def test_words_travel_beside_the_tables():
    there = json.loads(json.dumps(texts_of(["leave_out", "never heard of"])))
    assert list(there) == ["leave_out"]
    assert there["leave_out"]["signed"] is False
    read_texts({"from_elsewhere": there["leave_out"], "leave_out": {"title": "wrong"}, "broken": 5, "x": {"title": 5}})
    assert method_text("from_elsewhere") == method_text("leave_out")
    assert method_title("leave_out") == "Leave-out retraining"
    assert method_title("broken") == "broken"
    read_texts([1, 2])
