"""Ways to score corpora, one a file."""

from lightning_untrac.attribution.base import Attribution, EpisodeRun
from lightning_untrac.attribution.method import METHODS, Method
from lightning_untrac.attribution.methods.continuation import Continuation
from lightning_untrac.attribution.methods.leave_out import LeaveOut
from lightning_untrac.attribution.methods.untrac import UnTrac
from lightning_untrac.attribution.methods.untrac_inv import UnTracInv
from lightning_untrac.attribution.scoring import Scoring

__all__ = [
    "METHODS",
    "Attribution",
    "Continuation",
    "EpisodeRun",
    "LeaveOut",
    "Method",
    "Scoring",
    "UnTrac",
    "UnTracInv",
]
