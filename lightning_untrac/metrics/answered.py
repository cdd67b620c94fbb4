"""Whether a model's likeliest answer gives the right one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from typing_extensions import override

from lightning_untrac.decoding import PLAIN, Asked, Decoding
from lightning_untrac.judges import find_judge
from lightning_untrac.metrics.answering import AskedJudge, OfAnswers, checked_formats, gives, name_after_formats


class Answered(OfAnswers):
    """1 where the greedy answer gives the right one, as a judge decides; the mean is the share of questions answered.

    Of several formats any one is enough: the worst case, where forgetting is asked for. In tables the measure is then
    called ``answered_in_3_formats``, so that it can stand beside ``answered``.

    Where the dataset names a ``group`` (the fact that several questions ask for), ``worst_in_group`` is the share of
    facts that at least one question brings out.

    Args:
        judge: decides; see :mod:`lightning_untrac.judges`.
        longest: most tokens of an answer.
        formats: in which each question is asked, such as ``Please answer: {prompt}``, one generation each; in
            conversations it is the user's last message that is put into them.

    Raises:
        ConfigurationError: if a setting is out of range, or a format has no place for the question.
    """

    name = "answered"
    title = "Questions answered"
    unit = "share of questions"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal = "as the retrained model, which guesses"
    cannot_tell = "what other wordings, formats or draws bring out, nor what the judge misses"
    source = "UnSTAR (arXiv 2410.17050); the worst of a group as in JensUn"
    groups: ClassVar[frozenset[str]] = frozenset({"answers"})
    bounds = (0.0, 1.0)
    worst = "largest"

    def __init__(
        self, judge: AskedJudge = "lexical", longest: int = 32, formats: str | Sequence[str] = (PLAIN,)
    ) -> None:
        super().__init__(longest)
        self.judge = find_judge(judge)
        self.decoding = Decoding(longest, formats=checked_formats(formats))
        name_after_formats(self)

    @override
    def of_questions(self, answered: Sequence[tuple[Asked, Sequence[str]]]) -> list[float]:
        return [float(any(right)) for right in gives(self.judge, answered)]
