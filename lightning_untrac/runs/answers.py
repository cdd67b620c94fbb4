"""What a model said before unlearning and says afterwards."""

from __future__ import annotations

from typing import Final

from lightning_untrac.results.answers_section import answer_lines
from lightning_untrac.runs.answering import go_on
from lightning_untrac.runs.forget_text import PARTS, ForgetTexts
from lightning_untrac.runs.stage import Stage
from lightning_untrac.runs.surroundings import say

SHOWN: Final = {"forget": 10, "held_out": 3}
"""Prompts of each part whose answers are shown."""


def show_answers(stage: Stage, texts: ForgetTexts, path: str) -> None:
    """Ask the unlearned model what the one before was asked; print the answers, and write them into ``run.json``.

    Args:
        stage: the verb's.
        texts: what was forgotten, answered.
        path: of the unlearned model.
    """
    chosen = [(PARTS[part][1] or texts.name, row) for part, most in SHOWN.items() for row in texts.rows(part)[:most]]
    after = go_on(stage, [row["begin"] for _, row in chosen], path)
    rows = [
        {"dataset": name, "asked": row["asked"], "before": row["before"], "after": said}
        for (name, row), (said, _) in zip(chosen, after, strict=True)
    ]
    stage.folder.add_to_run(answers={stage.name: rows})
    for line in answer_lines(rows):
        say(line)
