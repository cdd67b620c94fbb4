"""Chance that one of several drawn answers gives the right one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from typing_extensions import override

from lightning_untrac.decoding import PLAIN, Asked, Decoding
from lightning_untrac.errors import raise_if_any
from lightning_untrac.functional.answers import leak_at_k
from lightning_untrac.judges import find_judge
from lightning_untrac.metrics.answering import AskedJudge, OfAnswers, checked_formats, gives, name_after_formats
from lightning_untrac.results.measures import MeasureText, describe_measure


class LeakAtK(OfAnswers):
    """Chance that at least one of ``k`` drawn answers gives the right one, estimated without bias from ``n`` draws.

    What greedy decoding hides. Draws are of the dataset's name, the example, the number of the draw and the seed alone:
    no batch and no rank changes them. In tables it is called ``leak_at_4`` where ``k`` is 4. Of several formats the
    largest chance counts (``leak_at_4_in_3_formats``).

    Args:
        k: answers that someone draws.
        n: answers that are drawn for the estimate, at least ``k``; ``n`` generations a question and format.
        temperature: of the draws; above 0.
        seed: of the draws.
        judge: decides; see :mod:`lightning_untrac.judges`.
        longest: most tokens of an answer.
        formats: in which each question is asked, such as ``Please answer: {prompt}``.

    Raises:
        ConfigurationError: if a setting is out of range, or a format has no place for the question.
    """

    name = "leak_at_k"
    title = "Leak at k"
    unit = "chance"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal = "as the retrained model, which guesses"
    cannot_tell = "what other wordings bring out; verbatim text needs no draws (measure its loss)"
    source = "leak@k: 1 - C(n-c, k) / C(n, k), the estimator of pass@k (Chen et al. 2021)"
    groups: ClassVar[frozenset[str]] = frozenset({"answers"})
    bounds = (0.0, 1.0)
    worst = "largest"

    def __init__(
        self, k: int = 4, n: int = 16, temperature: float = 1.0, seed: int = 0,
        judge: AskedJudge = "lexical", longest: int = 32, formats: str | Sequence[str] = (PLAIN,),
    ) -> None:  # fmt: skip
        super().__init__(longest)
        problems = [] if 1 <= k <= n else [f"k is {k} and n is {n}; give 1 <= k <= n"]
        problems += (
            [] if temperature > 0 else [f"temperature is {temperature}; give one above 0 (`answered` is greedy)"]
        )
        raise_if_any(problems + ([] if seed >= 0 else [f"seed is {seed}; give 0 or more"]))
        self.k, self.judge = k, find_judge(judge)
        self.decoding = Decoding(longest, n, temperature, seed, checked_formats(formats))
        self.name = f"leak_at_{k}"  # type: ignore[misc]  # two values of k are two measures
        self.title = f"Leak at {k}"  # type: ignore[misc]
        describe_measure(self.name, MeasureText.of(self, self.title))
        name_after_formats(self)

    @override
    def of_questions(self, answered: Sequence[tuple[Asked, Sequence[str]]]) -> list[float]:
        n, every = self.decoding.samples, gives(self.judge, answered)
        in_formats = [[each[begin : begin + n] for begin in range(0, len(each), n)] for each in every]
        return [max(leak_at_k(n, sum(one), self.k) for one in each) for each in in_formats]
