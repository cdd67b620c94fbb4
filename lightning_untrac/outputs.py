"""What one forward pass over one stream of examples gave: what terms of an objective and measures read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from lightning_untrac.decoding import Asked, Decoding
from lightning_untrac.functional import IGNORE_INDEX, token_loss_sum
from lightning_untrac.functional.memorisation import target_hits
from lightning_untrac.functional.token_losses import token_losses

Unit = Literal["token", "sequence", "later_token"]
"""What a term is a mean over: target tokens, sequences with one, or target tokens but the first of each sequence."""

Need = Literal[
    "reference_logits", "reference_log_probs", "reference_hidden_states", "hidden_states", "untrained_logits"
]
"""What a term or a measure asks for beside logits and targets; ``reference`` is the model before unlearning, and
``untrained`` one of its architecture before any training."""


MeasureNeed = (
    Need
    | Literal["unseen", "neighbours", "answers", "shots", "continuations", "texts", "wrong_answers"]
    | Literal["gradients"]
)
"""What a measure alone may ask for too: ``unseen`` text (a holdout) to stand among, and ``neighbours``, the likelihoods
of copies of each example with some tokens replaced, ``answers``, what the model says to each question, ``shots``,
corpora with answered questions to show before one, ``continuations``, how the model goes on by itself after each
target that is not its first choice, ``texts``, what the targets of each example say, ``wrong_answers``, the losses of
wrong answers to each question, and ``gradients``, the size of each example's gradient."""


@dataclass(frozen=True)
class Term:
    """Sum and count of one part of an objective over one micro-batch.

    Attributes:
        total: a differentiable scalar, the sum over tokens or sequences.
        count: over how many, a whole number (on the host or as an int64 scalar). A step divides by the number of its
            ``unit`` in the whole effective batch, so that it is the same however it is cut; a term on some of the
            tokens only still is a mean over all of them.

    Example:
        >>> Term(torch.tensor(6.0), 3).mean.item()
        2.0
    """

    total: Tensor
    count: Tensor | int

    @classmethod
    def of(cls, values: Tensor) -> Term:
        """The sum of values, one a token or sequence, and how many there are.

        Args:
            values: any shape, differentiable.
        """
        return cls(values.sum(), values.numel())

    @property
    def mean(self) -> Tensor:
        """Total over count; 0 (with a zero gradient) where there is nothing to count."""
        count = self.count.clamp(min=1) if isinstance(self.count, Tensor) else max(1, self.count)
        return self.total / count


class AnswerLosses(NamedTuple):
    """Losses of further answers to the questions of a batch.

    Attributes:
        losses: ``[batch, answers]`` float64, negative log-likelihood of each answer, nats; 0 where there is none.
        counts: ``[batch, answers]`` int64, its target tokens; 0 where there is none.
    """

    losses: Tensor
    counts: Tensor


@dataclass
class Outputs:
    """What one forward pass over one stream gave. Terms and measures read the same one, so that the model runs once.

    What several of them ask for is computed when the first one does, and kept.

    Attributes:
        logits: ``[batch, length, vocabulary]``, in a training step with a gradient.
        targets: ``[batch, length]`` int64, aligned with ``logits``; -100 where there is none. Only supervised tokens
            are targets: prompts and padding never count.
        batch: what went in.
        hidden_states: one tensor ``[batch, length, width]`` for the embeddings and for each layer, where asked for.
        reference_logits: of the model before unlearning, alike, without gradient; where asked for.
        reference_hidden_states: alike.
        reference_log_probs: ``[batch]`` float64, the sum of the targets' log-probabilities under the model before
            unlearning; where asked for.
        untrained_logits: of a model of the same architecture that was never trained, alike; where asked for.
        views: ``hidden_states`` of further forward passes, with dropout; where asked for.
        neighbour_likelihoods: ``[neighbours, batch]`` float64, mean log-likelihood per target token of copies of each
            example with some tokens replaced; where a measure asks for them.
        asked: the question of each example, ``[batch]``; None for one that asks nothing. Where a measure wants answers.
        said: by how the model was asked and let speak, its answers to each example, ``[batch][formats * samples]``;
            alike.
        continued: of each example, ``[batch]``, by the place of a target that is not the model's first choice, the
            token ids that it goes on with greedily from there to the end of the targets; where a measure asks for them.
        texts: what the targets of each example say, ``[batch]``, without special tokens; where a measure asks for it.
        gradient_norms: ``[batch]`` float64, the Euclidean norm, over all parameters that may move, of the gradient of
            each example's mean loss per target token, NaN where it has no target; where a measure asks for it.
        under: path of another model to the sums of the targets' log-probabilities under it, ``[batch]`` float64; where
            a measure asks for that model.
        wrong_answers: losses of wrong answers to each example; where a measure asks for them.
        paraphrased_answer: losses of the right answer in other words, at most one an example; alike.
    """

    logits: Tensor
    targets: Tensor
    batch: Mapping[str, Any] = field(default_factory=dict)
    hidden_states: tuple[Tensor, ...] | None = None
    reference_logits: Tensor | None = None
    reference_hidden_states: tuple[Tensor, ...] | None = None
    reference_log_probs: Tensor | None = None
    untrained_logits: Tensor | None = None
    views: tuple[tuple[Tensor, ...], ...] = ()
    neighbour_likelihoods: Tensor | None = None
    asked: Sequence[Asked | None] = ()
    said: Mapping[Decoding, Sequence[Sequence[str]]] = field(default_factory=dict)
    continued: Sequence[Mapping[int, Sequence[int]]] = ()
    texts: Sequence[str] = ()
    gradient_norms: Tensor | None = None
    under: Mapping[str, Tensor] = field(default_factory=dict)
    wrong_answers: AnswerLosses | None = None
    paraphrased_answer: AnswerLosses | None = None

    @cached_property
    def loss(self) -> Term:
        """Sum and number of the target tokens' losses, nats."""
        return Term(*token_loss_sum(self.logits, self.targets))

    @cached_property
    def losses(self) -> tuple[Tensor, Tensor]:
        """Loss sum (float64, nats, differentiable) and number of target tokens of each example, ``[batch]`` both."""
        return self.token_losses.double().sum(dim=1), self.places.sum(dim=1)

    @cached_property
    def right_answers(self) -> tuple[Tensor, Tensor]:
        """The same of the right answer in other words, where an example has such; else of its target."""
        if self.paraphrased_answer is None or not self.paraphrased_answer.counts.shape[1]:
            return self.losses
        other = self.paraphrased_answer
        there = other.counts[:, 0] > 0
        return torch.where(there, other.losses[:, 0], self.losses[0]), torch.where(
            there, other.counts[:, 0], self.losses[1]
        )

    @cached_property
    def token_losses(self) -> Tensor:
        """The loss of each target token where it stands, ``[batch, length]``, nats, differentiable; 0 elsewhere."""
        return token_losses(self.logits.flatten(0, 1), self.targets.flatten()).view_as(self.targets)

    @cached_property
    def log_probs(self) -> Tensor:
        """Sum of the targets' log-probabilities of each sequence, ``[batch]`` float64, nats, differentiable."""
        return -self.losses[0]

    @cached_property
    def hits(self) -> Tensor:
        """Which target tokens are the model's first choice, ``[batch, length]`` bool."""
        return target_hits(self.logits, self.targets)

    @cached_property
    def places(self) -> Tensor:
        """Where a token is a target, ``[batch, length]`` bool."""
        return self.targets != IGNORE_INDEX

    @cached_property
    def target_logits(self) -> Tensor:
        """The logits at the places of targets, ``[places, vocabulary]``, differentiable."""
        return self.logits[self.places]

    @property
    def reference_target_logits(self) -> Tensor:
        """The same of the model before unlearning."""
        assert self.reference_logits is not None
        return self.reference_logits[self.places]

    @property
    def target_ids(self) -> Tensor:
        """The target tokens, ``[places]`` int64."""
        return self.targets[self.places]

    @cached_property
    def target_losses(self) -> Tensor:
        """The loss of each target token, ``[places]``, nats, differentiable."""
        return token_losses(self.target_logits, self.target_ids)

    @property
    def reference_target_losses(self) -> Tensor:
        """The same under the model before unlearning."""
        return token_losses(self.reference_target_logits, self.target_ids)

    @property
    def is_sequence(self) -> Tensor:
        """Which rows have a target, ``[batch]`` bool; filler has none."""
        return self.places.any(dim=1)

    @cached_property
    def measured_loss(self) -> Tensor:
        """Mean loss per target token, nats, without gradient: what guards judge, whatever the objective is."""
        if "loss" in self.__dict__:
            return self.loss.mean.detach()
        if "target_losses" in self.__dict__:
            return self.target_losses.detach().sum() / self.count("token").clamp(min=1)
        if "losses" in self.__dict__:
            mean = self.losses[0].detach().sum() / self.count("token").clamp(min=1)
            return mean.to(torch.promote_types(self.logits.dtype, torch.float32))  # as on ranks that have a loss
        with torch.no_grad():
            return Term(*token_loss_sum(self.logits, self.targets)).mean

    def count(self, unit: Unit) -> Tensor:
        """How many tokens or sequences a term is a mean over, an int64 scalar.

        Args:
            unit: of the term.
        """
        if unit == "sequence":
            return self.is_sequence.sum()
        return self.places.sum() if unit == "token" else self.places.sum() - self.is_sequence.sum()

    def example_sums(self, values: Tensor) -> Tensor:
        """Sum of one value a target token over each example, ``[batch]`` float64.

        Args:
            values: ``[places]``, in the order of ``target_logits``.

        Example:
            >>> two = Outputs(torch.zeros(2, 2, 4), torch.tensor([[1, 2], [-100, 3]]))
            >>> two.example_sums(torch.tensor([0.5, 1.0, 2.0])).tolist()
            [1.5, 2.0]
        """
        return (
            values.new_zeros(self.targets.shape, dtype=torch.float64)
            .masked_scatter(self.places, values.double())
            .sum(dim=1)
        )

    def example_means(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Mean of one value a target token over each example, and how many it has, ``[batch]`` both.

        Args:
            values: ``[places]``, in the order of ``target_logits``.

        Returns:
            Means in float64, NaN where an example has no target, and int64 counts.
        """
        counts = self.places.sum(dim=1)
        return self.example_sums(values) / counts, counts

    def mean_loss(self) -> Tensor:
        """Mean loss per target token of this micro-batch, nats, a differentiable scalar."""
        return self.loss.mean

    @property
    def has_targets(self) -> bool:
        """Whether any token is a target; a rank's share of a step may be filler."""
        return bool(self.batch.get("has_targets", True))

    def nothing(self) -> Term:
        """A term of 0 that still takes part in the backward pass, for a share without targets."""
        return Term(self.loss.total * 0, 0)
