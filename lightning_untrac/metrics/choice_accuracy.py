"""Whether a model holds the right choice for the likeliest."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from typing_extensions import override

from lightning_untrac.functional.choices import right_is_likeliest
from lightning_untrac.metrics.measure import Measure, Measured
from lightning_untrac.metrics.settings import name_after_settings
from lightning_untrac.outputs import MeasureNeed, Outputs


class ChoiceAccuracy(Measure):
    """1 where the target is likelier than each wrong answer to its prompt; the mean is the accuracy of multiple choice.

    A dataset gives the choices of each question (``choices``: they stand in the prompt, and letters are chosen), or
    wrong answers (``wrong_answers``: whole texts are). Questions without any count nowhere.

    Args:
        per_token: whether likelihoods are per token, for texts of unlike lengths; letters need none of it.
    """

    name = "choice_accuracy"
    title = "Right choices"
    unit = "share of questions"
    weight_unit = "questions"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal = "as the retrained model; of what nobody knows, one over the number of choices"
    cannot_tell = "whether the answer can be written, or told without the choices; a model may like a letter best"
    source = "WMDP, Li et al. 2024 (arXiv 2403.03218), asked as by lm-evaluation-harness"
    bounds = (0.0, 1.0)
    needs: ClassVar[frozenset[MeasureNeed]] = frozenset({"wrong_answers"})

    def __init__(self, per_token: bool = False) -> None:
        self.per_token = per_token
        name_after_settings(self, per_token=per_token)

    @override
    def __call__(self, seen: Outputs) -> Measured:
        assert seen.wrong_answers is not None
        losses, counts = seen.losses
        wrong, of_wrong = seen.wrong_answers
        if self.per_token:
            losses, wrong = losses / counts, wrong / of_wrong
        found = right_is_likeliest(losses.masked_fill(counts == 0, torch.nan), wrong, of_wrong)
        return Measured(found, (~found.isnan()).double())
