"""Several models that predict as one."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput
from typing_extensions import override

from lightning_untrac.functional.ensemble import log_mean_probs
from lightning_untrac.modules.heads import without_cache


class Ensemble(PreTrainedModel, GenerationMixin):
    """Runs all members on the same batch; its logits are the logarithm of the mean of their probabilities.

    It is measured, and continues texts (greedily or by drawing, without a cache); it is not trained.

    Args:
        members: models of one architecture with the same outcomes.
    """

    main_input_name = "input_ids"

    def __init__(self, members: Sequence[PreTrainedModel]) -> None:
        config = copy.deepcopy(members[0].config)
        config._attn_implementation = "eager"  # each member has its own
        super().__init__(config)
        self.members = nn.ModuleList(members)
        if members[0].can_generate():
            self.generation_config = members[0].generation_config

    @classmethod
    @override
    def can_generate(cls) -> bool:
        return True

    @override
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        use_cache: bool = False,
        **options: Any,
    ) -> CausalLMOutput:
        """One forward pass of each member; hidden states, where they are asked for, are theirs beside each other."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask, **options}
        # Of texts that go on, which stand at the right end; not every architecture has them.
        if position_ids is not None and "position_ids" in inspect.signature(self.members[0].forward).parameters:
            inputs["position_ids"] = position_ids
        each = [member(**inputs, **without_cache(member)) for member in self.members]
        layers = zip(*(one.hidden_states for one in each), strict=True) if options.get("output_hidden_states") else ()
        states = tuple(torch.cat(layer, dim=-1) for layer in layers)
        return CausalLMOutput(logits=log_mean_probs([one.logits for one in each]), hidden_states=states or None)

    @override
    def generate(self, *args: Any, **options: Any) -> Any:
        return super().generate(*args, **{**options, "use_cache": False})
