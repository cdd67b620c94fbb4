"""Ways to score corpora, one a file."""

from lightning_untrac.attribution.adam_graddot import AdamGradDot
from lightning_untrac.attribution.arnoldi import Arnoldi
from lightning_untrac.attribution.base import Attribution, EpisodeRun
from lightning_untrac.attribution.bm25 import BM25
from lightning_untrac.attribution.centred_graddot import CentredGradDot
from lightning_untrac.attribution.continuation import Continuation
from lightning_untrac.attribution.datainf import DataInf
from lightning_untrac.attribution.ekfac import EKFAC
from lightning_untrac.attribution.embedding import Embedding
from lightning_untrac.attribution.fisher import Fisher, FisherShare
from lightning_untrac.attribution.fisher_inv import FisherInv
from lightning_untrac.attribution.gradcos import GradCos
from lightning_untrac.attribution.graddot import GradDot
from lightning_untrac.attribution.kfac import KFAC
from lightning_untrac.attribution.leave_out import LeaveOut
from lightning_untrac.attribution.lissa import LiSSA
from lightning_untrac.attribution.scoring import Scoring
from lightning_untrac.attribution.token_overlap import TokenOverlap
from lightning_untrac.attribution.tracin import TracIn
from lightning_untrac.attribution.trak import TRAK
from lightning_untrac.attribution.untrac import UnTrac
from lightning_untrac.attribution.untrac_inv import UnTracInv

METHODS: dict[str, type[Attribution]] = {cls.method: cls for cls in (UnTrac, UnTracInv, Continuation)}
"""Methods of ``untrac trace`` that take steps, by their name in the tables."""

SCORINGS: dict[str, type[Scoring]] = {
    cls.method: cls
    for cls in (
        *(GradDot, GradCos, CentredGradDot, AdamGradDot, TracIn, Fisher, FisherShare, FisherInv),
        *(BM25, TokenOverlap, Embedding, EKFAC, KFAC, Arnoldi, LiSSA, DataInf, TRAK),
    )
}
"""Methods of ``untrac trace`` that score at the trained weights, by their name in the tables."""

__all__ = [
    "METHODS",
    "SCORINGS",
    "Attribution",
    "Continuation",
    "EpisodeRun",
    "LeaveOut",
    "Scoring",
    "UnTrac",
    "UnTracInv",
]
