"""The loss of each example beside that under another model."""

from __future__ import annotations

from typing import ClassVar, Literal

from typing_extensions import override

from lightning_untrac.errors import raise_if_any
from lightning_untrac.metrics.measure import Measure, Measured
from lightning_untrac.outputs import MeasureNeed, Outputs


class ReferenceLoss(Measure):
    """Loss per target token minus that under a reference, in nats (Carlini et al. 2021).

    A reference that never saw the text takes out how hard the text is. Without ``model`` it is the model before
    unlearning (in ``untrac unlearn``), the original (in ``untrac judge``) or ``--reference`` (in ``untrac evaluate``):
    then it says how far a text has moved, and is minus
    :class:`~lightning_untrac.metrics.relex_original.RelExOriginal`.

    Args:
        model: hub name or folder of the reference, with the same tokenizer; every rank holds all of it beside its own.

    Raises:
        ConfigurationError: if the model is named by nothing.
    """

    name = "reference_loss"
    title = "Loss minus a reference's"
    unit = "nats/token"
    direction: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal = "as the retrained model"
    cannot_tell = "membership, where the reference saw the text too"
    source = "Carlini et al. 2021 (arXiv 2012.07805)"
    groups: ClassVar[frozenset[str]] = frozenset({"full", "membership"})

    def __init__(self, model: str | None = None) -> None:
        good = model is None or (isinstance(model, str) and bool(model.strip()))
        raise_if_any([] if good else [f"model is {model!r}; give the hub name or folder of a model, or leave it out"])
        self.reference_model = model
        needs: frozenset[MeasureNeed] = frozenset({"reference_log_probs"})
        self.needs = needs if model is None else frozenset()  # type: ignore[misc]

    @override
    def __call__(self, seen: Outputs) -> Measured:
        under = seen.reference_log_probs if self.reference_model is None else seen.under[self.reference_model]
        assert under is not None
        counts = seen.losses[1]
        return Measured((under - seen.log_probs) / counts, counts)
