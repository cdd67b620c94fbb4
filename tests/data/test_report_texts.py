from __future__ import annotations

import numpy as np

from lightning_untrac.data.report_texts import LONGEST, report_texts


class Letters:
    """A tokenizer whose tokens are letters."""

    def decode(self, tokens: list[int], skip_special_tokens: bool) -> str:
        assert skip_special_tokens
        return "".join(map(chr, tokens))


def dataset(*texts: str) -> list[dict[str, np.ndarray]]:
    ids = [np.array([ord(letter) for letter in text], dtype=np.int32) for text in texts]
    return [{"input_ids": each, "labels": each} for each in ids]


def test_texts_are_few_and_short() -> None:
    found = report_texts(dataset("a <b>", "x" * 1000, "c"), Letters(), 2)  # type: ignore[arg-type]
    assert found[0] == "a <b>"
    assert found[1].endswith("\u2026")
    assert len(found) == 2
    assert len(found[1]) <= LONGEST + 1


def test_none_are_kept_where_none_are_asked_for() -> None:
    assert report_texts(dataset("secret"), Letters(), 0) == []  # type: ignore[arg-type]


def test_an_encoder_decoder_shows_prompt_and_target() -> None:
    assert report_texts(dataset("ab"), Letters(), 1, seq2seq=True) == ["ab \u2192 ab"]  # type: ignore[arg-type]
