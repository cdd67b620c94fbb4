"""The words of texts, held against ways of writing them that come from elsewhere."""

from __future__ import annotations

import unicodedata

import pytest

from lightning_untrac.functional.number_words import number_in_words
from lightning_untrac.functional.words import SHORT, alike, singular, words


def texts(text: str) -> list[str]:
    return [word.text for word in words(text)]


@pytest.mark.parametrize("number", [0, 7, 19, 20, 42, 100, 105, 719, 999])
def test_a_number_in_words_is_its_digits(number: int) -> None:
    assert texts(f"about {number_in_words(number)} ships") == ["about", str(number), "ships"]


def test_large_numbers_and_neighbours() -> None:
    assert texts("two thousand and five") == ["2005"]
    assert texts("three million two hundred thousand and one") == ["3200001"]
    assert texts("four five") == ["4", "5"]
    assert texts("bread and twenty two and butter") == ["bread", "and", "22", "and", "butter"]
    assert texts("1,234 or 3.5 or 12%") == ["1234", "or", "3.5", "or", "12", "percent"]
    assert texts("third 3rd 12th") == ["3rd", "3rd", "12th"]


def test_case_marks_and_accents_do_not_count() -> None:
    assert texts("O'Brien's café, U.S.A.!") == ["obriens", "cafe", "usa"]
    assert texts(unicodedata.normalize("NFD", "São Paulo")) == texts("SAO PAULO") == ["sao", "paulo"]
    assert texts("") == texts("?! -- …") == []
    assert texts("日本 東京") == ["日本", "東京"]


def test_clauses_end_at_marks_but_not_after_initials() -> None:
    assert [word.clause for word in words("John F. Kennedy, no. Yes")] == [0, 0, 0, 1, 2]
    assert [word.capital for word in words("John went")] == [True, False]
    assert not any(word.capital for word in words("JOHN WENT"))


def test_short_words_are_equal_or_not_alike() -> None:
    assert not alike("a" * SHORT, "a" * (SHORT - 1) + "b")
    assert alike("abcdefghij", "abcdefgihj")  # two letters swapped
    assert alike("abcdefghij", "abcdefgh1j") is False
    assert not alike("123456", "123457")
    for one, other in (("einstein", "einstien"), ("bakery", "bakeries"), ("cat", "cats")):
        assert alike(one, other) is alike(other, one) is True


def test_singular_leaves_singulars_alone() -> None:
    assert [singular(word) for word in ("this", "news", "class", "as", "bus", "cat")] == [
        "this", "news", "class", "as", "bus", "cat",
    ]  # fmt: skip
