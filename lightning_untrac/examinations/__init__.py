"""What is done to the models of a judgement to see what comes of it: one examination a file."""

from lightning_untrac.examinations.bench import Bench
from lightning_untrac.examinations.columns import Column, Concluded, Number
from lightning_untrac.examinations.examination import EXAMINATIONS, Examination, find_examinations

__all__ = ["EXAMINATIONS", "Bench", "Column", "Concluded", "Examination", "Number", "find_examinations"]
