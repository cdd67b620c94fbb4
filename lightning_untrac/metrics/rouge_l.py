"""How much of the right answer stands in a model's likeliest one, in the same order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from typing_extensions import override

from lightning_untrac.decoding import Asked, Decoding
from lightning_untrac.errors import raise_if_any
from lightning_untrac.functional.rouge import SCORES, Score, rouge_l
from lightning_untrac.metrics.answering import OfAnswers
from lightning_untrac.metrics.settings import name_after_settings


class RougeL(OfAnswers):
    """ROUGE-L of the greedy answer against the right one (Lin 2004): the longest common subsequence of their words.

    Kept for comparison with published numbers: TOFU (recall, up to 200 tokens) and MUSE (questions up to 32 tokens,
    continuations of texts up to 128 with ``many_lines``). ``answered`` asks the same of a judge. With another score, or
    with many lines, it has them in its name.

    Args:
        longest: most tokens of an answer.
        score: ``recall``, ``precision`` or ``fmeasure``.
        many_lines: whether an answer goes on after the end of its line, where no chat template ends it.

    Raises:
        ConfigurationError: if a setting is out of range.
    """

    name = "rouge_l"
    title = "ROUGE-L of the answer"
    unit = "share of words"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal = "as the retrained model"
    cannot_tell = (
        "whether the fact was given: shared function words count too. A 2026 study of 20 measures found it among the "
        "poor ones (faithfulness .722 of 1, overall .454)"
    )
    source = "Lin 2004, as in TOFU (arXiv 2401.06121) and MUSE (arXiv 2407.06460)"
    groups: ClassVar[frozenset[str]] = frozenset({"answers"})
    bounds = (0.0, 1.0)
    worst = "largest"

    def __init__(self, longest: int = 32, score: Score = "recall", many_lines: bool = False) -> None:
        super().__init__(longest)
        raise_if_any([] if score in SCORES else [f"score is {score!r}; give one of {', '.join(SCORES)}"])
        self.score = score
        self.decoding = Decoding(longest, many_lines=many_lines)
        name_after_settings(self, score=score, many_lines=many_lines)

    @override
    def of_questions(self, answered: Sequence[tuple[Asked, Sequence[str]]]) -> list[float | None]:
        return rouge_l([said for _, (said,) in answered], [asked.answer for asked, _ in answered], self.score)
