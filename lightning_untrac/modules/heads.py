"""What stands on a transformers model and gives its logits: how a batch is run, and what the targets are."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor
from typing_extensions import override

from lightning_untrac.errors import ConfigurationError
from lightning_untrac.functional import IGNORE_INDEX, shift_labels_left
from lightning_untrac.modules.decoder_inputs import decoder_inputs
from lightning_untrac.tasks import TASKS, TaskName

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from lightning_untrac.data.collator import LanguageBatch

Reads = Literal["first", "last", "mean"]
"""Which token's last hidden state a sequence classifier reads: the first, the last that is no padding, or the mean."""


class Head(ABC):
    """A kind of model.

    Attributes:
        auto_class: the class of transformers that makes it.
        peft_task: peft's name for it.
        wanted: which models have such a head, for messages.
        targets_apart: whether targets are no part of the inputs.
    """

    auto_class: ClassVar[str]
    peft_task: ClassVar[str]
    wanted: ClassVar[str]
    targets_apart: ClassVar[bool] = True

    @abstractmethod
    def run(self, model: Any, batch: LanguageBatch, **options: Any) -> tuple[Any, Tensor]:
        """One forward pass.

        Args:
            model: of transformers, wrapped or not.
            batch: what goes in.
            options: of the forward pass.

        Returns:
            The model's outputs, whose ``logits`` are ``[batch, length, outcomes]``, and ``targets``,
            ``[batch, length]`` int64 and aligned with them.
        """

    def num_targets(self, batch: LanguageBatch) -> Tensor:
        """Targets of a batch, an int64 scalar."""
        return (batch["labels"] != IGNORE_INDEX).sum()

    def hidden_states(self, outputs: Any, batch: LanguageBatch, reads: Reads | None) -> tuple[Tensor, ...]:
        """The hidden states of the embeddings and of every layer, aligned with the logits."""
        found: tuple[Tensor, ...] = outputs.hidden_states
        return found


class CausalHead(Head):
    """Predicts each token from those before it."""

    auto_class = "AutoModelForCausalLM"
    peft_task = "CAUSAL_LM"
    wanted = "a causal language model (llama, gpt2, opt, ...) or an encoder-decoder (t5, bart, ...)"
    targets_apart = False

    @override
    def run(self, model: Any, batch: LanguageBatch, **options: Any) -> tuple[Any, Tensor]:
        return model(**_inputs(batch), **options, use_cache=False), shift_labels_left(batch["labels"])

    @override
    def num_targets(self, batch: LanguageBatch) -> Tensor:
        return (batch["labels"][:, 1:] != IGNORE_INDEX).sum()


class Seq2SeqHead(Head):
    """Predicts each token of a target from a source and the tokens before it."""

    auto_class = "AutoModelForSeq2SeqLM"
    peft_task = "SEQ_2_SEQ_LM"
    wanted = CausalHead.wanted

    @override
    def run(self, model: Any, batch: LanguageBatch, **options: Any) -> tuple[Any, Tensor]:
        shifted = decoder_inputs(model, batch["labels"])
        return model(**_inputs(batch), **options, decoder_input_ids=shifted, use_cache=False), batch["labels"]

    @override
    def hidden_states(self, outputs: Any, batch: LanguageBatch, reads: Reads | None) -> tuple[Tensor, ...]:
        found: tuple[Tensor, ...] = outputs.decoder_hidden_states
        return found


class TokenHead(Head):
    """Says the class of each token."""

    auto_class = "AutoModelForTokenClassification"
    peft_task = "TOKEN_CLS"
    wanted = "an encoder or a decoder with one (bert, roberta, distilbert, llama, gpt2, ...)"

    @override
    def run(self, model: Any, batch: LanguageBatch, **options: Any) -> tuple[Any, Tensor]:
        return model(**_inputs(batch), **options, **without_cache(model)), batch["labels"]


class SequenceHead(TokenHead):
    """Says the class of a text: a single place with a target, whose outcomes are the classes."""

    auto_class = "AutoModelForSequenceClassification"
    peft_task = "SEQ_CLS"

    @override
    def run(self, model: Any, batch: LanguageBatch, **options: Any) -> tuple[Any, Tensor]:
        outputs, targets = super().run(model, batch, **options)
        outputs.logits = outputs.logits.unsqueeze(1)
        return outputs, targets

    @override
    def hidden_states(self, outputs: Any, batch: LanguageBatch, reads: Reads | None) -> tuple[Tensor, ...]:
        if reads is None:
            raise ConfigurationError(
                ["model: it could not be found out which token's hidden state the classifier reads; leave out what "
                 "asks for hidden states"]
            )  # fmt: skip
        return tuple(states_read(states, batch.get("attention_mask"), reads) for states in outputs.hidden_states)


def _inputs(batch: LanguageBatch) -> dict[str, Tensor | None]:
    return {"input_ids": batch["input_ids"], "attention_mask": batch.get("attention_mask")}


def states_read(states: Tensor, attention_mask: Tensor | None, reads: Reads) -> Tensor:
    """The hidden state of each text that its classifier reads.

    Args:
        states: ``[batch, length, width]``.
        attention_mask: ``[batch, length]``, 0 on padding, which stands on the right; None where there is none.
        reads: of which tokens.

    Returns:
        ``[batch, 1, width]``.

    Example:
        >>> states, mask = torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[1, 1, 0]])
        >>> [states_read(states, mask, reads).item() for reads in ("first", "last", "mean")]
        [1.0, 3.0, 2.0]
    """
    if reads == "first":
        return states[:, :1]
    if attention_mask is None:
        return states[:, -1:] if reads == "last" else states.mean(dim=1, keepdim=True)
    if reads == "last":
        last = attention_mask.sum(dim=1).clamp(min=1) - 1
        return states[torch.arange(len(states), device=states.device), last].unsqueeze(1)
    kept = attention_mask.unsqueeze(-1).to(states.dtype)
    return (states * kept).sum(dim=1, keepdim=True) / kept.sum(dim=1, keepdim=True).clamp(min=1)


def without_cache(model: Any) -> dict[str, bool]:
    """The option that keeps a decoder from storing keys and values; encoders don't know it."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return {"use_cache": False} if _knows_cache(type(base).forward) else {}


@cache
def _knows_cache(forward: Callable[..., Any]) -> bool:
    return "use_cache" in inspect.signature(forward).parameters


# -- which of them -----------------------------------------------------------------------------------------------------

_ENDINGS: dict[str, TaskName] = {
    "ForSequenceClassification": "sequence_classification",
    "ForTokenClassification": "token_classification",
}
"""Of the class's name that a configuration holds (``architectures``)."""


def task_name(config: PretrainedConfig) -> TaskName:
    """The task of a model, by the class that its configuration names.

    Example:
        >>> from transformers import BertConfig
        >>> task_name(BertConfig(architectures=["BertForTokenClassification"])), task_name(BertConfig())
        ('token_classification', 'language')
    """
    named = str((config.architectures or [""])[0])
    return next((task for ending, task in _ENDINGS.items() if named.endswith(ending)), TASKS[0])


def head_of(config: PretrainedConfig) -> Head:
    """What stands on a model of a configuration."""
    name = task_name(config)
    if name == "language":
        return Seq2SeqHead() if config.is_encoder_decoder else CausalHead()
    return TokenHead() if name == "token_classification" else SequenceHead()


def for_task(config: PretrainedConfig, name: TaskName) -> None:
    """Let a configuration say that its model is of a task.

    Args:
        config: it is changed.
        name: of the task.
    """
    import transformers

    if name == "language":
        config.architectures = None
        return
    ending = next(ending for ending, task in _ENDINGS.items() if task == name)
    mapping = getattr(transformers, f"AutoModel{ending}")._model_mapping
    made = mapping.get(type(config), None) if type(config) in mapping else None
    config.architectures = [f"{config.model_type}{ending}" if made is None else made.__name__]
