"""Does an output give the right answer? One judge a file."""

from lightning_untrac.judges.judge import JUDGES, Judge, Said, find_judge

__all__ = ["JUDGES", "Judge", "Said", "find_judge"]
