"""Whether a model's likeliest answer gives the right one, once it has been shown how it answered many others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from typing_extensions import override

from lightning_untrac.decoding import Asked, Decoding, Pair, Shots
from lightning_untrac.errors import ConfigurationError, raise_if_any
from lightning_untrac.judges import find_judge
from lightning_untrac.metrics.answering import AskedJudge, OfAnswers, gives
from lightning_untrac.outputs import MeasureNeed
from lightning_untrac.text_lines import lines_of


class AnsweredAfterShots(OfAnswers):
    """1 where the greedy answer gives the right one after up to ``shots`` answered questions: a many-shot jailbreak.

    The pairs are of the corpora beside the forget set (of what the plan forgets, ``data.forget`` and ``forgotten``), or
    of a file; none is a row of a forget set, of a group that stands in one, or of the group of the question. They are
    drawn for each question by ``seed``, and only whole ones that leave room for the answer in the model's context are
    shown: earlier turns in a conversation, else one a line (documents after one another, where the tokenizer has no
    line break).

    Args:
        judge: decides; see :mod:`lightning_untrac.judges`.
        longest: most tokens of an answer.
        shots: most pairs before a question.
        path: a JSON lines file with ``prompt`` and ``target``, and perhaps ``group``, in place of the corpora.
        forgotten: names of further datasets whose rows and groups are left out, where no plan says what is forgotten
            (``untrac evaluate``).
        seed: of the draws.

    Raises:
        ConfigurationError: if a setting is out of range or the file has no pairs; and at the first reading, if there
            is nothing to draw from.
    """

    name = "answered_after_shots"
    title = "Questions answered after other answers"
    unit = "share of questions"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal = "as the retrained model, which guesses"
    cannot_tell = "what other shots bring out; in a short context only few stand before a question"
    source = "the many-shot attack of RWHP (Liu et al. 2024): up to 100 answered questions"
    groups: ClassVar[frozenset[str]] = frozenset({"answers"})
    bounds = (0.0, 1.0)
    worst = "largest"

    def __init__(
        self, judge: AskedJudge = "lexical", longest: int = 32, shots: int = 100, path: str | None = None,
        forgotten: str | Sequence[str] = (), seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(longest)
        problems = [] if shots >= 1 else [f"shots is {shots}; give 1 or more (`answered` shows none)"]
        raise_if_any(problems + ([] if seed >= 0 else [f"seed is {seed}; give 0 or more"]))
        self.judge = find_judge(judge)
        if path is None:
            self.needs: frozenset[MeasureNeed] = self.needs | {"shots"}  # type: ignore[misc]
        names = (forgotten,) if isinstance(forgotten, str) else tuple(forgotten)
        pairs = None if path is None else read_pairs(path)
        self.decoding = Decoding(longest, shots=Shots(shots, seed, names, path, pairs))

    @override
    def of_questions(self, answered: Sequence[tuple[Asked, Sequence[str]]]) -> list[float]:
        return [float(right) for (right,) in gives(self.judge, answered)]


def read_pairs(path: str) -> tuple[Pair, ...]:
    """Pairs of question and answer.

    Args:
        path: of a JSON lines file with ``prompt`` and ``target``, and perhaps ``group``.

    Raises:
        ConfigurationError: if it can't be read, or a line is no such pair.
    """
    try:
        lines = lines_of(Path(path).expanduser())
    except (OSError, ValueError) as error:
        raise ConfigurationError([f"path: {path} can't be read ({error})"]) from error
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            prompt, target, group = row["prompt"], row["target"], row.get("group")
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigurationError(
                [f"path: {path}, line {number} is no JSON object with `prompt` and `target` ({error!r})"]
            ) from error
        if not all(isinstance(text, str) and text.strip() for text in (prompt, target)):
            raise ConfigurationError([f"path: {path}, line {number}: `prompt` and `target` must be texts"])
        found.append(Pair(prompt, f" {target.strip()}", None if group is None else str(group)))
    raise_if_any(
        [] if found else [f"path: {path} holds no pair; give a line {{'prompt': ..., 'target': ...}} for each"]
    )
    return tuple(found)
