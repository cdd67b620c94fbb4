"""Other models whose log-probabilities measures ask for, beside the one that is measured."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from lightning_untrac.data.tokenizers import load_tokenizer
from lightning_untrac.errors import ConfigurationError, raise_if_any
from lightning_untrac.functional import example_losses
from lightning_untrac.modules.adapters import embedding_rows, tokenizer_home
from lightning_untrac.modules.loading import pretrained_config
from lightning_untrac.modules.standing_in import frozen_model, standing_in
from lightning_untrac.outputs import Outputs

if TYPE_CHECKING:
    from lightning_untrac.data.collator import LanguageBatch


class References:
    """Saved models, each loaded when it is first asked. Every rank holds all of it, without gradients.

    Args:
        module: a ``LanguageModule`` in a Trainer.
    """

    def __init__(self, module: Any) -> None:
        self.module = module
        self._models: dict[str, torch.nn.Module] = {}

    @torch.no_grad()
    def log_probs(self, path: str, batch: LanguageBatch, seen: Outputs) -> Tensor:
        """Sums of the targets' log-probabilities under a saved model, ``[batch]`` float64.

        Args:
            path: hub name or folder.
            batch: what was read.
            seen: what the module itself makes of it.

        Raises:
            ConfigurationError: if the model can't be loaded, or predicts other tokens.
        """
        module = self.module
        if path == module.name_or_path and module.trainer.state.fn != TrainerFn.FITTING:
            return seen.log_probs
        if path not in self._models:
            self._models[path] = self._loaded(path)
        with standing_in(module, self._models[path]):
            return -example_losses(*module(batch))[0]

    def _loaded(self, path: str) -> torch.nn.Module:
        module = self.module
        config = pretrained_config(path, revision=None, trust_remote_code=module.trust_remote_code)
        raise_if_any(self._problems(path, config))
        return frozen_model(module, config, path)

    def _problems(self, path: str, config: Any) -> list[str]:
        """Why what a model says can't be held against what another one says."""
        module = self.module
        if bool(config.is_encoder_decoder) != module.is_seq2seq:
            kinds = ("a decoder", "an encoder-decoder")
            return [
                f"reference: {path} is {kinds[bool(config.is_encoder_decoder)]}, and the model that is measured is "
                f"{kinds[module.is_seq2seq]}; give a reference of its kind"
            ]
        size = embedding_rows(path) or int(config.get_text_config().vocab_size)
        if size != module.vocabulary_size:
            return [
                f"reference: {path} predicts {size} tokens, and the model that is measured {module.vocabulary_size}; "
                "give a reference with the same tokenizer"
            ]
        with suppress(ConfigurationError):  # a folder may come without one
            if load_tokenizer(tokenizer_home(path)).get_vocab() != module.tokenizer.get_vocab():
                return [
                    f"reference: the tokenizer of {path} has other tokens than that of the model that is measured; "
                    "give a reference with the same tokenizer"
                ]
        return []
