"""Several models that predict as one."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput
from typing_extensions import override

from lightning_untrac.errors import ConfigurationError
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
        """The logits of one forward pass of each member.

        Raises:
            ConfigurationError: if hidden states are asked for.
        """
        if options.get("output_hidden_states"):
            raise ConfigurationError(
                [
                    "model: an ensemble has no hidden states of its own, and a measure or a term asks for them; leave "
                    "it out, or give one of the members"
                ]
            )
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask, **options}
        # Of texts that go on, which stand at the right end; not every architecture has them.
        if position_ids is not None and "position_ids" in inspect.signature(self.members[0].forward).parameters:
            inputs["position_ids"] = position_ids
        each = [member(**inputs, **without_cache(member)).logits for member in self.members]
        return CausalLMOutput(logits=log_mean_probs(each))

    @override
    def generate(self, *args: Any, **options: Any) -> Any:
        return super().generate(*args, **{**options, "use_cache": False})
