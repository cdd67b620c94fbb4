"""How probable wrong answers are beside the right one."""

from __future__ import annotations

import math
from typing import ClassVar, Final, Literal

from typing_extensions import override

from lightning_untrac.errors import raise_if_any
from lightning_untrac.functional.truth_ratio import FORMS, Form, log_truth_ratio, truth_ratio
from lightning_untrac.metrics.measure import Measure, Measured
from lightning_untrac.metrics.settings import name_after_settings
from lightning_untrac.outputs import MeasureNeed, Outputs

Direction = Literal["lower", "higher", "none"]

_DIRECTIONS: Final[dict[Form, Direction]] = {
    "ratio": "lower",
    "closer_to_1_better": "none",  # lower where the right answer is likelier, and lower where it was driven out
    "true_better": "higher",
    "right_share": "higher",
}


class TruthRatio(Measure):
    """``R``: the geometric mean of ``p(wrong)^(1 / tokens)`` over ``p(right)^(1 / tokens)`` (TOFU, Maini et al. 2024).

    Near 0 the model tells the right answer from the wrong ones, at 1 it doesn't, above 1 it holds the wrong ones for
    likelier. A dataset names its wrong answers (``wrong_answers: perturbed_answer``), and may name other words for the
    right one (``paraphrased_answer: paraphrased_answer``), which are read in its place: they were never trained on.
    Questions without wrong answers count nowhere. With another form it is called ``truth_ratio_form_true_better``.

    Args:
        form: ``ratio``, R itself; ``closer_to_1_better``, min(R, 1/R); ``true_better``, max(0, 1 - R); ``right_share``,
            right / (right + wrong). A mean of R hangs on its largest values; means of the other three do not.

    Raises:
        ConfigurationError: if the form is unknown.
    """

    name = "truth_ratio"
    title = "Truth ratio"
    unit = "wrong/right"
    weight_unit = "questions"
    direction: ClassVar[Direction] = "lower"
    ideal = "as the retrained model"
    cannot_tell = "whether the fact is gone: it was easily undone by relearning in a 2026 study of 20 measures"
    source = "TOFU, Maini et al. 2024 (arXiv 2401.06121); geometric mean as in its public evaluation"
    groups: ClassVar[frozenset[str]] = frozenset({"answers"})
    bounds = (0.0, math.inf)
    needs: ClassVar[frozenset[MeasureNeed]] = frozenset({"wrong_answers"})
    tests_distribution = True

    def __init__(self, form: Form = "ratio") -> None:
        raise_if_any([] if form in FORMS else [f"form is {form!r}; give one of {', '.join(FORMS)}"])
        self.form = form
        if form != "ratio":  # attributes of the instance, beside those of the class
            self.direction, self.unit, self.bounds = _DIRECTIONS[form], "", (0.0, 1.0)  # type: ignore[misc]
        name_after_settings(self, form=form)

    @override
    def __call__(self, seen: Outputs) -> Measured:
        assert seen.wrong_answers is not None
        found = log_truth_ratio(*seen.wrong_answers, *seen.right_answers)
        return Measured(truth_ratio(found, self.form), (~found.isnan()).double())
