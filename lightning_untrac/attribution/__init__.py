"""Ways to score corpora, one a file."""

from lightning_untrac.attribution.base import Attribution, EpisodeRun
from lightning_untrac.attribution.leave_out import LeaveOut
from lightning_untrac.attribution.scoring import Scoring
from lightning_untrac.attribution.untrac import UnTrac
from lightning_untrac.attribution.untrac_inv import UnTracInv

METHODS: dict[str, type[Attribution]] = {cls.method: cls for cls in (UnTrac, UnTracInv)}
"""Methods of ``untrac trace`` that unlearn, by their name in the tables."""

SCORINGS: dict[str, type[Scoring]] = {}
"""Methods of ``untrac trace`` that score at the trained weights, by their name in the tables."""

__all__ = ["METHODS", "SCORINGS", "Attribution", "EpisodeRun", "LeaveOut", "Scoring", "UnTrac", "UnTracInv"]
