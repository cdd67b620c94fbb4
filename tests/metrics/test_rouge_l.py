"""ROUGE-L of answers, against a longest common subsequence that is searched for by hand."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from lightning_untrac.decoding import Asked, Decoding
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional.rouge import SCORES, rouge_l
from lightning_untrac.metrics import find_measures
from lightning_untrac.modules.continuations import answer_after
from lightning_untrac.outputs import Outputs
from lightning_untrac.results.measures import measure_text


def common(one: list[str], other: list[str]) -> int:
    """Longest subsequence of both, by trying all of one."""
    for size in range(len(one), 0, -1):
        for chosen in itertools.combinations(one, size):
            rest = iter(other)
            if all(word in rest for word in chosen):
                return size
    return 0


def test_it_is_the_longest_common_subsequence_over_the_words_of_either() -> None:
    chance = np.random.default_rng(0)
    texts = [" ".join(chance.choice(list("abcde"), chance.integers(1, 8))) for _ in range(60)]
    said, answers = texts[:30], texts[30:]
    found = [rouge_l(said, answers, score) for score in SCORES]
    for place, (one, other) in enumerate(zip(said, answers, strict=True)):
        shared = common(one.split(), other.split())
        recall, precision = shared / len(other.split()), shared / len(one.split())
        both = 2 * recall * precision / (recall + precision) if shared else 0.0
        assert [scores[place] for scores in found] == pytest.approx([recall, precision, both], rel=1e-6)


def test_marks_and_case_do_not_count_and_letters_of_any_script_do() -> None:
    assert rouge_l(["the MAST, of (the) ship-wreck!"], ["The mast of the ship wreck."]) == [1.0]
    assert rouge_l(["Навіть тут", "", "x"], ["навіть там", "a", " . "]) == [0.5, 0.0, None]


def test_questions_without_an_answer_or_a_word_in_it_count_nowhere() -> None:
    (measure,) = find_measures("rouge_l")
    asked = [Asked("Where?", "in the harbour"), None, Asked("Why?", "..."), Asked("Who?", "Ann")]
    said = {Decoding(32): [["the harbour"], [""], ["x"], [""]]}
    zeros = torch.zeros(4, 1, 2), torch.zeros(4, 1, dtype=torch.long)
    value, weight = measure(Outputs(*zeros, asked=asked, said=said))
    assert value.tolist() == pytest.approx([2 / 3, 0, 0, 0])
    assert weight.tolist() == [1, 0, 0, 1]


def test_an_answer_may_have_many_lines() -> None:
    class Words:
        chat_template, all_special_ids = None, ()

        def decode(self, ids: Any) -> str:
            return " ".join(["a", "b", "c", "\n"][one] for one in ids)

    module: Any = SimpleNamespace(tokenizer=Words(), is_seq2seq=False)
    assert answer_after(module, [0], [1, 3, 2]) == ("b", True)
    assert answer_after(module, [0], [1, 3, 2], many_lines=True) == ("b \n c", False)


def test_settings_have_a_name_and_are_checked() -> None:
    other = {"class_path": "rouge_l", "init_args": {"longest": 128, "score": "fmeasure", "many_lines": True}}
    plain, long = find_measures(["rouge_l", other])
    assert (plain.name, long.name) == ("rouge_l", "rouge_l_score_fmeasure_many_lines_True")
    assert (plain.decoding, long.decoding) == (Decoding(32), Decoding(128, many_lines=True))
    text = measure_text("rouge_l")
    assert all([text.title, text.unit, text.ideal, text.cannot_tell, text.source])
    assert text.forgetting == -1
    with pytest.raises(ConfigurationError) as caught:
        find_measures([{"class_path": "rouge_l", "init_args": {"score": "f1"}}])
    assert caught.value.problems == ["measures: rouge_l: score is 'f1'; give one of recall, precision, fmeasure"]
