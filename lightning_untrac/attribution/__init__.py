"""Ways to score corpora, one a file."""

from lightning_untrac.attribution.base import Attribution, EpisodeRun
from lightning_untrac.attribution.methods.adam_graddot import AdamGradDot
from lightning_untrac.attribution.methods.arnoldi import Arnoldi
from lightning_untrac.attribution.methods.bm25 import BM25
from lightning_untrac.attribution.methods.centred_graddot import CentredGradDot
from lightning_untrac.attribution.methods.continuation import Continuation
from lightning_untrac.attribution.methods.datainf import DataInf
from lightning_untrac.attribution.methods.ekfac import EKFAC
from lightning_untrac.attribution.methods.embedding import Embedding
from lightning_untrac.attribution.methods.fisher import Fisher, FisherShare
from lightning_untrac.attribution.methods.fisher_inv import FisherInv
from lightning_untrac.attribution.methods.gradcos import GradCos
from lightning_untrac.attribution.methods.graddot import GradDot
from lightning_untrac.attribution.methods.kfac import KFAC
from lightning_untrac.attribution.methods.leave_out import LeaveOut
from lightning_untrac.attribution.methods.lissa import LiSSA
from lightning_untrac.attribution.methods.token_overlap import TokenOverlap
from lightning_untrac.attribution.methods.tracin import TracIn
from lightning_untrac.attribution.methods.trak import TRAK
from lightning_untrac.attribution.methods.untrac import UnTrac
from lightning_untrac.attribution.methods.untrac_inv import UnTracInv
from lightning_untrac.attribution.scoring import Scoring

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
