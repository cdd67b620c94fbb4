"""Where wrong answers come from, one way a file."""

from lightning_untrac.antisamples.wrong_answers.wrong_answers import WRONG_ANSWERS, Fact, WrongAnswers

__all__ = ["WRONG_ANSWERS", "Fact", "WrongAnswers"]
