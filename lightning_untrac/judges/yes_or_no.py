"""Yes or no from a decoder: which of the two its reply is likelier to begin with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Final

import torch

from lightning_untrac.errors import ConfigurationError

WORDS: Final = {True: ("Yes", " Yes", "yes", " yes", "YES"), False: ("No", " No", "no", " no", "NO")}


class YesOrNo:
    """Reads the likelihoods of the first token of a reply.

    Args:
        name_or_path: folder or hub name of a decoder.
        device: where it runs.
        at_once: prompts of a batch.

    Raises:
        ConfigurationError: where it is first asked, if it can't be loaded, or writes yes and no with the same token.
    """

    def __init__(self, name_or_path: str, device: str = "cpu", at_once: int = 8) -> None:
        self.name_or_path, self.device, self.at_once = name_or_path, device, at_once

    @cached_property
    def _model(self) -> tuple[Any, Any]:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(self.name_or_path)
            model = AutoModelForCausalLM.from_pretrained(self.name_or_path, use_safetensors=True)
            return tokenizer, model.eval().to(self.device)
        except (OSError, ValueError, RuntimeError) as error:
            raise ConfigurationError(
                [f"judge: asked can't load {self.name_or_path!r} on {self.device} ({error}); give a decoder's folder"]
            ) from error

    @cached_property
    def _tokens(self) -> dict[bool, list[int]]:
        tokenizer, _ = self._model
        first = {
            says: {tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in words}
            for says, words in WORDS.items()
        }
        found = {says: sorted(first[says] - first[not says]) for says in first}
        if not all(found.values()):
            raise ConfigurationError(
                [f"judge: asked: {self.name_or_path!r} begins yes and no with the same token; give another model"]
            )
        return found

    def __call__(self, prompts: Sequence[str]) -> Iterator[tuple[str, str, bool]]:
        """The prompt, the word that is likelier, and whether it is yes, of each.

        Args:
            prompts: what is asked.
        """
        for begin in range(0, len(prompts), self.at_once):
            batch = prompts[begin : begin + self.at_once]
            for prompt, yes in zip(batch, self._likelier(batch), strict=True):
                yield prompt, WORDS[yes][0], yes

    def _likelier(self, prompts: Sequence[str]) -> list[bool]:
        tokenizer, model = self._model
        ids = [self._ids(tokenizer, prompt) for prompt in prompts]
        width = max(map(len, ids))
        batch = torch.zeros((len(ids), width), dtype=torch.long)
        mask = torch.zeros_like(batch)
        for row, one in enumerate(ids):
            batch[row, : len(one)], mask[row, : len(one)] = torch.tensor(one), 1
        with torch.no_grad():
            logits = model(input_ids=batch.to(self.device), attention_mask=mask.to(self.device)).logits
        last = logits[torch.arange(len(ids)), [len(one) - 1 for one in ids]].double()
        yes, no = (last[:, self._tokens[says]].logsumexp(dim=1) for says in (True, False))
        return (yes > no).tolist()

    @staticmethod
    def _ids(tokenizer: Any, prompt: str) -> list[int]:
        if tokenizer.chat_template:
            turns = [{"role": "user", "content": prompt}]
            text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
            return list(tokenizer(text, add_special_tokens=False)["input_ids"])
        return list(tokenizer(f"{prompt}\nAnswer:")["input_ids"])
