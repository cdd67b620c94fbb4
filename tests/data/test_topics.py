"""The built-in texts with classes: parts without a common note, and words that a tokenizer knows."""

from collections import Counter

import pytest

from lightning_untrac.data.builtin import builtin_examples
from lightning_untrac.data.builtin.topics import DESKS
from lightning_untrac.data.tokenizers import load_tokenizer


@pytest.fixture(scope="module")
def parts():
    return {part: builtin_examples(f"topics/{part}") for part in ("rest", "forget", "test")}


def test_sizes_and_classes(parts):
    assert {part: len(rows) for part, rows in parts.items()} == {"rest": 4500, "forget": 500, "test": 1000}
    for rows in parts.values():
        counts = Counter(row["label"] for row in rows)
        assert set(counts) == set(DESKS)
        assert min(counts.values()) > 0.2 * len(rows)
    kinds = Counter(row["subset"] for row in parts["rest"])
    assert 0.26 < kinds["open"] / 4500 < 0.31
    assert 0.03 < kinds["wrong"] / 4500 < 0.07


def test_no_note_is_in_two_parts_whatever_the_seeds(parts):
    texts = {part: {row["text"] for row in rows} for part, rows in parts.items()}
    again = {row["text"] for row in builtin_examples("topics/forget", 300, seed=5)}
    assert not texts["rest"] & texts["forget"] | texts["rest"] & texts["test"] | texts["forget"] & texts["test"]
    assert not again & (texts["rest"] | texts["test"])
    assert again - texts["forget"]


def test_two_of_three_remarks_are_the_desk_s_own(parts):
    first = {word: desk for desk, word in (("harbour", "pier"), ("kitchen", "oven"), ("garden", "hedge"))}
    clear = [row for row in parts["rest"] if row["subset"] == "clear"]
    for row in clear:
        mine = [desk for word, desk in first.items() for remark in row["text"].split(";") if f" {word} " in remark]
        if len(mine) == 2 and len(set(mine)) == 1:
            assert mine[0] == row["label"]


def test_the_word_tokenizer_knows_every_word(parts, tmp_path):
    tokenizer = load_tokenizer("words")
    texts = [row["text"] for rows in parts.values() for row in rows]
    ids = tokenizer(texts)["input_ids"]
    assert not any(tokenizer.unk_token_id in one for one in ids)
    assert max(map(len, ids)) <= 32
    tokenizer.save_pretrained(tmp_path)
    assert load_tokenizer(str(tmp_path))(texts[:50])["input_ids"] == ids[:50]
