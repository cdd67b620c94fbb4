"""The base of all phases: a transformers model, its loss per example, and a step that is the same however it is cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from typing_extensions import override

from lightning_untrac.data.collator import LanguageBatch
from lightning_untrac.data.episodes import EpisodeKind
from lightning_untrac.data.tokenizers import load_tokenizer
from lightning_untrac.errors import ConfigurationError, raise_if_any
from lightning_untrac.functional import mean_token_loss
from lightning_untrac.memory import release, remember
from lightning_untrac.modules.adapters import embedding_rows, tokenizer_home
from lightning_untrac.modules.classes import Labels, task_of, with_classes
from lightning_untrac.modules.heads import Head, head_of
from lightning_untrac.modules.loading import build_model, pretrained_config, scratch_config
from lightning_untrac.modules.measuring import Measuring
from lightning_untrac.modules.members import fit_problems
from lightning_untrac.modules.parameters import freeze, select_parameters
from lightning_untrac.modules.probing import Findings, probe
from lightning_untrac.modules.settings import setting_problems
from lightning_untrac.modules.training import StepTraining
from lightning_untrac.objectives.terms import Seen
from lightning_untrac.outputs import Outputs
from lightning_untrac.sharding import checkpoint_activations, fully_shard_blocks, wrap_blocks
from lightning_untrac.strategies import strategy_problems, waits_for_every_gradient
from lightning_untrac.tasks import Task, TaskName

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


class LanguageModule(Measuring, StepTraining):
    """A causal or sequence-to-sequence language model, or a classifier, under Lightning.

    Give either ``name_or_path`` (a trained model) or ``config`` (a new one). Weights are loaded in
    :meth:`configure_model`, so that constructing a module is cheap and sharded strategies can place them.

    A subclass defines :meth:`objective`, what a step minimises, from the outputs of a forward pass. One effective batch
    gives one update, however it is cut into micro-batches and ranks.

    Args:
        name_or_path: hub name, or a folder made by ``save_pretrained`` (also of LoRA adapters).
        config: ``model_type`` and fields of a transformers configuration, for a model from scratch.
        tokenizer: hub name, folder or ``byte``; by default the model's own.
        dtype: of the weights: float32, bfloat16, float16 or float64. Mixed precision is the Trainer's ``precision``.
        init_seed: draws the first weights of a model from scratch, and of LoRA adapters.
        lora: arguments of ``peft.LoraConfig``; then only the adapters are trained, kept, restored and saved.
        trainable: patterns of the parameters that may move (see ``select_parameters``); None for all of them.
        dropout: whether dropout is active in training steps.
        optimizer: makes the optimizer from the parameters.
        lr_scheduler: makes the schedule from the optimizer, stepped after every optimizer step; None for constant.
        revision: of the hub model and tokenizer.
        trust_remote_code: run code that the hub model brings along. Off unless you say so.
        attn_implementation: passed to transformers, e.g. ``sdpa``, ``flash_attention_2``.
        task: ``language``, ``sequence_classification`` (one class a text) or ``token_classification``; by default what
            a saved model says, and ``sequence_classification`` where there are ``labels``.
        labels: names of a new classifier's classes, or how many there are; a saved classifier brings its own.
        activation_checkpointing: keep only each block's inputs and compute it again in the backward pass: less memory
            for about a third more time.
        compile: compile the model with ``torch.compile``, in place.

    Raises:
        ConfigurationError: when the model is looked up, if it can't be found or built.
    """

    episode_kind: ClassVar[EpisodeKind] = "mixture"
    """What the DataModule serves to this phase unless its plan says otherwise."""

    merges_adapters: bool = False
    """Whether saved adapters become a part of the weights when they are loaded, which then all may move."""

    changes: Callable[[PreTrainedModel], None] | None = None
    """What is done to the weights once they are loaded, whole and on the CPU, before a strategy places them."""

    def __init__(
        self,
        name_or_path: str | None = None,
        *,
        config: dict[str, Any] | None = None,
        tokenizer: str | None = None,
        dtype: str = "float32",
        init_seed: int = 0,
        lora: dict[str, Any] | None = None,
        trainable: Sequence[str] | None = None,
        dropout: bool = True,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        lr_scheduler: LRSchedulerCallable | None = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
        attn_implementation: str | None = None,
        task: TaskName | None = None,
        labels: list[str] | int | None = None,
        activation_checkpointing: bool = False,
        compile: bool = False,
    ) -> None:
        super().__init__()
        self.name_or_path, self.config, self.tokenizer_name = name_or_path, config, tokenizer
        self.dtype_name, self.init_seed = dtype, init_seed
        self.lora, self.trainable, self.dropout = lora, trainable, dropout
        self.optimizer, self.lr_scheduler = optimizer, lr_scheduler
        self.revision, self.trust_remote_code = revision, trust_remote_code
        self.attn_implementation = attn_implementation
        self.task_asked: TaskName | None = task
        self.labels: Labels | None = labels
        self.new_head = False
        self.activation_checkpointing, self.compiled = activation_checkpointing, compile
        self.model: PreTrainedModel | None = None

    def of_saved(self, path: str) -> Self:
        """Take another saved model, before any is loaded.

        Args:
            path: hub name or folder; adapters of its own lie in it.
        """
        self.name_or_path, self.config, self.lora = path, None, None
        return self

    # -- the model -------------------------------------------------------------------------------------------------

    def problems(self) -> list[str]:
        """What is wrong with the arguments, before anything is loaded."""
        source, asked = (self.name_or_path, self.config, self.tokenizer_name), (self.task_asked, self.labels)
        return setting_problems(*source, self.lora, self.dtype_name, *asked)

    def architecture_problems(self) -> list[str]:
        """Why the model does not suit the phase; its configuration is looked up, its weights are not."""
        return list(self.architecture.problems)

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer."""
        if (name := self.tokenizer_name or self.name_or_path) is None:
            raise ConfigurationError(self.problems())
        home = tokenizer_home(name) if self.tokenizer_name is None else name
        return load_tokenizer(home, revision=self.revision, trust_remote_code=self.trust_remote_code)

    @cached_property
    def model_config(self) -> PretrainedConfig:
        """Transformers' configuration of the model."""
        if problems := self.problems():
            raise ConfigurationError(problems)
        if self.name_or_path is None:
            assert self.config is not None
            config = scratch_config(self.config, self.tokenizer)
        else:
            options: dict[str, Any] = {"revision": self.revision, "trust_remote_code": self.trust_remote_code}
            config = pretrained_config(self.name_or_path, **options)
        self.new_head = with_classes(config, self.task_asked, self.labels) and self.name_or_path is not None
        return config

    @cached_property
    def architecture(self) -> Findings:
        """What was found out by trying a small model of the architecture."""
        return probe(self.model_config, trust_remote_code=self.trust_remote_code)

    @cached_property
    def head(self) -> Head:
        """What stands on the model and gives its logits."""
        return head_of(self.model_config)

    @cached_property
    def task(self) -> Task:
        """What the model is for; the DataModule asks."""
        return task_of(self.model_config)

    @property
    def is_seq2seq(self) -> bool:
        """Whether the model has an encoder and a decoder."""
        return bool(self.model_config.is_encoder_decoder)

    @property
    def context_length(self) -> int | None:
        """Most tokens of a text, or of a source, that the model takes; None where there is no limit (T5's)."""
        return self.architecture.context

    @property
    def target_context_length(self) -> int | None:
        """The same of an encoder-decoder's targets."""
        return self.architecture.target_context

    @property
    def vocabulary_size(self) -> int:
        """Rows of the embedding matrix."""
        return embedding_rows(self.name_or_path) or int(self.model_config.get_text_config().vocab_size)

    @property
    def num_outcomes(self) -> int:
        """What a target can be: a token of the vocabulary, or a class."""
        return len(self.task.labels) or self.vocabulary_size

    @override
    def configure_model(self) -> None:
        """Load the weights, once."""
        if self.model is not None:
            return
        release()  # what the fit before this one held
        # Lightning calls this with its device as torch's default, which transformers takes for a device map (and asks
        # for accelerate). On the CPU first weights are also the same on every machine; the strategy moves them.
        with torch.device("cpu"):
            self.model = build_model(
                self.model_config,
                self.name_or_path,
                dtype=self.dtype_name,
                init_seed=self.init_seed,
                lora=self.lora,
                revision=self.revision,
                trust_remote_code=self.trust_remote_code,
                attn_implementation=self.attn_implementation,
                new_head=self.new_head,
                merges_adapters=self.merges_adapters,
            )
        if self.changes is not None:
            self.changes(self.model)
        remember(self.model)
        freeze(self.model, self.architecture.unreached)
        if self.trainable is not None:
            select_parameters(self.model, self.trainable)
        self.model.train(self.dropout)
        if self.activation_checkpointing:
            checkpoint_activations(self.model)
        if self.device_mesh is not None:  # of ModelParallelStrategy
            fully_shard_blocks(self.model, self.device_mesh["data_parallel"])
        else:
            self.model = cast("PreTrainedModel", wrap_blocks(self.model))
        if self.compiled:
            self.model.compile()  # in place: names and identity of the parameters stay

    @override
    def setup(self, stage: str) -> None:
        # Here and not in `configure_model`, where a strategy may leave weights that are made uninitialised.
        raise_if_any([*self.architecture_problems(), *self.strategy_problems(self.trainer.strategy)])
        raise_if_any(fit_problems(self.name_or_path) if stage == "fit" else ())
        if self.trainer.strategy.root_device.type == "mps":
            raise ConfigurationError(
                ["trainer.accelerator: losses are summed in float64, which Apple's GPUs lack; use `accelerator: cpu`"]
            )

    def strategy_problems(self, strategy: Any) -> list[str]:
        """Why this phase can't work under a Trainer's strategy."""
        found = strategy_problems(strategy)
        if found or not waits_for_every_gradient(strategy):
            return found
        try:
            by_chance = self.architecture.reached_by_chance
        except ConfigurationError:  # of a model that isn't there, which is said elsewhere
            return found
        if by_chance is not None:
            found.append(
                f"trainer.strategy: not every text reaches every part of the model (such as {by_chance}), and plain "
                "ddp waits for all of them; use ddp_find_unused_parameters_true"
            )
        return found

    def trainable_parameters(self) -> dict[str, torch.nn.Parameter]:
        """The parameters that may move, tied ones once, by their name in the model."""
        assert self.model is not None
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    # -- the loss --------------------------------------------------------------------------------------------------

    @override
    def forward(self, batch: LanguageBatch) -> tuple[Tensor, Tensor]:
        """Logits and the targets that they are held against.

        Returns:
            ``logits`` (``[batch, length, vocabulary]``; a classifier's have its classes for a vocabulary, and a length
            of 1 where a whole text has a class) and ``targets`` (``[batch, length]`` int64, aligned).
        """
        outputs, targets = self._run(batch)
        return outputs.logits, targets

    def outputs_of(self, batch: LanguageBatch, hidden_states: bool = False) -> Outputs:
        """What a term of an objective sees of a batch: one forward pass.

        Args:
            batch: what goes in.
            hidden_states: also keep those of every layer (of an encoder-decoder's decoder); of a classifier of whole
                texts those at the place that it reads, ``[batch, 1, width]``.
        """
        if not hidden_states:
            logits, targets = self(batch)
            return Outputs(logits, targets, batch)
        outputs, targets = self._run(batch, output_hidden_states=True)
        reads = self.architecture.reads if self.task.classifies else None
        states = self.head.hidden_states(outputs, batch, reads)
        return Outputs(outputs.logits, targets, batch, states)

    def _run(self, batch: LanguageBatch, **options: Any) -> tuple[Any, Tensor]:
        return self.head.run(self.model, batch, **options)

    @override
    def see(self, batch: LanguageBatch) -> Seen:
        return Seen(self.outputs_of(batch))

    def mean_loss(self, batch: LanguageBatch) -> Tensor:
        """Mean loss per target token of a batch, nats, a differentiable scalar."""
        return mean_token_loss(*self(batch))

    def num_targets(self, batch: LanguageBatch) -> Tensor:
        """Target tokens (or classes) of a batch, an int64 scalar."""
        return self.head.num_targets(batch)
