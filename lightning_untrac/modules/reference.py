"""The model before unlearning: its outputs under every strategy, beside the model that moves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from lightning_untrac.errors import UnlearningError
from lightning_untrac.functional import tensor_checksum
from lightning_untrac.modules.cached_log_probs import CachedLogProbs
from lightning_untrac.outputs import Need, Outputs
from lightning_untrac.sharding import local_shard, reshard

if TYPE_CHECKING:
    from lightning_untrac.data.collator import LanguageBatch
    from lightning_untrac.modules.unlearner import Unlearner


EVALUATION = "evaluation"
"""Stands among the streams of a step for what a reading measures."""

OF_A_PASS: frozenset[Need] = frozenset({"reference_logits", "reference_hidden_states"})
"""What takes a forward pass of the pre-unlearning model in every step, or in every reading."""


def start_weights(module: Unlearner) -> dict[str, Tensor]:
    """Copies of what may move, of this rank's shards, on their device."""
    assert module.model is not None
    reshard(module.model)
    return {name: local_shard(p).detach().clone() for name, p in module.trainable_parameters().items()}


class Stand(ABC):
    """Puts the pre-unlearning model in the place of the model.

    Attributes:
        title: what the log says about it.
    """

    title: ClassVar[str]

    @abstractmethod
    @contextmanager
    def in_place(self, module: Unlearner) -> Iterator[None]:
        """Forward passes inside are those of the pre-unlearning model; call it on every rank, outside of any graph."""
        yield


class AdaptersOff(Stand):
    """The base model under fresh LoRA adapters: it is what the adapters' first weights change nothing of."""

    title: ClassVar[str] = "the model with its adapters switched off"

    @staticmethod
    def suits(module: Unlearner) -> bool:
        """Whether all that may move are fresh adapters whose first weights add nothing."""
        if module.lora is None:
            return False
        init = module.lora.get("init_lora_weights", True)
        return init in (True, "gaussian") and all("lora_" in name for name in module.trainable_parameters())

    @override
    @contextmanager
    def in_place(self, module: Unlearner) -> Iterator[None]:
        model: Any = module.model
        moving = {name: p.requires_grad for name, p in model.named_parameters()}
        try:
            with model.disable_adapter():
                yield
        finally:
            for name, parameter in model.named_parameters():  # switching on lets all of them move
                parameter.requires_grad_(moving[name])


class SwappedWeights(Stand):
    """The kept weights and the model's change places, tensor by tensor and shard by shard, and change back.

    It costs no memory beside the kept weights but one tensor at a time.
    """

    title: ClassVar[str] = "its weights, swapped in and out"

    @override
    @contextmanager
    def in_place(self, module: Unlearner) -> Iterator[None]:
        self._swap(module)
        try:
            yield
        finally:
            self._swap(module)

    @torch.no_grad()
    def _swap(self, module: Unlearner) -> None:
        assert module.model is not None
        kept = module.reference.start()
        reshard(module.model)  # what a forward pass has gathered holds the weights that were there
        for name, parameter in module.trainable_parameters().items():
            mine, other = local_shard(parameter).data, kept[name]
            held = mine.clone()
            mine.copy_(other)
            other.copy_(held)


class Reference:
    """What gives an unlearning module the outputs of the model that it began from; one a module.

    How is chosen by what is asked and by the model, and said in the log. Log-probabilities of whole sequences are
    measured once before the first step. Logits and hidden states take a forward pass a step: with the adapters switched
    off (fresh LoRA), or with the kept weights swapped in, which works on every strategy, since each rank swaps its own
    shards.

    Args:
        module: whose reference it is.

    Attributes:
        start_weights: this rank's part of the pre-unlearning weights, where something needs them;
            :class:`~lightning_untrac.callbacks.PreUnlearningWeights` puts its own here, so that they are kept once.
    """

    def __init__(self, module: Unlearner) -> None:
        self.module = module
        self.start_weights: Mapping[str, Tensor] | None = None
        self.log_probs = CachedLogProbs()
        self._on_device: dict[str, Tensor] = {}
        self._stand: Stand | None = None
        self._expected: dict[str, str] = {}

    @property
    def needs(self) -> frozenset[Need]:
        """What all terms and measures together ask for."""
        return frozenset(need for stream in self._streams for need in self.module.needs_of(stream))

    @property
    def _streams(self) -> list[str]:
        return [*sorted(self.module.streams), EVALUATION]

    @property
    def title(self) -> str:
        """How the model before unlearning is asked, for logs; empty where nothing asks."""
        found = []
        if self.needs & OF_A_PASS:
            found.append((AdaptersOff if AdaptersOff.suits(self.module) else SwappedWeights).title)
        if "reference_log_probs" in self.needs:
            found.append(self.log_probs.title)
        return "; ".join(found)

    @property
    def keeps_weights(self) -> bool:
        """Whether steps or readings need the pre-unlearning weights beside the model, on its device."""
        swaps = bool(self.needs & OF_A_PASS) and not (self.module.model is not None and AdaptersOff.suits(self.module))
        return swaps or self.module.keeps_start or self.module.unlearning_objective.anchor is not None

    def start(self) -> dict[str, Tensor]:
        """The pre-unlearning weights by name, this rank's part, on its device.

        Raises:
            UnlearningError: if there are none yet.
        """
        if self.start_weights is None:
            raise UnlearningError("the pre-unlearning weights are kept from the first step on; there was none yet")
        if not self._on_device:
            self._on_device = {
                name: self.start_weights[name].to(p.device, p.dtype)
                for name, p in self.module.trainable_parameters().items()
            }
        return self._on_device

    # -- outputs ---------------------------------------------------------------------------------------------------

    def beside(self, batches: Mapping[str, LanguageBatch]) -> dict[str, Outputs]:
        """The model's outputs for every stream, with those of the pre-unlearning model where they are asked for.

        Args:
            batches: of all streams of a step, or of what is evaluated.
        """
        reference = self._outputs(batches)
        seen: dict[str, Outputs] = {}
        for stream, one in batches.items():
            needs = self.module.needs_of(stream)
            outputs = seen[stream] = self.module.outputs_of(one, "hidden_states" in needs)
            if stream in reference:
                outputs.reference_logits = reference[stream].logits
                outputs.reference_hidden_states = reference[stream].hidden_states
            if "reference_log_probs" in needs:
                outputs.reference_log_probs = self.log_probs.of(stream, one)
            if "untrained_logits" in needs:
                outputs.untrained_logits = self.module.untrained.logits(one)
        return seen

    def beside_measured(self, batch: LanguageBatch) -> Outputs:
        """The same of what a reading measures; before its first step the model is its own reference.

        Args:
            batch: that is measured.
        """
        if not self.module.trainer.sanity_checking:
            return self.beside({EVALUATION: batch})[EVALUATION]
        needs = self.module.needs_of(EVALUATION)
        seen = self.module.outputs_of(batch, any(need.endswith("hidden_states") for need in needs))
        seen.reference_logits, seen.reference_hidden_states = seen.logits, seen.hidden_states
        seen.reference_log_probs = seen.log_probs if "reference_log_probs" in needs else None
        return seen

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within it the model is what it was before unlearning; for what is asked of it outside of steps.

        Where more than fresh adapters moves, the module has to have ``keeps_start`` on.
        """
        stand = AdaptersOff() if AdaptersOff.suits(self.module) else SwappedWeights()
        with stand.in_place(self.module):
            yield

    @torch.no_grad()
    def _outputs(self, batches: Mapping[str, LanguageBatch]) -> dict[str, Outputs]:
        # Before any graph is made: weights that it has kept would be swapped under it.
        needs = {stream: self.module.needs_of(stream) for stream in batches}
        asked = {stream: batch for stream, batch in batches.items() if needs[stream] & OF_A_PASS}
        if not asked:
            return {}
        assert self._stand is not None
        with self.module.without_dropout(), self._stand.in_place(self.module):
            return {
                stream: self.module.outputs_of(batch, "reference_hidden_states" in needs[stream])
                for stream, batch in asked.items()
            }

    # -- when ------------------------------------------------------------------------------------------------------

    def on_fit_start(self) -> None:
        """Sharded weights are loaded from a checkpoint after this hook; others before it, see :meth:`keep`."""
        self._on_device = {}
        if self.module.trainer.strategy.restore_checkpoint_after_setup:
            self.keep()

    def keep(self) -> None:
        """Copy the weights that are in place, where something needs them and none are kept yet."""
        if self.keeps_weights and self.start_weights is None:
            self.start_weights = start_weights(self.module)

    def forget(self) -> None:
        """Let go of everything: another fit has a start of its own."""
        self.start_weights, self._stand, self._on_device, self._expected = None, None, {}, {}
        self.log_probs = CachedLogProbs()

    def on_train_start(self) -> None:
        """Choose the way, and make sure that a resumed run goes on from the same start."""
        expected, self._expected, self._on_device = self._expected if self.keeps_weights else {}, {}, {}
        if expected and self.start_weights is None:
            raise UnlearningError(
                f"{type(self.module).__name__} overrides on_load_checkpoint; call super().on_load_checkpoint there: "
                "it keeps the weights that the interrupted run began from"
            )
        strategy = self.module.trainer.strategy
        rank = str(self.module.trainer.global_rank)
        same = not expected or expected.get(rank, self.checksum()) == self.checksum()
        if not strategy.reduce_boolean_decision(same, all=True):  # or the others would wait for this rank
            raise UnlearningError(
                "the checkpoint's run began from other weights than those of the model that is given now; give the "
                "model that it began from, or delete the checkpoint and begin anew"
            )
        if self.needs & OF_A_PASS:
            self._stand = AdaptersOff() if AdaptersOff.suits(self.module) else SwappedWeights()

    def prepare(self) -> None:
        """Keep and measure what an episode needs, with the pre-unlearning weights in place."""
        self.keep()
        for stream in self._streams:
            if "reference_log_probs" in self.module.needs_of(stream):
                self.log_probs.measure(self.module, stream)

    def checksum(self) -> str:
        """SHA-256 of the kept weights."""
        return tensor_checksum(self.start().items())

    def state_dict(self) -> dict[str, Any]:
        """For checkpoints: a checksum instead of weights, which the model itself brings along when it is loaded."""
        state: dict[str, Any] = {}
        if self.start_weights is not None and self.keeps_weights:
            state["start"] = {str(self.module.trainer.global_rank): self.checksum()}
        if found := self.log_probs.state_dict():
            state["log_probs"] = found
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it back."""
        self._expected = state.get("start", {})
        self.log_probs.load_state_dict(state.get("log_probs", {}))
