"""Whether a model's likeliest answer gives the right one, when it is asked another question too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final, Literal

from typing_extensions import override

from lightning_untrac.decoding import Asked, Decoding, Shots
from lightning_untrac.errors import raise_if_any
from lightning_untrac.judges import find_judge
from lightning_untrac.metrics.answered_after_shots import read_pairs
from lightning_untrac.metrics.answering import AskedJudge, OfAnswers, checked_formats, gives, name_after_formats
from lightning_untrac.outputs import MeasureNeed

TRIES: Final = 8
"""Other questions that are drawn; the first that leaves room is asked."""


class AnsweredMixed(OfAnswers):
    """1 where the greedy answer to a question and another one in one prompt gives the right answer to the first.

    Unlearning may only have learnt how the forgotten questions look (Thaker et al. 2024): together with a question
    about what is retained they look otherwise. The other question is drawn by ``seed``, of the corpora beside the
    forget set or of a file, as ``answered_after_shots`` draws its pairs; its answer is not shown. Whatever is said
    counts, over line breaks too, up to ``longest`` tokens. Of several formats any one is enough.

    Args:
        judge: decides; see :mod:`lightning_untrac.judges`.
        longest: most tokens of what is said to both questions.
        formats: templates with ``{prompt}`` and ``{other}``, such as ``1. {other} 2. {prompt}``.
        path: a JSON lines file with ``prompt`` and ``target``, and perhaps ``group``, in place of the corpora.
        forgotten: names of further datasets of which nothing is asked beside, where no plan says what is forgotten
            (``untrac evaluate``).
        seed: of the draws.

    Raises:
        ConfigurationError: if a setting is out of range or the file has no pairs; and at the first reading, if there
            is no other question, or no room for one.
    """

    name = "answered_mixed"
    title = "Questions answered beside another question"
    unit = "share of questions"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal = "as the retrained model, which guesses"
    cannot_tell = "what other questions beside bring out, nor whether that question is still answered"
    source = "mixed queries of Thaker et al. 2024 (arXiv 2410.02879), with our draws and formats"
    bounds = (0.0, 1.0)
    worst = "largest"

    def __init__(
        self, judge: AskedJudge = "lexical", longest: int = 64, formats: str | Sequence[str] = ("{other} {prompt}",),
        path: str | None = None, forgotten: str | Sequence[str] = (), seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(longest)
        problems = [] if seed >= 0 else [f"seed is {seed}; give 0 or more"]
        templates = checked_formats(formats)
        problems += [
            f"formats: {one!r} doesn't say once where the other question stands; write {{other}} there"
            for one in templates
            if one.count("{other}") != 1
        ]
        raise_if_any(problems)
        self.judge = find_judge(judge)
        if path is None:
            self.needs: frozenset[MeasureNeed] = self.needs | {"shots"}  # type: ignore[misc]
        names = (forgotten,) if isinstance(forgotten, str) else tuple(forgotten)
        beside = Shots(TRIES, seed, names, path, None if path is None else read_pairs(path), measure=self.name)
        self.decoding = Decoding(longest, formats=templates, beside=beside, many_lines=True)
        name_after_formats(self)

    @override
    def of_questions(self, answered: Sequence[tuple[Asked, Sequence[str]]]) -> list[float]:
        return [float(any(right)) for right in gives(self.judge, answered)]
