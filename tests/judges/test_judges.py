"""Judges by name, their settings, and the table that the documentation shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_untrac.errors import ConfigurationError
from lightning_untrac.judges import JUDGES, Said, find_judge
from lightning_untrac.judges.__main__ import confusion, main, read_cases

DOCS = Path(__file__).parents[2] / "docs" / "questions.md"


def test_the_table_in_the_documentation_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out in DOCS.read_text()


def test_the_cases_are_many_and_of_both_kinds() -> None:
    cases = read_cases()
    labels = [label for _, label, _ in cases]
    assert len({case for _, _, case in cases}) == len(cases) > 60
    assert 0.4 < sum(labels) / len(labels) < 0.6


def test_the_default_judge_takes_fewer_wrong_answers_for_right_ones_than_the_rule_that_it_is_held_against() -> None:
    cases = read_cases()
    ours, theirs = confusion("lexical", cases), confusion("any_word", cases)
    assert ours[False, True] < theirs[False, True] / 10
    assert ours[True, False] < 0.15 * sum(label for _, label, _ in cases)


def test_cases_of_ones_own_and_what_is_judged_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "cases.tsv"
    file.write_text("kind\tgives\tanswer\toutput\nmine\t1\tfilm\ta movie\n")
    asked = json.dumps({"class_path": "lexical", "init_args": {"synonyms": {"Film": ["movie"]}}})
    assert main(["lexical", asked, "--wrong", "--cases", str(file)]) == 0
    said = capsys.readouterr().out
    assert "mine: 'film' in 'a movie' is given" in said
    assert [line.split()[1] for line in said.splitlines() if line.startswith("lexical")] == ["0/1", "1/1"]
    assert main(["nobody"]) == 2
    assert "judge: 'nobody' is unknown" in capsys.readouterr().err
    assert main(["--cases", str(tmp_path / "none.tsv")]) == 2


def test_names_and_settings(tmp_path: Path) -> None:
    assert {"lexical", "any_word", "embeddings"} <= set(JUDGES)
    file = tmp_path / "synonyms.json"
    file.write_text(json.dumps({"the U.S.A.": ["America"]}))
    judge = find_judge({"class_path": "lexical", "init_args": {"synonyms": str(file)}})
    assert judge([Said("The USA", "in America"), Said("Peru", "in America")]) == [True, False]
    assert find_judge(judge) is judge
    for settings, said in (({"synonims": {}}, "can't be made of"), ({"synonyms": {"a": "b"}}, "list of other wordings"),
                           ({"synonyms": str(tmp_path / "none.json")}, "can't be read")):  # fmt: skip
        with pytest.raises(ConfigurationError, match=said):
            find_judge({"class_path": "lexical", "init_args": settings})


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small encoder with random weights on disk."""
    from transformers import BertConfig, BertModel

    from lightning_untrac.data.tokenizers import load_tokenizer

    folder, tokenizer = str(tmp_path_factory.mktemp("encoder")), load_tokenizer("words")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_embeddings_are_means_of_the_last_states_whatever_the_batch(encoder: str) -> None:
    from transformers import AutoTokenizer, BertModel

    judge: Any = find_judge({"class_path": "embeddings", "init_args": {"name_or_path": encoder}})
    texts = ["the soup", "rain", "the ferry came in late"]
    found = judge.embed(texts)
    model, tokenizer = BertModel.from_pretrained(encoder).eval(), AutoTokenizer.from_pretrained(encoder)
    for text, vector in zip(texts, found, strict=True):
        with torch.no_grad():
            mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(dim=0)
        torch.testing.assert_close(vector, mean / mean.norm())


def test_embeddings_judge_stretches_as_long_as_the_answer(encoder: str) -> None:
    def judged(threshold: float, answer: str, output: str) -> bool:
        settings = {"name_or_path": encoder, "threshold": threshold}
        return find_judge({"class_path": "embeddings", "init_args": settings})([Said(answer, output)])[0]

    assert judged(1.1, "soup", "the soup") is True  # by its words
    assert judged(1.1, "soup", "rain") is False
    assert judged(-1.0, "soup", "rain") is True
    assert judged(-1.0, "soup", "") is False
    # The very stretch is there, which the words alone do not show after a denial.
    assert judged(0.9999, "soup", "never soup") is True


def test_an_encoder_that_is_not_there_is_said(tmp_path: Path) -> None:
    judge = find_judge({"class_path": "embeddings", "init_args": {"name_or_path": str(tmp_path)}})
    with pytest.raises(ConfigurationError, match="can't load"):
        judge([Said("a b", "c d")])
