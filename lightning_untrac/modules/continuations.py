"""What a model says next: greedy continuations of several prompts at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from typing_extensions import override

from lightning_untrac.data.tokenizers import padding_token
from lightning_untrac.modules.language import LanguageModule
from lightning_untrac.modules.wrapping import Wrapping

GREEDY: Final = {"do_sample": False, "num_beams": 1, "temperature": 1.0, "top_p": 1.0, "top_k": 50}
"""The likeliest token each time, also where the model's own settings ask for draws."""

AT_ONCE: Final = 16
"""Prompts that are continued in one batch."""


class Continuing(Wrapping):
    """Continues prompts with a model: ``trainer.predict(module, [prompts])``, under any strategy.

    Args:
        module: the model, whose weights may not be loaded yet.
        longest: most tokens of a continuation.

    Attributes:
        found: the continuations of the last batch.
    """

    def __init__(self, module: LanguageModule, longest: int) -> None:
        super().__init__(module)
        self.longest = longest
        self.found: list[list[int]] = []

    @override
    def predict_step(self, batch: Sequence[Sequence[int]], batch_idx: int) -> list[list[int]]:
        self.found = continuations(self.module, batch, self.longest)
        return self.found


def ending_tokens(module: LanguageModule) -> list[int]:
    """The tokens that end what a model says: EOS, what its generation settings name, and BOS of the next document."""
    settings = getattr(module.model, "generation_config", None)
    named = getattr(settings, "eos_token_id", None)
    named = named if isinstance(named, list) else [named]
    tokenizer = module.tokenizer
    return sorted({t for t in (tokenizer.eos_token_id, tokenizer.bos_token_id, *named) if t is not None})


def until_end(ids: np.ndarray, ends: Sequence[int]) -> np.ndarray:
    """Token ids up to the first that ends what a model says.

    Example:
        >>> until_end(np.array([5, 6, 2, 7]), [1, 2]).tolist(), until_end(np.array([5]), [2]).tolist()
        ([5, 6], [5])
    """
    stop = np.flatnonzero(np.isin(ids, ends))
    return ids[: stop[0]] if len(stop) else ids


def continuations(module: LanguageModule, prompts: Sequence[Sequence[int]], longest: int) -> list[list[int]]:
    """Greedy continuations, without the token that ends them.

    Every rank continues all prompts, so that ranks that share the weights take the same steps.

    Args:
        module: in a Trainer, with its weights. The mode that it is in (training or not) stays.
        prompts: token ids; of an encoder-decoder the sources. None is empty.
        longest: most tokens of a continuation. It has fewer where the context of a causal model ends before, for the
            longest prompt of a batch of 16 of similar lengths.

    Returns:
        Token ids, in the order of the prompts.
    """
    assert module.model is not None
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    found: dict[int, list[int]] = {}
    was_training = module.model.training
    module.model.eval()
    try:
        with torch.no_grad(), module.trainer.precision_plugin.val_step_context():
            for begin in range(0, len(order), AT_ONCE):
                chosen = order[begin : begin + AT_ONCE]
                found |= zip(chosen, _continued(module, [prompts[index] for index in chosen], longest), strict=True)
    finally:
        module.model.train(was_training)
    return [found[index] for index in range(len(prompts))]


def _continued(module: LanguageModule, prompts: Sequence[Sequence[int]], longest: int) -> list[list[int]]:
    """Those of one batch."""
    model: Any = module.model
    width = max(map(len, prompts))
    context = module.target_context_length if module.is_seq2seq else module.context_length
    room = longest if context is None else min(longest, context - (1 if module.is_seq2seq else width))
    if room < 1:
        return [[] for _ in prompts]
    padding, ends = padding_token(module.tokenizer, module.vocabulary_size), ending_tokens(module)
    device = module.trainer.strategy.root_device
    ids = torch.full((len(prompts), width), padding, device=device)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        # A decoder goes on at the right end; an encoder counts its positions from the left.
        where = slice(0, len(prompt)) if module.is_seq2seq else slice(width - len(prompt), width)
        ids[row, where] = torch.as_tensor(np.asarray(prompt, dtype=np.int64), device=device)
        mask[row, where] = 1
    made = model.generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=room,
        repetition_penalty=1.0,
        use_cache=not module.is_seq2seq,  # transformers makes a decoder's as deep as the encoder
        eos_token_id=ends or None,
        pad_token_id=padding,
        **GREEDY,
    )
    rows = made.cpu().numpy()[:, 1 if module.is_seq2seq else width :]
    return [until_end(row, ends).tolist() for row in rows]
