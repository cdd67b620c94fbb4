"""What unlearning minimises: terms, one a file, and what puts them together."""

from typing import Any

from lightning_untrac.objectives.anchor.fisher_anchor import FisherAnchor
from lightning_untrac.objectives.anchor.l2_anchor import L2Anchor
from lightning_untrac.objectives.forget.alt_po import AltPO
from lightning_untrac.objectives.forget.bad_teacher import BadTeacher
from lightning_untrac.objectives.forget.ce_u import CEU
from lightning_untrac.objectives.forget.clamped_ascent import ClampedAscent
from lightning_untrac.objectives.forget.contrastive import Contrastive
from lightning_untrac.objectives.forget.deepcut import DeepCUT
from lightning_untrac.objectives.forget.descent import Descent
from lightning_untrac.objectives.forget.dpo import DPO
from lightning_untrac.objectives.forget.gradient_ascent import GradientAscent
from lightning_untrac.objectives.forget.idk_dpo import IdkDPO
from lightning_untrac.objectives.forget.jensun import JensUn
from lightning_untrac.objectives.forget.kl_to_uniform import KLToUniform
from lightning_untrac.objectives.forget.maximum_entropy import MaximumEntropy
from lightning_untrac.objectives.forget.npo import NPO
from lightning_untrac.objectives.forget.pdu import PDU
from lightning_untrac.objectives.forget.random_labels import RandomLabels
from lightning_untrac.objectives.forget.rmu import RMU
from lightning_untrac.objectives.forget.satimp import SatImp
from lightning_untrac.objectives.forget.scrub import SCRUB
from lightning_untrac.objectives.forget.simnpo import SimNPO
from lightning_untrac.objectives.forget.token_npo import TokenNPO
from lightning_untrac.objectives.forget.undial import UNDIAL
from lightning_untrac.objectives.forget.weighted_token_npo import WeightedTokenNPO
from lightning_untrac.objectives.forget.wga import WGA
from lightning_untrac.objectives.objective import Objective, Part
from lightning_untrac.objectives.rectify.base import Rectifier
from lightning_untrac.objectives.rectify.gru import GRU
from lightning_untrac.objectives.rectify.sam import SAM
from lightning_untrac.objectives.retain.retain_answer import RetainAnswer
from lightning_untrac.objectives.retain.retain_bound import RetainBound
from lightning_untrac.objectives.retain.retain_hidden_states import RetainHiddenStates
from lightning_untrac.objectives.retain.retain_jsd import RetainJSD
from lightning_untrac.objectives.retain.retain_kl import RetainKL
from lightning_untrac.objectives.retain.retain_loss import RetainLoss
from lightning_untrac.objectives.terms import Anchor, ForgetTerm, Outputs, RetainTerm, Seen, Term

__all__ = [
    "CEU",
    "DPO",
    "GRU",
    "NPO",
    "PDU",
    "RMU",
    "SAM",
    "SCRUB",
    "UNDIAL",
    "WGA",
    "AltPO",
    "Anchor",
    "BadTeacher",
    "ClampedAscent",
    "Contrastive",
    "DeepCUT",
    "Descent",
    "FisherAnchor",
    "ForgetTerm",
    "GradientAscent",
    "IdkDPO",
    "JensUn",
    "KLToUniform",
    "L2Anchor",
    "MaximumEntropy",
    "Objective",
    "Outputs",
    "Part",
    "RandomLabels",
    "Rectifier",
    "RetainAnswer",
    "RetainBound",
    "RetainHiddenStates",
    "RetainJSD",
    "RetainKL",
    "RetainLoss",
    "RetainTerm",
    "SatImp",
    "Seen",
    "SimNPO",
    "Term",
    "TokenNPO",
    "WeightedTokenNPO",
]

NOW_WRITTEN = {
    "AscentWithRetainLoss": "{forget: GradientAscent, retain: [{class_path: RetainLoss, init_args: {weight: 1.0}}]}",
    "AscentWithKL": "{forget: GradientAscent, retain: [{class_path: RetainKL, init_args: {weight: 1.0}}]}",
    "FisherAnchoredAscent": "{forget: GradientAscent, anchor: {class_path: FisherAnchor, init_args: {weight: 1e5}}}",
}
"""Classes of earlier versions, and the setting of ``unlearning_objective`` that does the same."""


def __getattr__(name: str) -> Any:
    """Say how a class of an earlier version is written now."""
    if name in NOW_WRITTEN:
        raise AttributeError(f"{name} is a setting now: unlearning_objective: {NOW_WRITTEN[name]}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
