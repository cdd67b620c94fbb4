import ast
import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from lightning_untrac import results
from lightning_untrac.attribution import METHODS, Attribution
from lightning_untrac.attribution.methods.fisher import Fisher
from lightning_untrac.results import influence_matrix, matrix_table
from lightning_untrac.results.colours import colour_shares, colours_title
from lightning_untrac.results.methods import REFERENCE, method_text, method_title, read_texts, texts_of
from lightning_untrac.results.narrative import answers, headline_method
from lightning_untrac.results.self_check import SelfCheck, self_check_sentence
from lightning_untrac.results.sentence import plain
from lightning_untrac.tables import InfluenceRow

# Those that ship: other tests of this process define some of their own.
EVERY = {name: METHODS[name] for name in METHODS if METHODS[name].__module__.startswith("lightning_untrac.")}


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


def test_what_shows_results_knows_no_method_by_name():
    """But for the one that is the truth unless another is named."""
    found = []
    for path in Path(results.__file__).parent.glob("*.py"):
        constants = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
        found += [(path.name, node.value) for node in constants if node.value in EVERY]
    assert found == [("methods.py", REFERENCE)]


def test_a_new_method_says_whether_the_answers_are_read_from_it_and_how():
    class Better(Attribution):
        method = "better_in_this_test"
        title = "Better"
        summary = "It does this."
        finding = "forgetting it raises the loss"
        precedence = 9
        if_wrong = "forget less"
        kind = "each_corpus"

    assert headline_method(["untrac", "better_in_this_test", "continuation"]) == "better_in_this_test"
    rows = [
        InfluenceRow(method=Better.method, corpus=c, test_set="ask", seed=0, step=1, final=True, influence=i)
        for c, i in (("forum", 0.5), ("news", 0.25))
    ]
    (said,) = answers(influence_matrix(rows, Better.method))
    assert plain(said).startswith("`ask` comes most from `forum`: forgetting it raises the loss by 0.5")
    failed = SelfCheck(2, 0, 0.1, (("self_forum", "news"),))
    assert self_check_sentence(failed, Better.method).endswith("; forget less")


@pytest.mark.parametrize("name", EVERY)
def test_methods_that_centre_their_scores_say_that_a_sign_alone_says_nothing(name):
    centred = name in ("leave_out", "continuation", "centred_graddot")
    influences = (0.5, 0.5, -0.25)
    rows = [
        InfluenceRow(method=name, corpus=c, test_set="ask", seed=0, step=1, final=True, influence=i)
        for c, i in zip(("forum", "news", "code"), influences, strict=True)
    ]
    matrix = influence_matrix(rows, name)
    stream = io.StringIO()
    Console(file=stream, width=300).print(matrix_table(matrix))
    assert ("not: works against" in stream.getvalue()) == centred
    assert ("above the mean of its column" in colours_title(matrix)) == centred
    start = sum(influences) / 3 if centred else 0.0
    shares = np.array(influences) - start
    np.testing.assert_allclose(colour_shares(matrix)[:, 0], shares / abs(shares).max())


def test_words_travel_beside_the_tables():
    there = json.loads(json.dumps(texts_of(["leave_out", "never heard of"])))
    assert list(there) == ["leave_out"]
    assert there["leave_out"]["signed"] is False
    read_texts({"from_elsewhere": there["leave_out"], "leave_out": {"title": "wrong"}, "broken": 5, "x": {"title": 5}})
    assert method_text("from_elsewhere") == method_text("leave_out")
    assert method_title("leave_out") == "Leave-out retraining"
    assert method_title("broken") == "broken"
    read_texts([1, 2])
