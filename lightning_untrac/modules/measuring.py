"""The measuring half of every phase: one forward pass over each batch, for the losses and for all measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import lightning.pytorch as L
from typing_extensions import override

from lightning_untrac.data.collator import LanguageBatch
from lightning_untrac.metrics import DatasetLoss, Measure
from lightning_untrac.metrics.measure import measure_all
from lightning_untrac.modules.after_misses import own_continuations
from lightning_untrac.modules.asking import own_answers
from lightning_untrac.modules.example_gradients import gradient_norms
from lightning_untrac.modules.neighbourhood import own_neighbours
from lightning_untrac.modules.other_answers import own_answer_losses
from lightning_untrac.modules.references import References
from lightning_untrac.modules.target_texts import target_texts
from lightning_untrac.outputs import MeasureNeed, Outputs


class Measuring(L.LightningModule):
    """Reads every evaluated dataset in a validation, whatever the phase trains.

    Attributes:
        dataset_losses: of the last validation.
        measures: what else is measured, of ``MeasureRecorder``, which asks for it.
        reference_path: a model whose log-probabilities a measure may ask for, of a module that knows none itself.
    """

    log_losses: ClassVar[bool] = True
    """Whether readings go to the loggers as ``loss/<dataset>`` (tracing has its own, by episode)."""

    def __init__(self) -> None:
        super().__init__()
        self.dataset_losses: DatasetLoss | None = None
        self.measures: Sequence[Measure] = ()
        self.reference_path: str | None = None
        self._references = References(self)

    def outputs_of(self, batch: LanguageBatch, hidden_states: bool = False) -> Outputs:
        """One forward pass over a batch."""
        raise NotImplementedError

    @property
    def evaluation_names(self) -> list[str]:
        """Names of the datasets that a reading measures."""
        return list(getattr(getattr(self.trainer, "datamodule", None), "evaluation_names", []))

    @classmethod
    def gives(cls, stage: str) -> frozenset[MeasureNeed]:
        """What a measure may ask for beside logits and targets, and beside what is for the data to give.

        Args:
            stage: ``fit`` or ``validate``.
        """
        # Neighbours that the model itself proposes would move along with it in a fit.
        always: frozenset[MeasureNeed] = frozenset({"hidden_states", "answers", "continuations", "texts", "gradients"})
        return always if stage == "fit" else always | {"neighbours"}

    @property
    def measure_needs(self) -> frozenset[MeasureNeed]:
        """What the measures ask for beside logits and targets."""
        return frozenset(need for measure in self.measures for need in measure.needs)

    def outputs_to_measure(self, batch: LanguageBatch) -> Outputs:
        """What measures see of a batch: one forward pass, and what they ask for."""
        seen = self.outputs_of(batch, "hidden_states" in self.measure_needs)
        if "neighbours" in self.measure_needs:
            seen.neighbour_likelihoods = own_neighbours(self, batch, seen)
        return self.completed(seen, batch)

    def completed(self, seen: Outputs, batch: LanguageBatch) -> Outputs:
        """The same, with texts, gradients, what other models make of it and answers, where measures ask for them.

        Args:
            seen: of the batch.
            batch: what was read.
        """
        if "texts" in self.measure_needs:
            seen.texts = target_texts(self, seen)
        if "wrong_answers" in self.measure_needs:
            seen.wrong_answers = own_answer_losses(self, batch, "wrong_answers")
            seen.paraphrased_answer = own_answer_losses(self, batch, "paraphrased_answer")
        if "gradients" in self.measure_needs:
            seen.gradient_norms = gradient_norms(self, batch, seen)
        if self.reference_path is not None and "reference_log_probs" in self.measure_needs:
            seen.reference_log_probs = self._references.log_probs(self.reference_path, batch, seen)
        paths = {measure.reference_model for measure in self.measures} - {None}
        seen.under = {path: self._references.log_probs(path, batch, seen) for path in sorted(filter(None, paths))}
        return self.with_answers(seen, batch)

    def with_answers(self, seen: Outputs, batch: LanguageBatch) -> Outputs:
        """The same, with what the model says to questions of the batch and how it goes on with texts, where asked for.

        Args:
            seen: of the batch.
            batch: what was read.
        """
        if decodings := {measure.decoding for measure in self.measures if measure.decoding is not None}:
            seen.asked, seen.said = own_answers(self, batch, decodings)
        if "continuations" in self.measure_needs:
            seen.continued = own_continuations(self, batch, seen)
        return seen

    @override
    def on_validation_epoch_start(self) -> None:
        # Made here and not in `setup`: after that a Trainer of bf16-true casts every float of the module, sums too.
        self.dataset_losses = DatasetLoss(len(self.evaluation_names)).to(self.device)

    @override
    def validation_step(self, batch: LanguageBatch, batch_idx: int) -> dict[str, Any]:
        """Measure a batch.

        Returns:
            ``loss_sums`` (``[batch]`` float64, nats), ``num_tokens`` (``[batch]`` int64) and ``measured`` (measure to
            its values and weights, of those in ``measures``), for callbacks.
        """
        assert self.dataset_losses is not None
        seen = self.outputs_to_measure(batch)
        loss_sums, num_tokens = seen.losses
        self.dataset_losses.update(loss_sums, num_tokens, batch["dataset_index"], batch["example_index"])
        measured = measure_all(self.measures, seen)
        return {"loss_sums": loss_sums, "num_tokens": num_tokens, "measured": measured}

    @override
    def on_validation_epoch_end(self) -> None:
        assert self.dataset_losses is not None
        losses = self.dataset_losses.losses().token_loss.float()
        named = {f"loss/{name}": loss for name, loss in zip(self.evaluation_names, losses, strict=True)}
        self.log_dict(named, logger=self.log_losses and bool(self.trainer.loggers), rank_zero_only=True)
