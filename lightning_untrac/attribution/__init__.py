"""Ways to score corpora, one a file."""

from lightning_untrac.attribution.base import Attribution, EpisodeRun
from lightning_untrac.attribution.leave_out import LeaveOut
from lightning_untrac.attribution.untrac import UnTrac
from lightning_untrac.attribution.untrac_inv import UnTracInv

METHODS: dict[str, type[Attribution]] = {cls.method: cls for cls in (UnTrac, UnTracInv)}
"""Methods of ``untrac trace``, by their name in the tables."""

__all__ = ["METHODS", "Attribution", "EpisodeRun", "LeaveOut", "UnTrac", "UnTracInv"]
